"""What is sent to the API and what comes back; fields that are not known here are passed over."""

import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from datagen.strict import Strict

FAILED = frozenset({"prep_task_failure", "failure_finding_nodes", "failure"})
FINISHED = FAILED | {"success"}

Column = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Repo = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$")]
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
FileFormat = Literal["hf", "s3", "csv", "json"]


class TaskRequest(Strict):
    """What every task is told."""

    model_repo: Repo
    """The model to train, on the Hub."""
    hours_to_complete: int = Field(ge=1, le=1000)
    """Hours of training; the platform keeps whole ones only."""
    result_model_name: ModelName
    """What the trained model is called, and how the task is found again."""
    account_id: UUID | None = None
    """The account; the gateway knows it by the key."""
    yarn_factor: int | None = Field(None, ge=1)
    """Factor by which the model's context is stretched."""
    file_format: FileFormat = "s3"
    """How the data is read: a file at a URL (s3), or a dataset on the Hub (hf)."""

    def payload(self) -> dict[str, Any]:
        """Return the request's JSON."""
        return self.model_dump(mode="json", exclude_none=True)


class SftRequest(TaskRequest):
    """`create_custom_dataset_text`: training on instructions and outputs."""

    field_instruction: Column
    """Column of the prompts."""
    field_output: Column | None = None
    """Column of the answers."""
    field_input: Column | None = None
    """Column of a further input."""
    field_system: Column | None = None
    """Column of the system prompts."""
    training_data: str
    """URL of the file."""
    test_data: str | None = None
    """URL of a file to test on; the platform takes a tenth of the data by default."""


class WeightedReward(Strict):
    """A registered reward function, and how much it counts."""

    reward_id: UUID
    reward_weight: float = Field(1.0, ge=0)


class GrpoRequest(TaskRequest):
    """`create_grpo`: training on rewards."""

    ds_repo: str
    """URL of the file, or the dataset on the Hub."""
    field_prompt: Column
    """Column of the prompts."""
    extra_column: Column | None = None
    """Column that reaches the reward functions as `extra_data`."""
    reward_functions: tuple[WeightedReward, ...] = Field(min_length=1)
    """What rewards completions."""


class _Answer(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False
    )


class Created(_Answer):
    """The answer to a create."""

    success: bool
    task_id: UUID | None = None
    created_at: datetime.datetime | None = None


class Task(_Answer):
    """A task as the API tells it."""

    id: UUID
    status: str
    created_at: datetime.datetime | None = None
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    hours_to_complete: float | None = None
    task_type: str | None = None
    base_model_repository: str | None = None
    result_model_name: str | None = None
    trained_model_repository: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a model."""
        return self.status in FAILED

    @property
    def is_finished(self) -> bool:
        """Whether it ended; a status that is not known here goes on."""
        return self.status in FINISHED


class RewardFunction(_Answer):
    """A reward function that is registered."""

    reward_id: UUID
    name: str = ""
    description: str = ""
    code: str = ""


class RewardFunctions(_Answer):
    """All of them, by the name of the function."""

    reward_functions: dict[str, RewardFunction]


class Registered(_Answer):
    """The answer to a registration."""

    reward_id: UUID
