"""The options that commands of the Gradients platform share."""

import os
from dataclasses import dataclass
from uuid import UUID

from cyclopts import Parameter

from orchestrator.commands.arguments import config_from
from orchestrator.gradients.api import Api
from orchestrator.gradients.settings import BASE_URL, DEFAULT_URL, ApiSettings, read_key
from orchestrator.quiet import hush_loggers


@Parameter(name="*")
@dataclass(frozen=True)
class ApiFlags:
    """Where the API lies; its key comes from GRADIENTS_API_KEY.

    Parameters
    ----------
    base_url
        The API's address; GRADIENTS_BASE_URL or https://api.gradients.io by default.
    timeout_s
        Seconds after which a request is given up.
    max_retries
        Repetitions of a request that met a busy or failing service.
    """

    base_url: str | None = None
    timeout_s: float = 60.0
    max_retries: int = 5

    def settings(self) -> ApiSettings:
        """The settings; mistakes are named by option."""
        url = self.base_url or os.environ.get(BASE_URL, "").strip() or DEFAULT_URL
        data = {"timeout_s": self.timeout_s, "max_retries": self.max_retries, "base_url": url}
        return config_from(ApiSettings, data)


def open_api(flags: ApiFlags | None) -> Api:
    """Return the API with the key of the environment; ValueError without one."""
    hush_loggers()
    return Api((flags or ApiFlags()).settings(), read_key())


@Parameter(name="*")
@dataclass(frozen=True)
class TaskFlags:
    """The task.

    Parameters
    ----------
    data
        s3://BUCKET/KEY, which is presigned; an https URL; or, for grpo, hf://OWNER/NAME. With
        --dry-run also a file of this machine.
    model
        The model to train, as OWNER/NAME on the Hub.
    hours
        Whole hours of training.
    name
        What the trained model is called, and how the task is found again; made of the request by
        default.
    presign_hours
        Hours for which the platform can read an object of a bucket, 168 at most.
    unchecked
        Send without a look at the data.
    yarn_factor
        Factor by which the model's context is stretched.
    account_id
        The account, where the key does not say it.
    dry_run
        Look at the data, print the request with the key hidden, and send nothing to the platform.
    json
        Print one JSON object.
    """

    data: str
    model: str
    hours: float
    name: str | None = None
    presign_hours: int = 168
    unchecked: bool = False
    yarn_factor: int | None = None
    account_id: UUID | None = None
    dry_run: bool = False
    json: bool = False

    @property
    def fields(self) -> dict[str, object]:
        """The fields that every request has."""
        return {
            "model_repo": self.model,
            # A whole number only: cyclopts would make one of any fraction.
            "hours_to_complete": int(self.hours) if self.hours.is_integer() else self.hours,
            "yarn_factor": self.yarn_factor,
            "account_id": self.account_id,
        }
