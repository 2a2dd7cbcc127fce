"""How this process runs the programs that judge answers, as the run's config says."""

from reward_fns.program_runs import configure_runs
from reward_fns.sandbox import Limits, configure_sandbox
from trainers.config import SandboxConfig


def prepare_sandbox(config: SandboxConfig, threads: int) -> None:
    """Set up this process's sandbox; its servers start when the first program is run."""
    configure_sandbox(config.num_servers or threads, config.mode)
    limits = Limits(wall_s=config.wall_s, cpu_s=config.cpu_s, memory_bytes=config.memory_bytes)
    configure_runs(limits)
