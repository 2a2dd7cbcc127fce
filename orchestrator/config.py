"""What a run may be told: one YAML file, checked as a whole before anything starts.

    resolved = load_config(Path("configs/quickstart.yaml"), overrides=("seed=1",))
    resolved.config          # a frozen RunConfig
    resolved.annotated()     # the same as YAML, each value with where it comes from

No Ray and no torch is imported here, so that a mistake is answered at once.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import rfc8785
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from datagen.config import AbdConfig, DatasetConfig, DimacsConfig, MixConfig, SatConfig
from datagen.strict import UserPath
from orchestrator.config_errors import config_error
from orchestrator.prompt_checks import tiny_mistakes
from orchestrator.yaml_source import DataPath, Document, apply_overrides, load_yaml, to_yaml
from reward_fns.registry import REWARDS, choose_rewards
from trainers.config import (
    STAGE_NAME,
    EvaluationConfig,
    GrpoConfig,
    ModelConfig,
    SandboxConfig,
    SftConfig,
    StageConfig,
    Strict,
    TinyModelConfig,
    stage_name,
)

DatasetName = Annotated[str, Field(pattern=STAGE_NAME)]
"""It is the name of a folder, too."""
Inconsistency = tuple[DataPath, str]
Checked = TypeVar("Checked", bound=BaseModel)
NO_RESULT_DEPENDS_ON: dict[str, Any] = {
    "storage": True,
    "tracking": True,
    "resources": {"max_failures": True, "start_timeout_s": True},
    "sandbox": {"num_servers": True},
    "stages": {"__all__": {"logging_steps", "save_steps", "save_total_limit"}},
}
"""Where a run lies, what it waits for and how often it is written down: not what it is."""
LARGEST_EXACT = 2**53 - 1  # canonical JSON (RFC 8785) holds no larger whole number


class ResourcesConfig(Strict):
    """What a run takes of the machine or cluster."""

    num_workers: int = Field(1, ge=0, le=4096)
    """Training processes; 0 trains inside the controller, without processes of its own."""
    cpus_per_worker: float = Field(1.0, gt=0)
    """CPUs that Ray reserves for each worker."""
    gpus_per_worker: float = Field(0.0, ge=0)
    """GPUs that Ray reserves for each worker."""
    threads_per_worker: int | None = Field(None, ge=1)
    """Threads of each worker's kernels; the whole CPUs of cpus_per_worker by default."""
    max_failures: int = Field(2, ge=0)
    """Crashed workers are started again from the last state at most so many times."""
    start_timeout_s: float = Field(300.0, ge=0)
    """Seconds to wait for the cluster to offer what the workers need."""


class MlflowConfig(Strict):
    """Metrics, parameters and artifacts go to MLflow."""

    type: Literal["mlflow"] = "mlflow"
    uri: str | None = Field(None, min_length=1)
    """Tracking store; MLFLOW_TRACKING_URI, or SQLite in the storage folder, by default."""
    experiment: str = Field("clutch", min_length=1)
    """Name of the MLflow experiment."""


class NoTrackingConfig(Strict):
    """Nothing is tracked beside the run's own folder."""

    type: Literal["none"]


TrackingConfig = Annotated[MlflowConfig | NoTrackingConfig, Field(discriminator="type")]


