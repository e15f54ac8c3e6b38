"""The run folder: recognised by its ``run.json``, never mixed with files of others.

Layout::

    run.json          format of the folder, when and by which version it was made
    recipe.toml       the resolved recipe
    provenance.json   who filled each slot of the recipe, and where each value came from
    train.jsonl       training log        (`zoo_core.runs.logs`)
    scores.jsonl      scores of milestones
    events.jsonl      starts, warnings, interrupts
    checkpoints/      step-000800/ ...    (`zoo_core.runs.checkpoints`)
    samples/          grids of images at milestones
    evaluations/      images and results of scored checkpoints (`zoo_core.evaluation.place`)
    curve.png         the learning curve
    lock              present while a trainer is at work (`zoo_core.runs.lock`)
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import zoo_core
from zoo_core.errors import RunError
from zoo_core.runs.durable import TEMPORARY, cannot_write, write_atomic
from zoo_core.runs.logs import Log, LogWriter, read_log

FORMAT = 1
"""Version of the layout. A folder of a later one is refused, not guessed at."""

MARKER = "run.json"

LogName = Literal["train", "scores", "events"]
LOGS: tuple[LogName, ...] = ("train", "scores", "events")


@dataclass(frozen=True)
class RunFolder:
    """A run at `path`. Made by `create`, `open` or `ensure`.

    created: time of creation, ISO 8601 in UTC. zoo_version: the version that created it.
    """

    path: Path
    created: str
    zoo_version: str

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A new run in a folder that does not exist yet or is empty.

        Raises `RunError` when the place is a file, a run, somebody else's folder, or cannot be
        written to. Nothing that is there is changed.
        """
        found = _inspect(path)
        if found == "run":
            raise RunError(
                f"{path}: already holds a run. Continue it, or choose another folder with --run."
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except NotADirectoryError as error:
            raise RunError(_not_a_folder(path)) from error
        except OSError as error:
            raise RunError(cannot_write(path, error)) from None
        marker = {
            "format": FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "zoo_version": zoo_core.__version__,
        }
        write_atomic(path / MARKER, (json.dumps(marker, indent=2) + "\n").encode())
        for folder in ("checkpoints", "samples"):
            (path / folder).mkdir(exist_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run at `path`, for reading or continuing.

        Raises `RunError` when there is none, or when its format is not known.
        """
        found = _inspect(path)
        if found == "nothing":
            raise RunError(f"{path}: no run here (it has no {MARKER}). Start one: zoo train NAME.")
        marker = _read_marker(path / MARKER)
        return cls(path, marker["created"], marker["zoo_version"])

    @classmethod
    def ensure(cls, path: Path) -> RunFolder:
        """The run at `path` if there is one, else a new one. Raises as `create` and `open` do."""
        return cls.open(path) if _inspect(path) == "run" else cls.create(path)

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a run is at `path`. Raises `RunError` for a file or somebody else's folder."""
        return _inspect(path) == "run"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """The folder of milestone images."""
        return self.path / "samples"

    def write_text_atomic(self, name: str, text: str) -> None:
        """Write ``path / name`` in UTF-8, all or nothing. Raises `RunError`."""
        self.write_bytes_atomic(name, text.encode())

    def write_bytes_atomic(self, name: str, data: bytes) -> None:
        """Write ``path / name``, all or nothing. Raises `RunError`."""
        assert ".." not in Path(name).parts, f"{name} leaves the run folder"
        assert not Path(name).is_absolute(), f"{name} leaves the run folder"
        write_atomic(self.path / name, data)

    def read_text(self, name: str) -> str:
        """The text of ``path / name``. Raises `RunError` when it is missing or unreadable."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RunError(
                f"{self.path}: {name} is missing; the run stopped before it was written."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path / name}: cannot be read ({error}).") from None

    def log_path(self, log: LogName) -> Path:
        """The file of one of the three logs."""
        return self.path / f"{log}.jsonl"

    def read_log(self, log: LogName) -> Log:
        """All rows of a log (none when nothing was logged). Raises `RunError` on a damaged one."""
        return read_log(self.log_path(log))

    def writer(self, log: LogName, attempt: int) -> LogWriter:
        """Appends rows of this attempt to a log. The caller holds the run's lock."""
        return LogWriter(self.log_path(log), attempt)

    def next_attempt(self) -> int:
        """The number of the attempt about to begin: 1 + the highest in any log."""
        rows = (row for log in LOGS for row in self.read_log(log).rows)
        return 1 + max((int(row["attempt"]) for row in rows), default=0)


def _inspect(path: Path) -> Literal["nothing", "run"]:
    """What is at `path`. Raises `RunError` for anything but nothing, an empty folder or a run."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        return "nothing"
    except NotADirectoryError:
        raise RunError(_not_a_folder(path)) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RunError(f"{path}: cannot be opened ({reason}).") from None
    if MARKER in names:
        return "run"
    # A crash before run.json was in place leaves an unfinished file of ours: still an empty folder.
    foreign = [name for name in names if not name.startswith(TEMPORARY)]
    if not foreign:
        return "nothing"
    shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
    raise RunError(
        f"{path}: holds other files ({shown}) and no {MARKER}, so it is not a run and is left alone. "
        "Choose an empty or new folder with --run."
    )


def _not_a_folder(path: Path) -> str:
    blocking = path
    while not blocking.exists() and blocking != blocking.parent:
        blocking = blocking.parent
    return f"{path}: {blocking} is a file, and a run needs a folder. Choose another with --run."


def _read_marker(path: Path) -> dict[str, Any]:
    try:
        marker = json.loads(path.read_bytes())
        version = marker["format"]
        known = isinstance(marker["created"], str) and isinstance(marker["zoo_version"], str)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise RunError(f"{path.parent}: no run here (it has no {MARKER}).") from None
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError):
        known = False
        version = None
    if isinstance(version, int) and version > FORMAT:
        raise RunError(
            f"{path}: the run has format {version}, this zoo {zoo_core.__version__} reads up to "
            f"{FORMAT}. Upgrade it: pip install --upgrade t2i-backbone-zoo."
        )
    if version != FORMAT or not known:
        raise RunError(
            f'{path}: damaged; expected a table with "format": {FORMAT}, "created" and "zoo_version".'
        )
    return marker
