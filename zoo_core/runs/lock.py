"""One trainer a run folder.

The lock is a file that says who holds it, and a lock of the operating system on that file (flock) that
ends with the process, however it ends. Where the file system has no such locks, the file alone
decides: it is stale when its process is no longer there.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo_core.errors import RunError
from zoo_core.runs.durable import TEMPORARY, cannot_write
from zoo_core.runs.folder import RunFolder

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock.

    started: clock ticks from boot to the start of the process where the system tells (Linux), else an
    empty string; with it, another process that was given the same number later is told apart.
    since: time of locking, seconds since 1970.
    """

    pid: int
    host: str
    started: str
    since: float

    def is_dead(self) -> bool:
        """True when the process ran on this host and is gone; False for one elsewhere."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it exists and belongs to another user
            pass
        return bool(self.started) and process_start(self.pid) not in ("", self.started)


class RunLock:
    """Held from `acquire` to `release`; usable as a context manager."""

    def __init__(self, path: Path, descriptor: int, replaced: Owner | None) -> None:
        self.path = path
        self.replaced = replaced
        """The dead process whose lock was taken over, for the log; None when the run was free."""
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, run: RunFolder) -> RunLock:
        """Lock the run for this process.

        Raises `RunError` naming the process that holds it, or saying why the folder cannot be
        written. The lock of a process that is gone is taken over.
        """
        path = run.path / "lock"
        with _one_at_a_time(run.path):
            owner = _read_owner(path)
            descriptor, taken = _open_and_lock(path)
            try:
                if taken is not True and owner is not None and owner.is_dead():
                    # Worker processes that outlived their trainer share its flock: leave them the
                    # old file and lock a new one.
                    fresh = path.with_name(f"{TEMPORARY}{os.getpid()}-lock")
                    leave = descriptor
                    descriptor, taken = _open_and_lock(fresh)
                    os.close(leave)
                    fresh.replace(path)
                elif taken is not True and owner is not None:
                    raise RunError(_refusal(run, path, owner))
                if taken is False:
                    raise RunError(
                        f"{run.path}: in use by another process. Wait for it to end, or choose "
                        "another folder with --run."
                    )
                _write_owner(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        return cls(path, descriptor, owner)

    @property
    def held(self) -> bool:
        """Whether this object still holds the lock."""
        return self._descriptor is not None

    def release(self) -> None:
        """Give the run free. Does nothing the second time."""
        if self._descriptor is None:
            return
        with _one_at_a_time(self.path.parent):
            mine = os.fstat(self._descriptor)
            try:
                there = self.path.stat()
            except FileNotFoundError:
                there = None
            if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                self.path.unlink()
            os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def holder(run: RunFolder) -> Owner | None:
    """Who has locked the run, as the file says; None when nobody has or the holder is gone."""
    owner = _read_owner(run.path / "lock")
    return None if owner is None or owner.is_dead() else owner


def process_start(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty where /proc does not say."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # Field 22; the second one, the command's name in brackets, may contain spaces and brackets.
    return text.rpartition(")")[2].split()[19]


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keeps others from looking at the lock file while it is judged and replaced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        yield
    finally:
        os.close(descriptor)


def _open_and_lock(path: Path) -> tuple[int, bool | None]:
    """Open a lock file and try the system's lock on it, without waiting.

    Returns the descriptor and True when taken, False when another has it, None where the file system
    has no such locks.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunError(cannot_write(path, error)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return descriptor, False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            os.close(descriptor)
            raise
        return descriptor, None
    return descriptor, True


def _write_owner(path: Path, descriptor: int) -> None:
    owner = Owner(os.getpid(), socket.gethostname(), process_start(os.getpid()), time.time())
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(owner)).encode(), 0)
    except OSError as error:
        raise RunError(cannot_write(path, error)) from None


def _read_owner(path: Path) -> Owner | None:
    """The owner in the file; None when there is no file or it was never finished."""
    try:
        table = json.loads(path.read_bytes())
        return Owner(
            int(table["pid"]), str(table["host"]), str(table["started"]), float(table["since"])
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None  # a crash while locking; without an owner the system's lock decides
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from None


def _refusal(run: RunFolder, path: Path, owner: Owner) -> str:
    here = owner.host == socket.gethostname()
    where = "" if here else f" on {owner.host}"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(owner.since))
    text = f"{run.path}: in use by process {owner.pid}{where} since {since}. "
    if here:
        return text + "Wait for it or stop it, or choose another folder with --run."
    return text + f"Stop it there; if it is gone, remove {path}."
