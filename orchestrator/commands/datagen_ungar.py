"""`clutch datagen ungar --count N --out DIR`: traces of the high card duel."""

import datetime
import json as json_module
from pathlib import Path

from datagen.manifest import file_sha256
from datagen.trace_files import write_traces, write_traces_folder
from datagen.ungar import GAME, GENERATOR, GENERATOR_VERSION, make_traces


def ungar(*, count: int, seed: int = 0, out: Path, json: bool = False) -> None:
    """Make traces of the high card duel.

    The game holds no decision, so that its traces teach a form and no skill. The same call again
    makes the same bytes.

    Parameters
    ----------
    count
        Number of episodes.
    seed
        Seed of the decks.
    out
        A new folder, with a manifest; or a .jsonl file, which is replaced.
    json
        Print one JSON object.
    """
    traces = make_traces(count, seed)
    if out.suffix == ".jsonl":
        if out.is_dir():
            raise ValueError(f"--out {out} is a folder: name a .jsonl file, or another folder")
        write_traces(traces, out)
        sha256 = file_sha256(out)
    else:
        made = write_traces_folder(
            traces,
            out,
            generator=GENERATOR,
            version=GENERATOR_VERSION,
            config={"game": GAME, "count": count, "seed": seed},
            seed=seed,
            now=datetime.datetime.now(datetime.UTC),
        )
        sha256 = made.sha256
    if json:
        print(json_module.dumps({"path": str(out), "num_rows": count, "sha256": sha256}))
        return
    print(f"{out}: {count:,} traces; sha256 {sha256}")
    print(f"next: clutch dataset build NAME --version 1 --from {out}")
