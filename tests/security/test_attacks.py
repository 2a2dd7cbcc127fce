"""Every attack is stopped, for root and for an unprivileged user, and the server stays right."""

from typing import Any

import pytest

from tests.security import attacks_files, attacks_kernel
from tests.security.attack import Attack
from tests.security.attacks import ATTACKS


@pytest.mark.parametrize("who", ["own", "nobody"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_attack_is_stopped(attack: Attack, who: str, attacked) -> None:
    check(attack, attacked(who)[attack.name])


@pytest.mark.parametrize(
    "attack",
    [*attacks_files.ATTACKS, *attacks_kernel.ATTACKS],
    ids=lambda attack: attack.name,
)
def test_without_landlock_no_file_opens_at_all(attack: Attack, attacked) -> None:
    check(attack, attacked("own", "without-landlock")[attack.name])


@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS if attack.works_unguarded])
def test_without_guards_the_attack_gets_through(name: str, attacked) -> None:
    verdict = attacked("own", "unsafe")[name]
    assert verdict["said"] or verdict["damage"], verdict


def test_there_are_many_different_attacks() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 40


def check(attack: Attack, verdict: dict[str, Any]) -> None:
    """Assert that an attack got nothing, changed nothing, and left the server as it was."""
    assert verdict["said"] == []
    assert verdict["damage"] == []
    assert verdict["status"] in attack.statuses, verdict
    assert verdict["answers_after"]
    assert verdict["restarts"] == 0
    assert verdict["children"] == 1 + 2 + 1 + 1, "server, nurseries, template, the scene's victim"
