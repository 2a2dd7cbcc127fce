"""SCP v1 training evidence (metrics.json): its schema, and a stricter reading of it.

The schema itself (Zeropoint-Protocol, evidence/schemas/metrics.schema.json) lets NaN, negative
losses and runs that end before they begin pass; its text asks for loss in 0..1000 and accuracy in
0..1, and that is what is held to here.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from datagen.binary import HEAD_BYTES, binary_kind
from datagen.manifest import file_sha256
from datagen.whole_file import SEAL, DamageError, read_sealed, seal_json
from orchestrator.config_errors import config_error
from orchestrator.run_files import MANIFEST_NAME, is_covered, write_text
from orchestrator.yaml_source import ConfigError, Document

SCP_V1_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["run_id", "model", "started_at", "ended_at", "dataset", "metrics"],
    "properties": {
        "run_id": {"type": "string"},
        "model": {"type": "string"},
        "started_at": {"type": "string", "format": "date-time"},
        "ended_at": {"type": "string", "format": "date-time"},
        "dataset": {"type": "string"},
        "metrics": {
            "type": "object",
            "required": ["loss", "accuracy"],
            "properties": {"loss": {"type": "number"}, "accuracy": {"type": "number"}},
        },
        "notes": {"type": "string"},
    },
}
"""The published schema; everything that `read_evidence` accepts in the SCP v1 form meets it."""

RUN_KEY = "run_manifest_sha256"
"""Key of the hash of the manifest of the run that evidence is of."""
OWN_KEYS = {RUN_KEY, SEAL, "config_hash"}

_DATE_TIME = r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"


def _is_time(text: str) -> str:
    moment(text)
    return text


def moment(text: str) -> datetime:
    """The moment that an RFC 3339 date-time names; ValueError if there is none such."""
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise ValueError(f"{text} is no date-time: {error}") from None


DateTime = Annotated[str, Field(pattern=_DATE_TIME), AfterValidator(_is_time)]
Text = Annotated[str, Field(min_length=1)]
Loss = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Metrics(BaseModel):
    """The two numbers that evidence must hold; others may stand beside them."""

    model_config = ConfigDict(frozen=True, extra="allow")

    loss: Loss
    accuracy: float = Field(ge=0, le=1, allow_inf_nan=False)


class Evidence(BaseModel):
    """SCP v1: one training run, with when it ran and what came out."""

    model_config = ConfigDict(frozen=True, extra="allow")
    form: ClassVar[str] = "SCP v1"

    run_id: Text
    model: Text
    started_at: DateTime
    ended_at: DateTime
    dataset: Text
    metrics: Metrics
    notes: str | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Evidence":
        if moment(self.ended_at) < moment(self.started_at):
            raise ValueError(f"ended_at {self.ended_at} is before started_at {self.started_at}")
        return self


class FlatEvidence(BaseModel):
    """The older flat form: one moment of one training run."""

    model_config = ConfigDict(frozen=True, extra="allow")
    form: ClassVar[str] = "flat"

    synthiant_id: str = Field(pattern=r"^[a-zA-Z0-9_-]{3,32}$")
    run_id: Text
    ts: DateTime
    loss: Loss
    epoch: float = Field(ge=0, allow_inf_nan=False)
    step: int = Field(ge=0)
    duration_s: float = Field(ge=0, allow_inf_nan=False)
    commit: str = Field(pattern=r"^[a-f0-9]{7,40}$")
    device: Text
    source: Literal["local", "cloud", "cluster", "edge"]
    notes: str | None = Field(None, max_length=500)
    hyperparameters: dict[str, Any] | None = None


def read_evidence(file: Path) -> Evidence | FlatEvidence:
    """Read and check a metrics.json; a `synthiant_id` marks the older flat form.

    Raises ConfigError (a ValueError) naming the file, the field and what it may hold.
    """
    try:
        content = file.read_bytes()
        if (kind := binary_kind(content[:HEAD_BYTES])) is not None:
            raise ConfigError(f"cannot read evidence {file}: it is not UTF-8 text but {kind}")
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"cannot read evidence {file}: {reason}") from None
    return parse_evidence(text, str(file))


def parse_evidence(text: str, name: str) -> Evidence | FlatEvidence:
    """Check evidence given as JSON text; `name` is shown in messages. Raises as `read_evidence`."""
    data = _load(text, name)
    form = FlatEvidence if "synthiant_id" in data else Evidence
    try:
        # Only None is dumped for what JSON cannot hold, and _load lets nothing such pass.
        return form.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise config_error(error, form, Document(name, data)) from None


def _load(text: str, name: str) -> dict[str, Any]:
    def no_number(word: str) -> NoReturn:
        raise ConfigError(f"{name}: {word} is no number in JSON: use a finite number")

    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twin = next((key for key in keys if keys.count(key) > 1), None)
        if twin is not None:
            raise ConfigError(f'{name}: key "{twin}" stands there twice')
        return dict(pairs)

    try:
        data = json.loads(text, parse_constant=no_number, object_pairs_hook=no_twins)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}:{error.colno} {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: evidence is one JSON object, not a {type(data).__name__}")
    return data


def evidence_data(evidence: Evidence | FlatEvidence) -> dict[str, Any]:
    """Evidence as plain data, with the fields that were set."""
    data: dict[str, Any] = evidence.model_dump(mode="json", exclude_none=True)
    return data


def write_evidence(file: Path, data: dict[str, Any]) -> None:
    """Check SCP v1 data and write it as metrics.json, with its own hash.

    Raises ConfigError and writes nothing if `read_evidence` would refuse it.
    """
    try:
        text = seal_json(data)
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None
    parse_evidence(text, str(file))
    write_text(file, text)


def check_origin(file: Path, evidence: Evidence | FlatEvidence) -> bool:
    """Check evidence that a run of ours wrote: its own hash, and the run's, if that lies beside it.

    Returns False for evidence from elsewhere, which no hash covers. Raises DamageError where the
    bytes were changed, or it is not of the run beside it.
    """
    fix = "clutch report RUN writes it again"
    # One changed byte spoils one key at most.
    foreign = len(OWN_KEYS & evidence_data(evidence).keys()) < 2
    if foreign and not is_covered(file.resolve().parent):
        return False
    data = read_sealed(file, fix)
    manifest = file.resolve().with_name(MANIFEST_NAME)
    if manifest.is_file() and file_sha256(manifest) != data[RUN_KEY]:
        raise DamageError(f"{file} is not evidence of the run beside it, by {manifest}; {fix}")
    return True
