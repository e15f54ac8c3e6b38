"""Checkpoints: state that comes back unchanged, disks that fill up, and what is refused."""

import errno
import json
import time

import pytest
import torch

from zoo_core.errors import CheckpointError
from zoo_core.interfaces.group import Alone
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_gpu_trainer import saver as module
from zoo_gpu_trainer.saver import OPTIMIZER, Saver
from zoo_gpu_trainer.state import (
    optimizer_moments,
    optimizer_steps,
    restore_backbone,
    restore_optimizer,
    whole,
)
from zoo_gpu_trainer.update import Wishes


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run")


@pytest.fixture
def told():
    return []


@pytest.fixture
def saver(run, recipe_for, told):
    saver = Saver(run, recipe_for(), Alone(), lambda step, reason: told.append((step, reason)))
    yield saver
    saver.close()


def _save(saver, updater, step):
    saver.save(
        step,
        {"backbone": whole(updater.backbone.state_dict().items(), True)},
        optimizer_moments(updater.optimizer, updater.backbone),
        {"optimizer_steps": optimizer_steps(updater.optimizer)},
    )


def _restore(updater, path):
    tensors, state = checkpoints.load(path)
    restore_backbone(updater.backbone, tensors["backbone"])
    steps = state["optimizer_steps"]
    restore_optimizer(updater.optimizer, updater.backbone, path / OPTIMIZER, steps, None)


def test_weights_and_moments_come_back_unchanged(run, saver, updater, updater_for, told):
    updater.update(0, Wishes())
    updater.update(1, Wishes())
    _save(saver, updater, 2)
    kept = {name: tensor.clone() for name, tensor in updater.backbone.state_dict().items()}
    moments = optimizer_moments(updater.optimizer, updater.backbone)
    moments = {name: tensor.clone() for name, tensor in moments.items()}
    updater.update(2, Wishes())  # while the checkpoint is being written
    saver.wait()
    assert told == []
    newest = checkpoints.latest(run, pytest.fail)
    assert newest is not None
    assert newest.step == 2
    assert (run.checkpoints / "latest").resolve() == newest.path

    fresh = updater_for({"training.seed": 7})
    _restore(fresh, newest.path)
    again = optimizer_moments(fresh.optimizer, fresh.backbone)
    assert moments.keys() == again.keys()
    assert all(torch.equal(moments[name], again[name]) for name in moments)
    state = fresh.backbone.state_dict()
    assert all(torch.equal(kept[name], state[name]) for name in kept)
    assert optimizer_steps(fresh.optimizer) == 2


def test_moments_of_another_model_are_refused(run, saver, updater, updater_for):
    updater.update(0, Wishes())
    _save(saver, updater, 1)
    saver.wait()
    other = updater_for(name="pixart-debug")
    folder = run.checkpoints / "step-000001" / OPTIMIZER
    with pytest.raises(CheckpointError, match="unknown parameter"):
        restore_optimizer(other.optimizer, other.backbone, folder, 1, None)


def test_a_full_disk_is_told_and_the_next_checkpoint_tried(run, saver, updater, told, monkeypatch):
    updater.update(0, Wishes())
    _save(saver, updater, 1)
    saver.wait()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "sync_file", full)
    _save(saver, updater, 2)
    saver.wait()
    assert saver.failed
    assert saver.saved_step == -1
    assert [step for step, _ in told] == [2]
    assert "step 2 was not saved" in told[0][1]
    assert "disk is full" in told[0][1]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["latest", "step-000001"]
    assert not saver.wants_retry
    monkeypatch.setattr(module, "RETRY", -1.0)
    assert saver.wants_retry
    monkeypatch.undo()
    _save(saver, updater, 2)
    saver.wait()
    assert not saver.failed
    assert checkpoints.latest(run, pytest.fail).step == 2


def test_a_disk_that_fails_under_the_moments_is_told_as_one(run, saver, updater, told, monkeypatch):
    """The optimizer's part is written by torch.distributed.checkpoint; its failures are ours to tell."""
    updater.update(0, Wishes())
    monkeypatch.setattr(
        torch.distributed.checkpoint.filesystem.os,
        "fsync",
        lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")),
    )
    _save(saver, updater, 1)
    saver.wait()
    assert saver.failed
    assert "disk is full" in told[0][1]
    assert list(run.checkpoints.iterdir()) == []


def test_a_damaged_moments_file_is_named(run, saver, updater):
    updater.update(0, Wishes())
    for step in (1, 2):
        _save(saver, updater, step)
        saver.wait()
    shard = next((run.checkpoints / "step-000002" / OPTIMIZER).iterdir())
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    told = []
    assert checkpoints.latest(run, told.append).step == 1
    assert f"{OPTIMIZER}/{shard.name}: damaged" in told[0]


def test_old_checkpoints_go_and_a_slow_disk_is_waited_for(run, saver, updater, monkeypatch):
    real = checkpoints.Draft.publish

    def slowly(self, *arguments, **named):
        time.sleep(0.2)
        return real(self, *arguments, **named)

    monkeypatch.setattr(checkpoints.Draft, "publish", slowly)
    updater.update(0, Wishes())
    for step in (1, 2, 3, 4):
        _save(saver, updater, step)
    saver.wait()
    assert [step for step, _ in checkpoints.published(run)] == [3, 4]
    manifest = json.loads((run.checkpoints / "latest" / "manifest.json").read_text())
    assert manifest["step"] == 4
