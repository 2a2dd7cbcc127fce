"""Where a model comes from, a folder or the Hub, and what can be told of it before it is loaded.

Neither torch nor transformers is imported here, so that a run is refused within seconds.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tokenizers import Tokenizer

from trainers.config import HfModelConfig, resolve_checkpoint

CONFIG, ADAPTER = "config.json", "adapter_config.json"
HUB_TIMEOUT_S = 10.0
UNAUTHORIZED = 401
RETRY = re.compile(r"Retrying in .*\[Retry (\d+)/(\d+)\]")
"""What the Hub's library logs before it waits to ask again."""


def local_folder(path: str) -> Path | None:
    """Return the folder that `model.path` names, or None where it can be a name on the Hub.

    Raises ValueError where it is neither.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"model.path {path!r} is a file: give the folder that holds it")
    if folder.is_absolute() or path.startswith(("./", "../", "~")) or path.count("/") > 1:
        raise ValueError(f"model.path {path!r} does not exist: give a model folder or a Hub name")
    return None


def model_problems(config: HfModelConfig, timeout_s: float = HUB_TIMEOUT_S) -> list[str]:
    """Return what keeps a model from being loaded, one line each, naming field, file and fix."""
    try:
        folder = local_folder(config.path)
    except ValueError as error:
        return [str(error)]
    if folder is not None:
        return _folder_problems(config, folder)
    problem = _hub_problem(config, timeout_s)
    return [] if problem is None else [problem]


def context_length(path: str) -> int | None:
    """Return the context that the config.json of a model folder names; None if it names none."""
    folder = Path(path).expanduser()
    own = _read_json(folder / CONFIG)
    for settings in (own.get("text_config"), own):
        length = settings.get("max_position_embeddings") if isinstance(settings, dict) else None
        if isinstance(length, int):
            return length
    return None


def count_tokens(path: str, text: str) -> int | None:
    """Return how many tokens a model folder's tokenizer makes of a text; None if it cannot say."""
    file = Path(path).expanduser() / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the library has no error of its own for a file that it cannot read
        return None
    tokenizer.no_truncation()
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def adapter_problem(path: str) -> str:
    """Say that an adapter lies in the folder of the model that it is for."""
    return (
        f"model.path {path!r} holds {ADAPTER} beside the model's own {CONFIG}, and only the "
        "adapter would be trained: merge it into the model (peft's merge_and_unload), or move it "
        "to a folder of its own"
    )


def template_choice_problem(path: str, names: Collection[str]) -> str:
    """Say that a tokenizer has several chat templates without a default."""
    return (
        f"model.path {path!r}: tokenizer_config.json has {len(names)} chat templates "
        f"({', '.join(sorted(names))}) and none is called default: call one of them so, or set "
        "model.chat_template to false (--no-chat-template)"
    )


def _folder_problems(config: HfModelConfig, folder: Path) -> list[str]:
    has_adapter = (folder / ADAPTER).is_file()
    try:
        resolve_checkpoint(folder)
    except ValueError as error:
        alone = (
            f"model.path {config.path!r} holds an adapter ({ADAPTER}) without its model: merge it "
            "into the model (peft's merge_and_unload), and give that folder"
        )
        return [alone if has_adapter else f"model.path: {error}"]
    problems = [adapter_problem(config.path)] if has_adapter else []
    if not any(folder.glob("*.safetensors")):
        problems.append(
            f"model.path {config.path!r} has no *.safetensors file: save the model with "
            "save_pretrained (other formats are pickles and are not read)"
        )
    names = _template_names(folder)
    if config.chat_template and names and "default" not in names:
        problems.append(template_choice_problem(config.path, names))
    return problems


def _template_names(folder: Path) -> list[str]:
    """Names of a tokenizer's chat templates, where it has named ones."""
    if (folder / "chat_template.jinja").is_file():
        return ["default"]
    files = [path.stem for path in (folder / "additional_chat_templates").glob("*.jinja")]
    templates = _read_json(folder / "tokenizer_config.json").get("chat_template")
    named = templates if isinstance(templates, list) else []
    return files or [str(t["name"]) for t in named if isinstance(t, dict) and "name" in t]


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one where there is none, which the loader will tell."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _hub_problem(config: HfModelConfig, timeout_s: float) -> str | None:
    """Ask the Hub for a model's config.json, within a deadline; None where it or its copy is there.

    The name is looked up in a thread, because no time-out of a connection counts that wait.
    """
    named = f"model.path {config.path!r}"
    try:
        copy = try_to_load_from_cache(config.path, CONFIG, revision=config.revision)
        url = hf_hub_url(config.path, CONFIG, revision=config.revision)
    except HFValidationError:
        return f"{named} is no folder and no name on the Hub: give a model folder or owner/name"
    is_cached = isinstance(copy, str)
    if is_cached or constants.HF_HUB_OFFLINE:
        offline = "is no folder and not in the Hub's cache, and HF_HUB_OFFLINE is set: unset it"
        return None if is_cached else f"{named} {offline}, or give a model folder"
    met: list[Exception] = []

    def ask() -> None:
        try:
            get_hf_file_metadata(url, timeout=timeout_s)
        except Exception as error:  # whatever a foreign server answers is told in one line
            met.append(error)

    thread = threading.Thread(target=ask, daemon=True, name="hub")
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        met.append(TimeoutError(f"no answer within {timeout_s:g} s"))
    return f"{named} {_reason(config, met[0])}" if met else None


def _reason(config: HfModelConfig, error: Exception) -> str:
    """What is wrong with a name on the Hub, and what to do."""
    place = constants.ENDPOINT
    if isinstance(error, GatedRepoError):
        return f"is gated at {place}: accept its terms there and set HF_TOKEN"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, RepositoryNotFoundError) or status == UNAUTHORIZED:
        return f"is no folder, and {place} has no such model: correct it, or set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"has no revision {config.revision!r} at {place}: correct model.revision"
    if isinstance(error, EntryNotFoundError):
        return f"has no {CONFIG} at {place}: use a model in Hugging Face format"
    said = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
    answers = isinstance(error, HfHubHTTPError | httpx2.TooManyRedirects)
    return (
        f"is no folder, and the Hub at {place} {'answers' if answers else 'cannot be reached'}: "
        f"{said}; try again later, or give a model folder"
    )


@contextmanager
def hub_retries(progress: Callable[[str, int, int], None]) -> Iterator[None]:
    """Tell as progress, while the block runs, that the Hub is asked again, which may take long."""

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if found := RETRY.search(record.getMessage()):
                progress(f"the Hub does not answer: try {found[1]} of {found[2]}", 0, 0)

    logger, handler = logging.getLogger("huggingface_hub"), Told(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
