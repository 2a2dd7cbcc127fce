"""Runs every attack in a pool of this process, and prints one JSON line for each.

    python -m tests.security.attack_driver FOLDER [guarded | without-landlock | unsafe]

It is a program of its own so that a test can start it as another user.
"""

import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

from reward_fns.sandbox import Sandbox, SandboxError, layers
from tests.security.attack import ACHIEVED, Attack
from tests.security.attacks import ATTACKS
from tests.security.scene import SECRET, Scene

QUESTION = (
    "import os, random\n"
    "print(int(input()) * 2, {'b', 'a'}, random.random(), 'POISON' in os.environ, len('abc'))"
)


def main() -> None:
    """Attack, and say what came of it."""
    guards = sys.argv[2]
    scene = Scene(Path(sys.argv[1]))
    there = layers() if guards == "guarded" else replace(layers(), landlock=None)
    try:
        with Sandbox(1, "unsafe" if guards == "unsafe" else "guarded", layers=there) as sandbox:
            before = sandbox.run(QUESTION, "21")
            assert before.status == "ok" and before.stdout.startswith(b"42 "), before
            for attack in ATTACKS:
                if guards != "unsafe" or attack.works_unguarded:
                    verdict = tried(attack, sandbox, scene)
                    verdict["answers_after"] = sandbox.run(QUESTION, "21").stdout == before.stdout
                    verdict["restarts"] = sandbox.counts["restarts"]
                    print(json.dumps(verdict), flush=True)
    finally:
        scene.close()


def tried(attack: Attack, sandbox: Sandbox, scene: Scene) -> dict[str, object]:
    """Run one attack; returns what it says, and what the host sees."""
    flipping = threading.Thread(target=scene.flip, args=(1.0,))
    if attack.name == "swapped_while_opened":
        flipping.start()
    try:
        result = sandbox.run(attack.program, json.dumps(scene.description()), attack.limits)
    except SandboxError as error:
        return {"name": attack.name, "status": "sandbox_error", "said": [str(error)], "damage": []}
    finally:
        if flipping.ident is not None:
            flipping.join()
    text = (result.stdout[:200_000] + b"\n" + result.stderr[:200_000]).decode(errors="replace")
    said = [line for line in text.splitlines() if ACHIEVED in line or SECRET in line]
    return {
        "name": attack.name,
        "status": result.status,
        "said": said[:20],
        "error": result.stderr[-300:].decode(errors="replace"),
        "damage": scene.damage(),
        "children": children_of(os.getpid()),
    }


def children_of(pid: int) -> int:
    """How many processes descend from this one, those of bubblewrap not counted."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        itself = b"bwrap" not in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return 0
    return sum(children_of(int(child)) for child in children) + (itself and pid != os.getpid())


if __name__ == "__main__":
    main()
