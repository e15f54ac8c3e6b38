"""Checkpoints: whole or not there, checked before use, never lost to a newer bad one."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo_core.errors import CheckpointError
from zoo_core.runs import checkpoints
from zoo_core.runs.checkpoints import (
    LATEST,
    Checkpoint,
    latest,
    load,
    prune,
    published,
    verify,
)
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.lock import RunLock


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


def tensors(seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(64, 33, generator=generator)
    return {
        "model": {"a.weight": weight, "a.tied": weight, "b": weight.t()[::2]},
        "optimizer": {"a.weight/step": torch.tensor(3.0), "half": weight.bfloat16()},
        "empty": {},
    }


def save(run: RunFolder, step: int, seed: int = 0, **state: Any) -> Checkpoint:
    return checkpoints.save(
        run,
        step,
        tensors(seed),
        {"note": "é", **state},
        samples=step * 64,
        variant="sdxl-td4_4",
        fingerprint="f" * 32,
    )


def no_warning(text: str) -> None:
    raise AssertionError(f"unexpected warning: {text}")


def names(run: RunFolder) -> list[str]:
    return sorted(path.name for path in run.checkpoints.iterdir() if path.name != LATEST)


def test_what_was_saved_comes_back(run: RunFolder) -> None:
    saved = save(run, 800, rows=[1, 2])
    assert saved.path == run.checkpoints / "step-000800"
    assert verify(saved.path) == saved
    assert (saved.step, saved.samples, saved.variant) == (800, 51200, "sdxl-td4_4")
    assert set(saved.files) == {
        "model.safetensors",
        "optimizer.safetensors",
        "empty.safetensors",
        "state.json",
    }
    found, state = load(saved.path)
    assert state == {"note": "é", "rows": [1, 2]}
    expected = tensors()
    assert found.keys() == expected.keys()
    for group, named in expected.items():
        assert found[group].keys() == named.keys()
        for name, value in named.items():
            assert found[group][name].dtype == value.dtype
            assert torch.equal(found[group][name], value), name
    assert names(run) == ["step-000800"]


def test_loaded_tensors_are_a_copy(run: RunFolder) -> None:
    path = save(run, 1).path
    found, _ = load(path)
    found["model"]["a.weight"].zero_()
    verify(path)


def test_latest_is_the_newest_by_number(run: RunFolder) -> None:
    assert latest(run, no_warning) is None
    for step in (200, 1_000_000, 900):
        save(run, step)
    (run.checkpoints / "notes.txt").write_text("mine")
    assert [step for step, _ in published(run)] == [200, 900, 1_000_000]
    found = latest(run, no_warning)
    assert found is not None
    assert found.step == 1_000_000


def truncate(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "truncated|damaged"),
        (flip, "damaged"),
        (grow, "changed|damaged"),
        (Path.unlink, "missing"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_passed_over(
    run: RunFolder, name: str, damage: Any, words: str
) -> None:
    save(run, 100, seed=1)
    bad = save(run, 200, seed=2).path
    damage(bad / name)
    with pytest.raises(CheckpointError, match=words) as error:
        load(bad)
    assert str(bad / name) in str(error.value)
    warnings: list[str] = []
    found = latest(run, warnings.append)
    assert found is not None
    assert found.step == 100
    assert len(warnings) == 1
    assert str(bad / name) in warnings[0]
    restored, _ = load(found.path)
    assert torch.equal(restored["model"]["a.weight"], tensors(1)["model"]["a.weight"])


@pytest.mark.parametrize("key", ["step", "samples", "variant", "fingerprint", "files", "sha256"])
def test_a_manifest_changed_by_hand_is_damaged(run: RunFolder, key: str) -> None:
    path = save(run, 100).path
    manifest = path / "manifest.json"
    table = json.loads(manifest.read_text())
    table[key] = "100" if key != "files" else {}
    manifest.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match=r"manifest\.json: damaged"):
        verify(path)
    table.pop(key)
    manifest.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match=r"manifest\.json: damaged"):
        verify(path)


def test_a_later_format_is_refused(run: RunFolder) -> None:
    path = save(run, 1).path
    manifest = path / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 2}))
    with pytest.raises(CheckpointError, match="format 2"):
        verify(path)


def test_no_good_checkpoint_is_an_error_not_a_new_start(run: RunFolder) -> None:
    for step in (1, 2):
        truncate(save(run, step).path / "model.safetensors")
    warnings: list[str] = []
    with pytest.raises(CheckpointError, match="none of its 2 checkpoints is whole"):
        latest(run, warnings.append)
    assert len(warnings) == 2


def test_a_checkpoint_that_is_not_there(run: RunFolder) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load(run.checkpoints / "step-000007")


def test_a_checkpoint_of_another_model_is_refused(run: RunFolder) -> None:
    saved = save(run, 1)
    saved.require("sdxl-td4_4", "f" * 32)
    with pytest.raises(CheckpointError, match="of 'sdxl-td4_4', not of 'sd2'"):
        saved.require("sd2", "f" * 32)
    with pytest.raises(CheckpointError, match="another recipe"):
        saved.require("sdxl-td4_4", "e" * 32)


def test_saving_a_step_again_replaces_it(run: RunFolder) -> None:
    save(run, 100, seed=1)
    path = save(run, 100, seed=2).path
    found, _ = load(path)
    assert torch.equal(found["model"]["b"], tensors(2)["model"]["b"])
    assert names(run) == ["step-000100"]


def test_a_full_disk_leaves_the_previous_checkpoint(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(run, 100)
    real, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"step 200 was not saved.*the disk is full"):
            save(run, 200)
    assert calls > 2
    assert names(run) == ["step-000100"]
    found = latest(run, no_warning)
    assert found is not None
    assert found.step == 100
    save(run, 200)


TOO_LARGE = """
import resource, signal, sys
from pathlib import Path
import torch
from zoo_core.errors import CheckpointError
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = RunFolder.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    checkpoints.save(run, 200, {"model": {"w": torch.zeros(100_000)}}, {}, samples=1, variant="v",
                     fingerprint="f")
