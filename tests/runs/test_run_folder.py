"""The run folder: made, opened, recognised, and never mixed with files of others."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo_core
from zoo_core.errors import RunError
from zoo_core.runs.durable import TEMPORARY
from zoo_core.runs.folder import RunFolder


def test_create_then_open(tmp_path: Path) -> None:
    made = RunFolder.create(tmp_path / "deep" / "run")
    assert made == RunFolder.open(made.path)
    assert made.zoo_version == zoo_core.__version__
    assert made.created.endswith("+00:00")
    assert made.checkpoints.is_dir()
    assert made.samples.is_dir()
    assert json.loads((made.path / "run.json").read_text())["format"] == 1
    assert made.next_attempt() == 1


def test_ensure_creates_and_continues(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert not RunFolder.exists(path)
    first = RunFolder.ensure(path)
    assert RunFolder.exists(path)
    assert RunFolder.ensure(path) == first


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path).path == tmp_path


def test_a_crash_before_the_marker_leaves_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}123-run.json").write_text("{")
    assert not RunFolder.exists(tmp_path)
    RunFolder.create(tmp_path)


def test_create_refuses_a_run(tmp_path: Path) -> None:
    RunFolder.create(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder.create(tmp_path)
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize("method", [RunFolder.create, RunFolder.ensure, RunFolder.open])
def test_foreign_folders_are_left_alone(tmp_path: Path, method) -> None:
    for name in ("thesis.tex", "a.csv", "b.csv", "c.csv", "data"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match=r"a\.csv, b\.csv, c\.csv and 2 more.*--run") as error:
        method(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("below", ["", "run", "runs/deep"])
def test_a_file_in_the_way(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(RunError, match=r"file is a file.*--run"):
        RunFolder.ensure(file / below)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EROFS, "read-only file system"), (errno.EACCES, "permission denied")],
)
def test_a_place_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=rf"{words}.*--run"):
        RunFolder.create(tmp_path / "run")


def test_a_read_only_folder_can_still_be_read(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path)
    with run.writer("train", 1) as log:
        log.append({"step": 1, "loss": 0.5})
    run.write_text_atomic("recipe.toml", 'name = "x"\n')
    for path in (*tmp_path.iterdir(), tmp_path):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        again = RunFolder.open(tmp_path)
        assert again.read_log("train").rows[0]["loss"] == 0.5
        assert again.read_text("recipe.toml") == 'name = "x"\n'
    finally:
        tmp_path.chmod(0o755)


def test_opening_nothing_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run here.*zoo train"):
        RunFolder.open(tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 1}', '{"format": "1"}', '{"format": 0}', "\xff",
     '{"format": 1, "created": 3, "zoo_version": "0"}'],
)  # fmt: skip
def test_a_damaged_marker_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"run\.json: damaged"):
        RunFolder.open(tmp_path)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    table = {"format": 2, "created": "2030-01-01T00:00:00+00:00", "zoo_version": "9.0"}
    (tmp_path / "run.json").write_text(json.dumps(table))
    with pytest.raises(RunError, match=r"format 2.*reads up to 1.*pip install --upgrade"):
        RunFolder.open(tmp_path)


def test_text_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path)
    run.write_text_atomic("recipe.toml", "first")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"recipe\.toml: cannot be written, the disk is full"):
            run.write_text_atomic("recipe.toml", "second")
    assert run.read_text("recipe.toml") == "first"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(TEMPORARY)]
    run.write_text_atomic("samples/note.txt", "é")
    assert (tmp_path / "samples" / "note.txt").read_bytes() == "é".encode()


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path)
    (tmp_path / "recipe.toml").mkdir()
    with pytest.raises(RunError, match=r"recipe\.toml: cannot be written"):
        run.write_text_atomic("recipe.toml", "x")
    with pytest.raises(RunError, match=r"recipe\.toml: cannot be read"):
        run.read_text("recipe.toml")
    with pytest.raises(RunError, match=r"provenance\.json is missing"):
        run.read_text("provenance.json")


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt"])
def test_writing_outside_the_run_is_our_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(AssertionError):
        RunFolder.create(tmp_path).write_text_atomic(name, "x")


def test_reading_runs_imports_nothing_heavy() -> None:
    code = (
        "import sys; import zoo_core.runs.folder, zoo_core.runs.logs, zoo_core.runs.checkpoints, "
        "zoo_core.runs.lock; heavy = {'torch', 'numpy', 'safetensors', 'diffusers', 'pluggy'}; "
        "sys.exit(', '.join(sorted(heavy & sys.modules.keys())) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
