"""A model on the Hub: asked for before a run starts, within a deadline, and told in one line."""

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import http_backoff

from tests.hub_server import set_endpoint
from trainers.config import HfModelConfig
from trainers.models.sources import hub_retries, model_problems


def problems(path: str, timeout_s: float = 10.0) -> list[str]:
    return model_problems(HfModelConfig(type="hf", path=path, revision="r1"), timeout_s)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("org/gone", "is no folder, and {hub} has no such model: correct it, or set HF_TOKEN"),
        ("org/private", "is no folder, and {hub} has no such model: correct it, or set HF_TOKEN"),
        ("org/gated", "is gated at {hub}: accept its terms there and set HF_TOKEN"),
        ("org/branch", "has no revision 'r1' at {hub}: correct model.revision"),
        ("org/data", "has no config.json at {hub}: use a model in Hugging Face format"),
        ("org/busy", "is no folder, and the Hub at {hub} answers: "),
        ("org/circle", "is no folder, and the Hub at {hub} answers: Exceeded 20 redirects"),
    ],
)
def test_what_the_hub_says_is_told_in_one_line(hub_there: str, name: str, message: str) -> None:
    (told,) = problems(name)
    assert told.startswith(f"model.path {name!r} {message.format(hub=hub_there)}")
    assert "\n" not in told


def test_a_model_that_is_there_is_no_problem(hub_there: str) -> None:
    assert problems("org/there") == []


def test_a_hub_that_does_not_answer_is_given_up(
    hub_there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (told,) = problems("org/silent", 0.3)
    assert f"the Hub at {hub_there} cannot be reached: " in told
    set_endpoint(monkeypatch, "http://127.0.0.1:9")
    (told,) = problems("org/there")
    assert "the Hub at http://127.0.0.1:9 cannot be reached: " in told
    assert told.endswith("; try again later, or give a model folder")


def test_a_hub_that_is_asked_again_is_told_as_progress(hub_there: str) -> None:
    told: list[str] = []
    with (
        hub_retries(lambda what, done, total: told.append(what)),
        pytest.raises(HfHubHTTPError, match="503"),
    ):
        http_backoff("GET", f"{hub_there}/org/busy/x", max_retries=2, base_wait_time=0.01)
    assert told == [f"the Hub does not answer: try {i} of 2" for i in (1, 2)]


def test_without_the_hub_only_its_cache_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (told,) = problems("org/there")
    assert "not in the Hub's cache, and HF_HUB_OFFLINE is set" in told
    (told,) = problems("no name")
    assert told == "model.path 'no name' is no folder and no name on the Hub: give a model " + (
        "folder or owner/name"
    )