except CheckpointError as error:
    print(error)
"""


def test_a_write_the_system_refuses_inside_safetensors(run: RunFolder) -> None:
    """A limit on file sizes is the refusal a test can have from the system without privileges."""
    assert resource.RLIMIT_FSIZE is not None
    save(run, 100)
    command = [sys.executable, "-c", TOO_LARGE, str(run.path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "step 200 was not saved" in result.stdout
    assert "file too large" in result.stdout
    assert names(run) == ["step-000100"]


def test_an_interrupt_while_saving_leaves_nothing(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(partial: Path, final: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_publish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(run, 100)
    assert names(run) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
real = os.fsync

def save(folder, limit):
    calls = 0
    def fsync(descriptor):
        nonlocal calls
        calls += 1
        if calls > limit:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)
    os.fsync = fsync
    run = RunFolder.open(folder)
    for step in (200, 100):
        checkpoints.save(run, step, {"model": {"w": torch.full((9,), step)}, "more": {}}, {},
                         samples=step, variant="v", fingerprint="f")

for limit, folder in enumerate(sys.argv[1:]):
    child = os.fork()
    if child == 0:
        save(Path(folder), limit)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_killed_anywhere_while_saving(tmp_path: Path) -> None:
    """Wherever the process dies, what is published is whole and the rest is recognised."""
    runs = []
    for number in range(20):
        run = RunFolder.create(tmp_path / str(number))
        save(run, 50)
        save(run, 100)  # saved again by the process that is killed
        runs.append(run)
    command = [sys.executable, "-c", KILLED, *(str(run.path) for run in runs)]
    result = subprocess.run(command, capture_output=True, text=True)
    ends = [int(line) for line in result.stdout.split()]
    assert len(ends) == len(runs), result.stderr
    assert ends == [-9] * 16 + [0] * 4  # two saves of eight syncs each
    newest = []
    for run in runs:
        steps = [step for step, path in published(run) if verify(path)]
        assert steps[0] == 50
        found = latest(run, no_warning)
        assert found is not None
        newest.append(found.step)
        with RunLock.acquire(run) as lock:
            checkpoints.remove_leftovers(run, lock)
        assert names(run) == [f"step-{step:06d}" for step in steps]
    assert newest == [100] * 7 + [200] * 13


def test_retention_keeps_the_newest(run: RunFolder) -> None:
    for step in (100, 200, 300, 400):
        save(run, step)
    removed = prune(run, 2)
    assert [path.name for path in removed] == ["step-000100", "step-000200"]
    assert names(run) == ["step-000300", "step-000400"]
    assert prune(run, 2) == []


def test_retention_keeps_the_last_good_one(run: RunFolder) -> None:
    for step in (100, 200, 300):
        save(run, step)
    truncate(run.checkpoints / "step-000300" / "model.safetensors")
    assert prune(run, 1) == []
    found = latest(run, lambda text: None)
    assert found is not None
    assert found.step == 200
    assert prune(run, 2) == [run.checkpoints / "step-000100"]


def test_a_removal_cut_short_leaves_no_half_checkpoint(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (100, 200):
        save(run, step)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
        prune(run, 1)
    assert [step for step, _ in published(run)] == [200]
    with RunLock.acquire(run) as lock:
        checkpoints.remove_leftovers(run, lock)
    assert names(run) == ["step-000200"]


def test_leftovers_are_removed_under_the_lock_only(run: RunFolder) -> None:
    save(run, 100)
    left = run.checkpoints / ".partial-step-000200-99"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    assert [step for step, _ in published(run)] == [100]
    lock = RunLock.acquire(run)
    assert checkpoints.remove_leftovers(run, lock) == [left]
    assert names(run) == ["step-000100"]
    lock.release()
    with pytest.raises(AssertionError):
        checkpoints.remove_leftovers(run, lock)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path)
    run.checkpoints.rmdir()
    run.checkpoints.write_text("mine")
    with pytest.raises(CheckpointError, match=r"not saved.*cannot be written"):
        save(run, 1)
    assert run.checkpoints.read_text() == "mine"