class RunConfig(Strict):
    """One run: a model, its datasets, the stages that train it, and how it is measured."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the run and of its folder."""
    seed: int = Field(0, ge=0, le=LARGEST_EXACT)
    """Every random draw of the run is keyed by it."""
    storage: UserPath = "runs"
    """Folder in which the run's own folder is made; `~` is the home folder, as in all paths."""
    model: ModelConfig = TinyModelConfig()
    """The model that the first stage starts from."""
    datasets: dict[DatasetName, DatasetConfig] = Field(min_length=1)
    """Datasets by name, each made or found before the first stage."""
    stages: list[StageConfig] = Field(min_length=1)
    """Stages of training in order; each starts from the checkpoint of the one before."""
    evaluation: EvaluationConfig
    """How the base model and each stage's checkpoint are measured."""
    sandbox: SandboxConfig = SandboxConfig()
    """How the programs of ABD problems are run."""
    resources: ResourcesConfig = ResourcesConfig()
    """What the run takes of the machine or cluster."""
    tracking: TrackingConfig = MlflowConfig()
    """Where metrics go beside the run's own folder."""

    @field_validator("model", "tracking", mode="before")
    @classmethod
    def _default_type(cls, value: Any, info: ValidationInfo) -> Any:
        """A section that has a default may leave its type out, as in --set tracking.uri=..."""
        default = cls.model_fields[str(info.field_name)].default.type
        return {"type": default, **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        """Refuse combinations of values, each mistake with the path of the one to change."""
        mistakes = [
            *self._check_storage(),
            *self._check_stage_names(),
            *self._check_datasets(),
            *self._check_rewards(),
            *self._check_context(),
            *self._check_prompts(),
            *self._check_shares(),
        ]
        if mistakes:
            raise PydanticCustomError("inconsistent", "{mistakes}", {"mistakes": mistakes})
        return self

    def _check_storage(self) -> Iterator[Inconsistency]:
        if "://" in self.storage:
            yield ("storage",), f'storage is "{self.storage}": use a local folder'

    def _check_stage_names(self) -> Iterator[Inconsistency]:
        counts = Counter(map(stage_name, self.stages))
        seen = set()
        for index, stage in enumerate(self.stages):
            name, at = stage_name(stage), ("stages", index, "name")
            if name in seen:
                yield at, f'{counts[name]} stages are called "{name}": set name'
            if name == "base":
                yield at, 'a stage cannot be called "base": rename it'
            seen.add(name)

    def _check_datasets(self) -> Iterator[Inconsistency]:
        wanted: list[tuple[DataPath, str, DataPath, str]] = []
        for index, stage in enumerate(self.stages):
            at = ("stages", index)
            wanted.append(((*at, "dataset"), stage.dataset, (*at, "split"), stage.split))
            if stage.eval_steps is not None:
                measured = (*at, "eval_split")
                wanted.append(((*at, "dataset"), stage.dataset, measured, stage.eval_split))
        for position, split in enumerate(self.evaluation.splits):
            at_split = ("evaluation", "splits", position)
            wanted.append((("evaluation", "dataset"), self.evaluation.dataset, at_split, split))
        for path, dataset, split_path, split in wanted:
            if dataset not in self.datasets:
                names = ", ".join(self.datasets)
                yield path, f'no dataset is called "{dataset}": datasets has {names}'
                continue
            splits = _split_names(self.datasets[dataset])
            if splits and split not in splits:
                known = ", ".join(splits)
                use = " for eval_split" if split_path[-1] == "eval_split" else ""
                yield split_path, f'dataset {dataset} has no split "{split}"{use}: it has {known}'

    def _check_rewards(self) -> Iterator[Inconsistency]:
        at, own = ("evaluation", "reward_funcs"), self.evaluation.reward_funcs or ()
        named: list[tuple[DataPath, tuple[str, ...], str]] = [(at, own, self.evaluation.dataset)]
        for index, stage in enumerate(self.stages):
            if isinstance(stage, GrpoConfig):
                rewards = stage.reward_funcs or ()
                named.append((("stages", index, "reward_funcs"), rewards, stage.dataset))
            if stage.eval_steps is not None:
                named.append((at, own, stage.dataset))
        for path, names, dataset in named:
            unknown = [i for i, name in enumerate(names) if name not in REWARDS]
            for i in unknown:
                yield (*path, i), f'no reward is called "{names[i]}": use {", ".join(REWARDS)}'
            if unknown or dataset not in self.datasets:
                continue
            try:
                choose_rewards(names or None, _tasks(self.datasets[dataset]))
            except ValueError as error:
                yield path, str(error)

    def _check_context(self) -> Iterator[Inconsistency]:
        if not isinstance(self.model, TinyModelConfig):
            return  # only the model's own files know
        context = self.model.max_position_embeddings
        lengths: list[tuple[DataPath, int, int | None]]
        lengths = [(("evaluation",), self.evaluation.max_completion_length, None)]
        for index, stage in enumerate(self.stages):
            if isinstance(stage, SftConfig | GrpoConfig):
                own = (stage.max_completion_length, stage.max_prompt_length)
                lengths.append((("stages", index), *own))
        for path, longest, prompt in lengths:
            if longest + (prompt or 1) > context:
                yield (
                    (*path, "max_completion_length"),
                    f"max_completion_length {longest} and a prompt of {prompt or 1} do not fit "
                    f"model.max_position_embeddings {context}: lower it or raise that",
                )

    def _check_prompts(self) -> Iterator[Inconsistency]:
        if isinstance(self.model, TinyModelConfig):
            yield from tiny_mistakes(self.model, self.datasets, self.stages, self.evaluation)

    def _check_shares(self) -> Iterator[Inconsistency]:
        workers = max(1, self.resources.num_workers)
        for index, stage in enumerate(self.stages):
            if not isinstance(stage, GrpoConfig):
                continue
            steps = stage.steps_per_generation
            prompts = stage.generation_batch_size // stage.num_generations
            if prompts % (workers * steps):
                cut = f" in each of {steps} steps_per_generation" if steps > 1 else ""
                yield (
                    ("stages", index, "generation_batch_size"),
                    f"generation_batch_size {stage.generation_batch_size} holds {prompts} prompts, "
                    f"which {workers} workers cannot share{cut}: use a multiple of "
                    f"{workers * steps * stage.num_generations}",
                )


def _split_names(dataset: DatasetConfig) -> tuple[str, ...]:
    """Splits that the dataset will have; none if only its folder knows."""
    if isinstance(dataset, SatConfig | AbdConfig | MixConfig):
        return tuple(dataset.splits)
    return (dataset.split,) if isinstance(dataset, DimacsConfig) else ()


def _tasks(dataset: DatasetConfig) -> tuple[str, ...]:
    """Tasks of the dataset's problems; none if only its folder knows."""
    if isinstance(dataset, MixConfig):
        return ("sat", "abd")
    if isinstance(dataset, AbdConfig):
        return ("abd",)
    return ("sat",) if isinstance(dataset, SatConfig | DimacsConfig) else ()


def run_folder(config: RunConfig) -> Path:
    """Folder of the run: its storage folder and its name."""
    return Path(config.storage) / config.name


def config_data(config: BaseModel) -> dict[str, Any]:
    """Plain data of a config, as it stands in config.yaml and in manifests."""
    data: dict[str, Any] = config.model_dump(mode="json")
    return data


def config_identity(config: RunConfig) -> dict[str, Any]:
    """All of a config that a result can depend on, as plain data."""
    return config.model_dump(mode="json", exclude=NO_RESULT_DEPENDS_ON)


def config_hash(config: RunConfig) -> str:
    """sha256 of the canonical JSON (RFC 8785) of a config's identity, as hex digits."""
    return hashlib.sha256(rfc8785.dumps(config_identity(config))).hexdigest()


@dataclass(frozen=True)
class ResolvedConfig:
    """A checked config, and the document that it was read from."""

    config: RunConfig
    document: Document

    def source(self, path: DataPath) -> str:
        """Where the value at `path` comes from: `file.yaml:12`, `--set` or `default`."""
        for end in range(len(path), 0, -1):
            here = path[:end]
            place = self.document.values.get(here) or self.document.keys.get(here)
            if place and (end == len(path) or not _has_children(self.document.data, here)):
                return place.short
        return "default"

    def sources(self) -> dict[DataPath, str]:
        """The source of every single value of the config, by path."""
        return {path: self.source(path) for path in _leaves(config_data(self.config), ())}

    def annotated(self) -> str:
        """The resolved config as YAML, each value with a comment that names its source."""
        return to_yaml(config_data(self.config), self.sources())


def _has_children(data: Any, path: DataPath) -> bool:
    for step in path:
        data = data[step]
    return isinstance(data, dict | list) and bool(data)


def _leaves(data: Any, path: DataPath) -> list[DataPath]:
    if not data or not isinstance(data, dict | list):
        return [path]
    items = data.items() if isinstance(data, dict) else enumerate(data)
    return [leaf for key, value in items for leaf in _leaves(value, (*path, key))]


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> ResolvedConfig:
    """Read and check a run's config file, with `a.b=c` overrides on top.

    Raises ConfigError (a ValueError) of at most two lines, which names file, line and column.
    """
    document = apply_overrides(load_yaml(path), overrides)
    return ResolvedConfig(check_config(RunConfig, document), document)


def check_config(model: type[Checked], document: Document) -> Checked:
    """Check a document against a config model; raises ConfigError with the place of a mistake."""
    try:
        # JSON in strict mode: lists become tuples, but "5" is no number and true is no 1.
        return model.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        raise config_error(error, model, document) from None
