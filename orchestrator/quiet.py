"""The environment of the libraries underneath: no telemetry, no chatter, no open doors.

Call `prepare_environment` before Ray, MLflow or transformers are imported: they read it then.
What the user has set stays as it is.
"""

import logging
import os
import secrets
from collections.abc import MutableMapping
from typing import Any

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # Loading a Hub model without safetensors would otherwise ask a service to convert it.
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # One poll of Ray Train's controller, which each report waits for; 2 s by default.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.05",
    # A tracking server that does not answer must not hold up a run for minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    # Tokenizers are used before worker processes are forked.
    "TOKENIZERS_PARALLELISM": "false",
}
QUIET_SETTINGS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
QUIET_LOGGERS = (
    *("ray", "ray.train", "ray.tune", "ray.data"),
    *("mlflow", "alembic", "transformers", "httpx2", "stamina"),
)


def prepare_environment(
    *, verbose: bool = False, environment: MutableMapping[str, str] | None = None
) -> None:
    """Set what is not set yet in the environment, and hush loggers unless `verbose`.

    A Ray of our own gets a random token, so that its dashboard is no open door to other users of
    the machine and nothing is written to ~/.ray; a cluster that is joined keeps its own mode.
    """
    env = os.environ if environment is None else environment
    for key, value in (SETTINGS if verbose else SETTINGS | QUIET_SETTINGS).items():
        env.setdefault(key, value)
    if "RAY_AUTH_MODE" not in env and not env.get("RAY_ADDRESS"):
        env["RAY_AUTH_MODE"] = "token"
        if "RAY_AUTH_TOKEN_PATH" not in env:
            env.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if not verbose:
        hush_loggers()


def hush_loggers() -> None:
    """Let the libraries' loggers pass errors only."""
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def ray_init_options(*, verbose: bool = False) -> dict[str, Any]:
    """Options of `ray.init` that keep its output, and its workers', off the terminal."""
    level = logging.INFO if verbose else logging.ERROR
    return {"log_to_driver": verbose, "logging_level": level, "configure_logging": verbose}
