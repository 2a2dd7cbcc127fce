"""Writes docs/commands.md, docs/config.md and the commands in README.md from the code itself.

    make docs

A test fails where they are not what this writes.
"""

import re
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.console import Console

from datagen.abd_config import (
    AbdConfig,
    AbdSplitConfig,
    CruxevalPrograms,
    GivenPrograms,
    LevelConfig,
    ProceduralPrograms,
    RunDemonstrationConfig,
    RunLimitsConfig,
)
from datagen.config import (
    DemonstrationConfig,
    DimacsConfig,
    PathConfig,
    SatConfig,
    SizeConfig,
    SplitConfig,
)
from datagen.proposal_config import ProposalsConfig
from orchestrator.cli import app
from orchestrator.config import (
    MlflowConfig,
    NoTrackingConfig,
    ResourcesConfig,
    RunConfig,
)
from trainers.config import (
    EvaluationConfig,
    GrpoConfig,
    HfModelConfig,
    SftConfig,
    TinyModelConfig,
)

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100
COMMANDS = (
    "run",
    "datagen sat",
    "datagen abd",
    "datagen grpo",
    "datagen sft",
    "datagen ungar",
    "dataset build",
    "dataset list",
    "dataset show",
    "dataset verify",
    "dataset export",
    "dataset diff",
    "dataset lineage",
    "evaluate",
    "generate",
    "report",
    "publish",
    "gradients submit sft",
    "gradients submit grpo",
    "gradients status",
    "gradients list",
    "gradients cancel",
    "gradients rewards export",
    "gradients rewards register",
    "gradients rewards list",
    "evidence validate",
    "doctor",
)
SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The run", RunConfig),
    ("model, type: tiny", TinyModelConfig),
    ("model, type: hf", HfModelConfig),
    ("datasets.NAME, type: sat", SatConfig),
    ("an entry of sizes", SizeConfig),
    ("splits.NAME", SplitConfig),
    ("demonstrations", DemonstrationConfig),
    ("datasets.NAME, type: dimacs", DimacsConfig),
    ("datasets.NAME, type: abd", AbdConfig),
    ("programs, type: procedural", ProceduralPrograms),
    ("an entry of levels", LevelConfig),
    ("programs, type: jsonl or parquet", GivenPrograms),
    ("proposals", ProposalsConfig),
    ("programs, type: cruxeval", CruxevalPrograms),
    ("splits.NAME of type abd", AbdSplitConfig),
    ("demonstrations of type abd", RunDemonstrationConfig),
    ("limits", RunLimitsConfig),
    ("datasets.NAME, type: path", PathConfig),
    ("a stage, type: sft", SftConfig),
    ("a stage, type: grpo", GrpoConfig),
    ("evaluation", EvaluationConfig),
    ("resources", ResourcesConfig),
    ("tracking, type: mlflow", MlflowConfig),
    ("tracking, type: none", NoTrackingConfig),
)
README_BLOCK = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)


def command_help(command: str) -> str:
    """Return what `clutch COMMAND --help` prints on a terminal of 100 columns."""
    out = StringIO()
    app.help_print(command.split(), console=Console(file=out, width=WIDTH, color_system=None))
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def commands_page() -> str:
    """Return docs/commands.md."""
    parts = ["# Commands", "`python -m orchestrator` is the same as `clutch`.", EXIT_CODES]
    for command in COMMANDS:
        parts.append(f"## clutch {command}\n\n```text\n{command_help(command)}\n```")
    return "\n\n".join(parts) + "\n"


EXIT_CODES = (
    "Exit codes: 0; 2 for mistakes of the user's, each told in a line; 130 on Ctrl-C and 143 on "
    "SIGTERM, with the state saved; 1 for anything else. `--debug`, with any command, shows the "
    "traceback."
)


def config_page() -> str:
    """Return docs/config.md."""
    parts = [
        "# Configuration",
        "One YAML file is one run. Unknown keys are refused with their place and the nearest name. "
        "Numbers are finite, `~` is the home folder in every path, and a file has at most 256 KiB "
        "and 20,000 values, aliases counted as what they stand for. "
        "`--set a.b=c` overrides a value, stages by name or index "
        "(`--set stages.grpo.max_steps=20`); `--dry-run` prints the resolved config with the "
        "source of every value, and what would be done.",
    ]
    parts += [f"## {title}\n\n{_table(model)}" for title, model in SECTIONS]
    return "\n\n".join(parts) + "\n"


def readme_commands() -> str:
    """Return the block of README.md that lists the commands."""
    rows = [f"| `clutch {command}` | {_summary(command)} |" for command in COMMANDS]
    return "\n".join(["| command | does |", "|---|---|", *rows]) + "\n"


def pages() -> dict[Path, str]:
    """Return every generated text by its file."""
    readme = ROOT / "README.md"
    return {
        ROOT / "docs" / "commands.md": commands_page(),
        ROOT / "docs" / "config.md": config_page(),
        readme: README_BLOCK.sub(lambda _: readme_commands(), readme.read_text(encoding="utf-8")),
    }


def _summary(command: str) -> str:
    """Return the first sentence of a command's help, after its usage line."""
    lines = command_help(command).splitlines()
    return next(line for line in lines[1:] if line.strip())


def _table(model: type[BaseModel]) -> str:
    doc = (model.__doc__ or "").strip()
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if name == "type":
            continue
        default = _default(field)
        meaning = " ".join((field.description or "").split())
        rows.append(f"| `{name}` | {_values(model, name)} | {default} | {meaning} |")
    return f"{doc}\n\n" + "\n".join(rows) if len(rows) > 2 else doc


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        kind = getattr(value, "type", None)
        return f"`{{type: {kind}}}`" if kind else "its defaults"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(model: type[BaseModel], name: str) -> str:
    schema = model.model_json_schema()["properties"][name]
    options = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    return " or ".join(dict.fromkeys(map(_kind, options)))


def _kind(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    words = {
        "integer": "whole number", "number": "number", "string": "text", "boolean": "true, false",
        "array": "list", "object": "section",
    }  # fmt: skip
    bounds = (
        ("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"),
        ("multipleOf", "multiple of"),
    )  # fmt: skip
    limits = [f"{sign} {schema[key]}" for key, sign in bounds if key in schema]
    return ", ".join([words.get(schema.get("type", ""), "section"), *limits])


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
