"""JSON-lines logs: appended whole, read back after crashes, last attempts first."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_core.errors import RunError
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import LogWriter, last_attempt, read_log


def steps(path: Path) -> list[int]:
    return [row["step"] for row in read_log(path).rows]


def test_rows_come_back_with_attempt_and_time(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    with LogWriter(path, 3) as log:
        log.append({"step": 10, "loss": 0.25, "note": "é\n", "nested": {"a": [1, None, True]}})
        log.sync()
        (row,) = read_log(path).rows  # already there, before the writer is closed
    assert row.pop("time") > 1.7e9
    expected = {"step": 10, "loss": 0.25, "note": "é\n", "nested": {"a": [1, None, True]}}
    assert row == {"attempt": 3, **expected}


def test_a_missing_or_empty_log_has_no_rows(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none.jsonl").rows == []
    (tmp_path / "empty.jsonl").touch()
    assert read_log(tmp_path / "empty.jsonl").rows == []


@pytest.mark.parametrize(
    "tail", [b'{"attempt": 1, "st', b"\x00\x00\x00", b'{"attempt": 1, "a": "\xc3']
)
def test_a_torn_last_line_is_left_out_and_mended(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "train.jsonl"
    with LogWriter(path, 1) as log:
        log.append({"step": 1})
        log.append({"step": 2})
    with path.open("ab") as file:
        file.write(tail)
    found = read_log(path)
    assert [row["step"] for row in found.rows] == [1, 2]
    assert found.torn is not None
    assert f"{path}:3" in found.torn
    with LogWriter(path, 2) as log:
        log.append({"step": 3})
    mended = read_log(path)
    assert [row["step"] for row in mended.rows] == [1, 2, 3]
    assert mended.torn is None


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"attempt":1,"step":1}\n{"attempt":1,"step":2}')
    assert steps(path) == [1, 2]
    with LogWriter(path, 2) as log:
        log.append({"step": 3})
    assert steps(path) == [1, 2, 3]


def test_a_torn_line_longer_than_a_block_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"attempt":1,"step":1}\n' + b'{"x": "' + b"y" * 200_000)
    LogWriter(path, 2).close()
    assert path.read_bytes() == b'{"attempt":1,"step":1}\n'
    path.write_bytes(b"{" * 150_000)
    LogWriter(path, 2).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"garbage", "not JSON"),
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"step": 1}', "attempt"),
        (b'{"attempt": "1"}', "attempt"),
        (b'{"attempt": true}', "attempt"),
        (b'{"attempt": 1, "loss": NaN}', "not JSON"),
        (b"\xff\xfe", "not JSON"),
    ],
)
@pytest.mark.parametrize("after", [b"", b'{"attempt":1,"step":3}\n'])
def test_garbage_is_refused_by_line(tmp_path: Path, line: bytes, words: str, after: bytes) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_bytes(b'{"attempt":1,"step":1}\n' + line + b"\n" + after)
    with pytest.raises(RunError, match=rf"scores\.jsonl:2: .*{words}"):
        read_log(path)


def test_numbers_json_lacks_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    with LogWriter(path, 1) as log:
        with pytest.raises(RunError, match="only finite numbers"):
            log.append({"step": 1, "loss": float("nan")})
        log.append({"step": 2})
    assert steps(path) == [2]


def test_a_full_disk_is_a_sentence() -> None:
    with LogWriter(Path("/dev/full"), 1) as log, pytest.raises(RunError, match="the disk is full"):
        log.append({"step": 1})


def test_a_disk_that_fills_within_a_line_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train.jsonl"
    real = os.write
    room = 30

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[:room]
        room -= len(part)
        return real(descriptor, part)

    with LogWriter(path, 1) as log:
        log.append({"step": 1})
        before = path.read_bytes()
        room = 30
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            with pytest.raises(RunError, match=r"train\.jsonl: .*disk is full"):
                log.append({"step": 2, "loss": 0.123456789})
        assert room == 0
        assert path.read_bytes() == before
        log.append({"step": 2})
    assert steps(path) == [1, 2]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    path = tmp_path / "train.jsonl"
    with LogWriter(path, 1) as log:
        log.append({"step": 1, "note": "a line longer than seven bytes"})
    assert steps(path) == [1]


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").mkdir()
    with pytest.raises(RunError, match=r"train\.jsonl: cannot be written"):
        LogWriter(tmp_path / "train.jsonl", 1)
    with pytest.raises(RunError, match=r"train\.jsonl: cannot be read"):
        read_log(tmp_path / "train.jsonl")


def test_attempts_count_on_from_the_highest_of_all_logs(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path)
    with run.writer("events", 1) as log:
        log.append({"event": "start"})
    assert run.next_attempt() == 2
    with run.writer("train", 4) as log:
        log.append({"step": 1})
    assert run.next_attempt() == 5


def rows(*pairs: tuple[int, int]) -> list[dict[str, int]]:
    return [{"attempt": attempt, "step": step} for attempt, step in pairs]


def test_the_last_attempt_of_a_step_counts() -> None:
    written = rows((1, 10), (1, 20), (1, 30), (1, 40), (2, 30), (2, 40), (2, 50))
    expected = rows((1, 10), (1, 20), (2, 30), (2, 40), (2, 50))
    assert last_attempt(written) == expected
    # A step that only the superseded attempt logged is gone: training went another way.
    assert last_attempt(rows((1, 10), (1, 25), (2, 20))) == rows((1, 10), (2, 20))
    # The third attempt goes back before the second one began.
    thrice = rows((1, 10), (1, 20), (2, 20), (2, 30), (3, 10), (3, 20))
    assert last_attempt(thrice) == rows((3, 10), (3, 20))
    assert last_attempt([]) == []


def test_all_rows_of_a_step_stay_in_their_order() -> None:
    scores = [
        {"attempt": 1, "step": 20, "metric": "a"},
        {"attempt": 1, "step": 20, "metric": "b"},
        {"attempt": 1, "step": 10, "metric": "a"},
    ]
    assert [row["metric"] for row in last_attempt(scores)] == ["a", "a", "b"]


@given(
    starts=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=6),
)
def test_last_attempt_equals_a_replay(starts: list[tuple[int, int]]) -> None:
    """Training is replayed with a table that a restart cuts back to where it goes on."""
    written: list[dict[str, int]] = []
    table: dict[int, int] = {}
    for attempt, (start, count) in enumerate(starts, start=1):
        table = {step: by for step, by in table.items() if step < start}
        for step in range(start, start + count):
            written.append({"attempt": attempt, "step": step})
            table[step] = attempt
    found = {row["step"]: row["attempt"] for row in last_attempt(written)}
    assert found == table
    assert len(last_attempt(written)) == len(table)
