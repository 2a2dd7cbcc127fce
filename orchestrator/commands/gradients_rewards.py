"""`clutch gradients rewards export|register|list`: what rewards completions on the platform."""

import json as json_module
from pathlib import Path

from cyclopts import App
from cyclopts.types import NonNegativeFloat

from datagen.binary import HEAD_BYTES, refuse_binary
from datagen.whole_file import whole_file
from orchestrator.commands.gradients_flags import ApiFlags, open_api
from orchestrator.gradients.rewards import Rewards, check_source
from orchestrator.shown_text import visible
from orchestrator.storage.redaction import redact
from reward_fns.gradients.standalone import ENTRIES, function_name, standalone_source

app = App(name="rewards", help="Export, register and list reward functions.")


@app.command
def export(*, out: Path, prefix: str = "") -> None:
    """Write the SAT and ABD rewards as self-contained sources; nothing is sent.

    abd_reward_fn executes nothing, since the platform has no sandbox: it evaluates plain programs
    step by step, and scores 0 for others.

    Parameters
    ----------
    out
        A folder; one .py file for each function is written there.
    prefix
        Goes before the functions' names, which all accounts of the platform share.
    """
    for reward in ENTRIES:
        source = check_source(standalone_source(reward, prefix), reward)
        path = out / f"{function_name(reward, prefix)}.py"
        with whole_file(path) as file:
            file.write(source.code.encode())
        print(path)


@app.command
def register(
    *files: Path, weight: NonNegativeFloat = 1.0, json: bool = False, api: ApiFlags | None = None
) -> None:
    """Register reward functions, once: what is there already is found and not sent again.

    Parameters
    ----------
    files
        Sources as `export` writes them, one function each.
    weight
        Weight that the platform notes with them; a task gives its own.
    json
        Print one JSON list.
    """
    if not files:
        raise ValueError("no file is given: clutch gradients rewards export --out DIR makes them")
    sources = [check_source(_read(path), str(path)) for path in files]
    rewards = Rewards(open_api(api))
    done = [rewards.register(source, weight) for source in sources]
    if json:
        rows = [{"name": d.name, "reward_id": str(d.reward_id), "created": d.created} for d in done]
        print(json_module.dumps(rows))
        return
    for each in done:
        print(f"{each.reward_id} {each.name}{'' if each.created else ' (was there already)'}")


@app.command(name="list")
def list_rewards(*, json: bool = False, api: ApiFlags | None = None) -> None:
    """List the reward functions that are registered.

    Parameters
    ----------
    json
        Print one JSON list, with the sources.
    """
    found = Rewards(open_api(api)).all()
    if json:
        rows = [
            {**each.model_dump(mode="json"), "name": name} for name, each in sorted(found.items())
        ]
        print(redact(json_module.dumps(rows)))
        return
    for name, each in sorted(found.items()):
        about = " ".join(each.description.split())
        print(redact(visible(f"{each.reward_id} {name}  {about[:80]}")))


def _read(path: Path) -> str:
    content = path.read_bytes()
    refuse_binary(content[:HEAD_BYTES], path, "Python source")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8 text") from None
