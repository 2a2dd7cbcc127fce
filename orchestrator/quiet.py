"""The environment of the libraries underneath: no telemetry, no chatter, no open doors.

Call `prepare_environment` before Ray, MLflow or transformers are imported: they read it then.
What the user has set stays as it is.
"""

import logging
import os
import secrets
from collections.abc import Mapping, MutableMapping
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
    # SIGTERM is for our own handler, not for Ray's, which prints a stack trace and aborts.
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
    # Tokenizers are used before worker processes are forked.
    "TOKENIZERS_PARALLELISM": "false",
}
OWN_RAY_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    # Makes Ray take 127.0.0.1 for this machine's address, and listen there only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Figures of Ray itself, which it would serve without asking for the token.
    "RAY_enable_metrics_collection": "0",
    # Workers of this machine find the working directory: under `uv run` Ray would copy it.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Gloo and NCCL listen on the interfaces named here.
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",
}
"""For a Ray of our own: no open door to other users of the machine, or to the network."""
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
    *,
    verbose: bool = False,
    in_worker: bool = False,
    environment: MutableMapping[str, str] | None = None,
) -> None:
    """Set what is not set yet in the environment, and hush loggers unless `verbose`.

    A Ray of our own gets a random token, so that nothing is written to ~/.ray; a cluster that is
    joined keeps its own mode. A worker of a Ray keeps the settings of that Ray.
    """
    env = os.environ if environment is None else environment
    for key, value in (SETTINGS if verbose else SETTINGS | QUIET_SETTINGS).items():
        env.setdefault(key, value)
    if not in_worker and ray_address(env) is None:
        if "RAY_AUTH_MODE" not in env and "RAY_AUTH_TOKEN_PATH" not in env:
            env.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        for key, value in OWN_RAY_SETTINGS.items():
            env.setdefault(key, value)
    if not verbose:
        hush_loggers()


def ray_address(environment: Mapping[str, str] | None = None) -> str | None:
    """The address of the Ray to join; None where a run starts one of its own."""
    address = (os.environ if environment is None else environment).get("RAY_ADDRESS", "").strip()
    return None if address in ("", "local") else address


def hush_loggers() -> None:
    """Let the libraries' loggers pass errors only."""
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


def ray_init_options(*, verbose: bool = False) -> dict[str, Any]:
    """Options of `ray.init` that keep its output, and its workers', off the terminal."""
    level = logging.INFO if verbose else logging.ERROR
    return {"log_to_driver": verbose, "logging_level": level, "configure_logging": verbose}
