"""The command `clutch`: reads its arguments, loads the one command asked for, and ends honestly.

Exit codes: 0; 2 for a user's mistake; 130 on Ctrl-C and 143 on SIGTERM; 1 for anything else.
Commands are loaded by name, so that `clutch --help` imports neither torch nor Ray.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import FrameType

from cyclopts import App, CycloptsError, Parameter

from orchestrator.failures import PLAIN_FAILURES, RunRefused, Terminated, is_user_mistake
from orchestrator.shown_text import visible
from orchestrator.storage.redaction import hide_environment, redact
from orchestrator.yaml_source import ConfigError

ONE_REQUEST_S = 0.5
"""Within so many seconds signals are one request: `timeout` signals a process and its group."""
SHOW_CURSOR = "\x1b[?25h"


def _version() -> str:
    try:
        return version("clutch")
    except PackageNotFoundError:
        return "0 (not installed)"


app = App(
    name="clutch",
    help="From verifiable problems to a better language model, with proof.",
    help_epilogue="--debug, with any command, shows the traceback of an error.",
    version=_version,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=()),  # no --no-json, no --empty-set
)
app.command(
    "orchestrator.commands.run:run",
    name="run",
    help="Generate, train, evaluate and report, from one config file.",
)
app.command("orchestrator.commands.datagen:app", name="datagen", help="Make a dataset of problems.")
app.command(
    "orchestrator.commands.dataset:app", name="dataset", help="Keep named, versioned datasets."
)
app.command(
    "orchestrator.commands.evaluate:evaluate",
    name="evaluate",
    help="Measure a checkpoint on a dataset.",
)
app.command(
    "orchestrator.commands.generate:generate",
    name="generate",
    help="Complete a prompt with a checkpoint.",
)
app.command(
    "orchestrator.commands.report:report", name="report", help="Write a run's report again."
)
app.command(
    "orchestrator.commands.publish:publish", name="publish", help="Upload a dataset or a file."
)
app.command(
    "orchestrator.commands.gradients:app",
    name="gradients",
    help="Train on the Gradients platform.",
)
app.command(
    "orchestrator.commands.evidence:app", name="evidence", help="Check evidence of training."
)
app.command(
    "orchestrator.commands.doctor:doctor",
    name="doctor",
    help="Tell how safely programs run on this machine.",
)


@dataclass
class StopHandler:
    """Handles SIGINT and SIGTERM: the first stops the command in order, a second ends it at once.

    At once means without cleaning up, as SIGKILL does, so that no traceback is shown and nothing
    is waited for.
    """

    asked: float | None = None

    def install(self) -> None:
        """Handle both signals, unless this process was started with one of them ignored."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self)
        sys.unraisablehook = self.ask_again

    def ask_again(self, lost: "sys.UnraisableHookArgs") -> None:
        """Send the signal once more where Python has dropped what it raised.

        It does so in finalizers and callbacks of weak references, at any moment. The signal comes
        from a thread, since an exception in this hook would be dropped, too.
        """
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(lost)
            return
        self.asked = None
        number = signal.SIGTERM if isinstance(lost.exc_value, Terminated) else signal.SIGINT
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise for the first signal; end the process and all that it started for a later one."""
        now = time.monotonic()
        if self.asked is None:
            self.asked = now
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if now - self.asked < ONE_REQUEST_S:
            return
        import psutil

        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
        cursor = SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(2, f"{cursor}ended at once\n".encode())
        os._exit(128 + number)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    StopHandler().install()
    sys.exit(run_command(list(sys.argv[1:] if argv is None else argv)))


def run_command(tokens: list[str]) -> int:
    """Run one command; returns the exit code, with errors told on stderr."""
    hide_environment()
    debug = "--debug" in tokens
    tokens = [_at_home(token) for token in tokens if token != "--debug"]
    try:
        result = app(tokens, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        return _tell(error, 2, debug)
    except KeyboardInterrupt as stop:
        goes_on = tokens[0] == "run" or tokens[:2] == ["datagen", "grpo"]
        hint = ": the same command goes on from the last saved state" if goes_on else ""
        terminated = isinstance(stop, Terminated)
        print(f"{'terminated' if terminated else 'interrupted'}{hint}", file=sys.stderr)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if is_user_mistake(error):
            return _tell(error, 2, debug)
        if not debug and not isinstance(error, PLAIN_FAILURES):
            _show_traceback(error)
            return 1
        return _tell(error, 1, debug)


def _at_home(token: str) -> str:
    """Expand `~` as a shell does, also where it does not: quoted, or in --out=~/runs."""
    option, equals, value = token.partition("=") if token.startswith("--") else ("", "", token)
    return f"{option}{equals}{os.path.expanduser(value)}" if value.startswith("~") else token


def _tell(error: Exception, code: int, debug: bool) -> int:
    if debug:
        _show_traceback(error)
    else:
        lines = [line for line in str(error).splitlines() if line.strip()]
        if not isinstance(error, ConfigError | RunRefused):  # all of whose mistakes are listed
            lines = lines[:2]
        message = "\n".join(lines) or type(error).__name__
        # A config's mistake begins with file:line:column, which editors and terminals open.
        prefix = "" if isinstance(error, ConfigError) else "clutch: "
        print(visible(redact(f"{prefix}{message}")), file=sys.stderr)
    return code


def _show_traceback(error: Exception) -> None:
    print(redact("".join(traceback.format_exception(error))), end="", file=sys.stderr)
