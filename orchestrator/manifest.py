"""run_manifest.json: what a run was made from, so that a stranger can make it again.

manifest = build_manifest(config, datasets={"main": sha256}, base_checkpoint=reference)
manifest = write_manifest(folder, manifest)
"""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from datagen.whole_file import seal_json
from orchestrator.config import RunConfig, config_data, config_hash
from orchestrator.run_files import (
    MANIFEST_NAME,
    RUN_FORMAT,
    is_covered,
    read_manifest_data,
    write_text,
)
from orchestrator.yaml_source import ConfigError

PACKAGES = (
    "clutch",
    "mlflow",
    "numpy",
    "pyarrow",
    "pydantic",
    "python-sat",
    "ray",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
)
GIT_TIMEOUT_S = 20


class Frozen(BaseModel):
    """A record that is written once; fields of newer versions are kept when it is read."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Checkpoint(Frozen):
    """A model folder and the hash of what it holds."""

    path: str
    sha256: str


class Code(Frozen):
    """The commit that ran; None where the code does not stand in its own git repository."""

    git_sha: str | None
    dirty: bool | None


class Hardware(Frozen):
    """The machine that the run was started on."""

    platform: str
    cpu: str
    num_cpus: int
    memory_bytes: int
    gpus: tuple[str, ...]


class RunManifest(Frozen):
    """Everything that a run was made from."""

    format: Literal["clutch-run-v2"] = RUN_FORMAT
    run_id: str
    created_at: str
    name: str
    seed: int
    config: dict[str, Any]
    config_hash: str
    datasets: dict[str, str]
    """dataset_hash of each dataset, by its name in the config."""
    dataset_hash: str
    """The dataset's hash, or the sha256 of all their names and hashes where there are several."""
    base_checkpoint: Checkpoint | None
    git_sha: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str | None]
    hardware: Hardware


def build_manifest(
    config: RunConfig,
    *,
    datasets: Mapping[str, str],
    base_checkpoint: Checkpoint | None = None,
    earlier: RunManifest | None = None,
) -> RunManifest:
    """Describe a run; one that goes on keeps the run_id and created_at of `earlier`."""
    code = describe_code()
    return RunManifest(
        run_id=earlier.run_id if earlier else str(uuid4()),
        created_at=earlier.created_at if earlier else now(),
        name=config.name,
        seed=config.seed,
        config=config_data(config),
        config_hash=config_hash(config),
        datasets=dict(datasets),
        dataset_hash=_joint_hash(datasets),
        base_checkpoint=base_checkpoint,
        git_sha=code.git_sha,
        git_dirty=code.dirty,
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        hardware=describe_hardware(),
    )


def _joint_hash(datasets: Mapping[str, str]) -> str:
    if len(datasets) == 1:
        return next(iter(datasets.values()))
    lines = [f"{name}\0{digest}\n" for name, digest in sorted(datasets.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def now() -> str:
    """This moment as an RFC 3339 date-time in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_manifest(folder: Path, manifest: RunManifest) -> Path:
    """Write run_manifest.json into the run's folder, whole or not at all; returns its path."""
    path = folder / MANIFEST_NAME
    write_text(path, seal_json(manifest.model_dump(mode="json")))
    return path


def read_manifest(folder: Path) -> RunManifest | None:
    """The manifest of a run's folder; None if it has none. ValueError if it is broken."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    if not is_covered(folder):
        raise ConfigError(
            f"{path} is of an earlier version, whose files carry no hashes: give this run another "
            "name, or start over with --fresh (clutch report still reads it)"
        )
    try:
        return RunManifest.model_validate(read_manifest_data(folder))
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or "it is no JSON"
        raise ConfigError(f"{path} is broken ({field}): start over with --fresh") from None


def hash_checkpoint(folder: Path) -> Checkpoint:
    """Hash a model folder: sha256 over the names and sha256 of its files, in order of names.

    Raises ValueError for a folder that does not exist or holds no file.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    if not files:
        raise ValueError(f"no checkpoint at {folder}: a model folder holds config.json")
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return Checkpoint(path=str(folder), sha256=total.hexdigest())


def describe_code(folder: Path | None = None) -> Code:
    """The commit of the code that runs, and whether its tree differs from it.

    A repository that merely surrounds an installed package (a virtual environment in another
    project) is not taken for ours: it must track this very file.
    """
    here = folder or Path(__file__).resolve().parent
    tracked = _git(here, "ls-files", "--error-unmatch", ":/orchestrator/manifest.py")
    if tracked is None:
        return Code(git_sha=None, dirty=None)
    status = _git(here, "status", "--porcelain")
    dirty = None if status is None else status != ""
    return Code(git_sha=_git(here, "rev-parse", "HEAD"), dirty=dirty)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None if it cannot say."""
    if shutil.which("git") is None:
        return None
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def describe_hardware() -> Hardware:
    """Processor, memory and GPUs of this machine; the CPUs are those this process may use."""
    return Hardware(
        platform=platform.platform(),
        cpu=_cpu_name(),
        num_cpus=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        gpus=_gpu_names(),
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu_names() -> tuple[str, ...]:
    """Names of NVIDIA GPUs; asked of nvidia-smi, because torch lives a floor below."""
    if shutil.which("nvidia-smi") is None:
        return ()
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    names = done.stdout.splitlines() if done.returncode == 0 else []
    return tuple(name.strip() for name in names if name.strip())
