"""Which errors are told in one line, and which keep their traceback; no Ray, no torch."""

OUR_PACKAGES = ("orchestrator", "trainers", "datagen", "reward_fns")
USER_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


class Terminated(KeyboardInterrupt):
    """SIGTERM, which schedulers send, and Ray where a job is stopped: treated as Ctrl-C."""


class RunRefused(ValueError):
    """All that is wrong with a run before it starts, one mistake a line."""


class TrainingFailed(RuntimeError):
    """Training ended without its checkpoints; the message says why."""


class GenerationFailed(RuntimeError):
    """A dataset could not be made; the message says why."""


PLAIN_FAILURES = (ArithmeticError, OSError, MemoryError, TrainingFailed, GenerationFailed)
"""Nobody's mistake, but said in full by their message."""


def is_user_mistake(error: BaseException) -> bool:
    """Whether an error is the user's: a ValueError that our own code raised, or a missing file.

    A ValueError out of a library is a defect of ours, and keeps its traceback.
    """
    if isinstance(error, USER_ERRORS):
        return True
    if not isinstance(error, ValueError):
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = str(frame.tb_frame.f_globals.get("__name__", "")) if frame else ""
    return module.split(".")[0] in (*OUR_PACKAGES, "__main__")
