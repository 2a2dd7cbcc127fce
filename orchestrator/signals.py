"""Small files in a run's folder by which driver and workers talk, wherever the workers are.

`stop`: the driver asks the workers to save their state and end. `progress.json`: the first worker
says what it is doing. `notes.json`: lines that it has for the user. `error.json`: a worker says why
training cannot go on, so that the reason reaches the terminal as one line.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datagen.shards import remove_abandoned
from datagen.whole_file import replace_text

STOPPING = {"what": "stopping: the workers save their state", "done": 0, "total": 0}
"""What is shown from the moment that a run is asked to stop."""


@dataclass(frozen=True)
class Signals:
    """The signal files of one run."""

    folder: Path

    @property
    def stop(self) -> Path:
        """Exists while the run is to stop."""
        return self.folder / "stop"

    @property
    def progress(self) -> Path:
        """What the first worker does now."""
        return self.folder / "progress.json"

    @property
    def notes(self) -> Path:
        """Lines that the workers have for the user."""
        return self.folder / "notes.json"

    @property
    def error(self) -> Path:
        """Why training cannot go on."""
        return self.folder / "error.json"

    def clear(self) -> None:
        """Forget everything that an earlier launch said."""
        for path in (self.stop, self.progress, self.notes, self.error):
            path.unlink(missing_ok=True)
            remove_abandoned(path)

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """Replace a signal file atomically, if the disk has room.

        Where it has none, the run goes on: what must be saved tells of the full disk itself.
        """
        with suppress(OSError):
            replace_text(path, json.dumps(content))

    def read(self, path: Path) -> dict[str, Any] | None:
        """Return what a signal file says, None if it is not there."""
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return content
