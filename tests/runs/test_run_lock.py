"""One trainer a run: a second is refused, a dead one's lock is taken over."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo_core.errors import RunError
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.lock import RunLock, holder, process_start

HOLD = """
import os, sys
from pathlib import Path
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.lock import RunLock
lock = RunLock.acquire(RunFolder.open(Path(sys.argv[1])))
worker = os.fork() if len(sys.argv) > 2 else -1  # shares the descriptor and outlives us
if worker:
    os.write(1, b"%d\\n" % worker)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


@pytest.fixture
def unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without flock."""

    def refuse(descriptor: int, flags: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture
def other(run: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run."""
    command = [sys.executable, "-c", HOLD, str(run.path)]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "-1\n"
    yield process
    process.kill()
    process.wait()


def forge(run: RunFolder, **changes: object) -> None:
    owner = {"pid": os.getpid(), "host": os.uname().nodename, "started": "", "since": 1.7e9}
    (run.path / "lock").write_text(json.dumps({**owner, **changes}))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_held_then_free(run: RunFolder) -> None:
    assert holder(run) is None
    with RunLock.acquire(run) as lock:
        assert lock.held
        assert lock.replaced is None
        owner = holder(run)
        assert owner is not None
        assert owner.pid == os.getpid()
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            RunLock.acquire(run)
        assert lock.held
    assert not lock.held
    assert not (run.path / "lock").exists()
    lock.release()
    RunLock.acquire(run).release()


def test_a_second_process_is_refused_by_number(
    run: RunFolder, other: subprocess.Popen[str]
) -> None:
    before = (run.path / "lock").read_bytes()
    with pytest.raises(RunError, match=rf"in use by process {other.pid} since .*--run"):
        RunLock.acquire(run)
    assert (run.path / "lock").read_bytes() == before


def test_the_lock_of_a_killed_process_is_taken_over(
    run: RunFolder, other: subprocess.Popen[str]
) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert holder(run) is None
    with RunLock.acquire(run) as lock:
        assert lock.replaced is not None
        assert lock.replaced.pid == other.pid
        owner = holder(run)
        assert owner is not None
        assert owner.pid == os.getpid()


def test_workers_that_outlive_their_trainer_do_not_hold_the_run(run: RunFolder) -> None:
    command = [sys.executable, "-c", HOLD, str(run.path), "fork"]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        with RunLock.acquire(run) as lock:
            assert lock.replaced is not None
            assert lock.replaced.pid == process.pid
            with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
                RunLock.acquire(run)
    finally:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.usefixtures("unsupported")
class TestWithoutSystemLocks:
    """The file alone decides."""

    def test_a_living_process_keeps_its_run(self, run: RunFolder) -> None:
        lock = RunLock.acquire(run)
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            RunLock.acquire(run)
        lock.release()
        RunLock.acquire(run).release()

    def test_a_dead_process_loses_it(self, run: RunFolder) -> None:
        forge(run, pid=dead_pid())
        RunLock.acquire(run).release()

    def test_a_number_used_again_is_told_apart(self, run: RunFolder) -> None:
        if not process_start(os.getpid()):
            pytest.skip("this system does not tell when a process started")
        forge(run, started="1")
        RunLock.acquire(run).release()
        forge(run, started=process_start(os.getpid()))
        with pytest.raises(RunError, match="in use by process"):
            RunLock.acquire(run)

    def test_another_host_is_believed(self, run: RunFolder) -> None:
        forge(run, pid=dead_pid(), host="node17")
        with pytest.raises(RunError, match=r"on node17 .*if it is gone, remove .*lock"):
            RunLock.acquire(run)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_an_unfinished_lock_file_does_not_block(run: RunFolder, text: str) -> None:
    (run.path / "lock").write_text(text)
    RunLock.acquire(run).release()


def test_a_lock_that_cannot_be_written(run: RunFolder) -> None:
    (run.path / "lock").mkdir()
    with pytest.raises(RunError, match="lock: cannot be"):
        RunLock.acquire(run)


def test_release_leaves_a_lock_that_is_no_longer_ours(run: RunFolder) -> None:
    lock = RunLock.acquire(run)
    (run.path / "lock").unlink()
    with RunLock.acquire(run):
        lock.release()
        assert (run.path / "lock").exists()
