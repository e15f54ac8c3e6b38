"""Whole runs: train, continue, draw, score, and what happens when something is in the way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo_core.errors import CheckpointError, RunError, TrainingError
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import last_attempt
from zoo_core.workflow.evaluate import evaluate
from zoo_core.workflow.sample import sample
from zoo_core.workflow.summary import summary


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the newest checkpoint, weights and optimizer state."""
    newest = checkpoints.latest(RunFolder.open(path), pytest.fail)
    assert newest is not None
    groups, _ = checkpoints.load(newest.path)
    # Copies: what safetensors loads is a view of the file, and some tests damage the file.
    return {
        f"{group}/{name}": t.clone() for group, named in groups.items() for name, t in named.items()
    }


def _losses(path: Path) -> dict[int, float]:
    rows = last_attempt(RunFolder.open(path).read_log("train").rows)
    return {row["step"]: row["loss"] for row in rows}


def _same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture
def finished(tmp_path, run_small):
    path = tmp_path / "run"
    assert run_small(path).finished
    return path


def test_a_run_leaves_scores_curve_grid_checkpoint_and_recipe(finished):
    run = RunFolder.open(finished)
    assert [row["step"] for row in run.read_log("train").rows] == [1, 2, 3, 4]
    scores = run.read_log("scores").rows
    assert [(row["step"], row["count"]) for row in scores] == [(2, 2), (4, 3)]
    assert all(row["metric"] == "tifa[shapes-reader]" and row["protocol"] for row in scores)
    assert scores[0]["details"]["chance"] < 0.5
    assert Image.open(finished / "curve.png").size[0] > 300
    assert Image.open(finished / "samples" / "step-000004.png").size[0] > 300
    provenance = json.loads((finished / "provenance.json").read_text())
    assert provenance["components"]["backbone"]["plugin"] == "sd2"
    assert provenance["values"]["training.steps"] == "--set"
    events = [row["event"] for row in run.read_log("events").rows]
    assert events == ["start", "finish"]


def test_the_summary_names_the_last_score_and_the_pictures(finished):
    first, second = summary(finished)
    assert first.startswith("Reached tifa[shapes-reader] ")
    assert "at step 4 (16 images) over 3 prompts, guessing gives 0." in first
    assert str(finished / "samples" / "step-000004.png") in second


def test_a_continued_run_equals_an_uninterrupted_one_to_the_bit(tmp_path, run_small, finished):
    parts = tmp_path / "parts"
    assert run_small(parts, changes={"training.steps": 2}).finished
    assert run_small(parts).step == 4
    assert _same(_tensors(finished), _tensors(parts))
    assert _losses(finished) == _losses(parts)


def test_after_a_crash_the_log_covers_the_same_updates(tmp_path, run_small, monkeypatch):
    from zoo_gpu_trainer.update import Updater

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    every = {"training.log_every": 4}
    run_small(whole, changes=every)
    real = Updater.update

    def crash(self, step):
        if step == 3:
            raise RuntimeError("the power is gone")
        return real(self, step)

    monkeypatch.setattr(Updater, "update", crash)
    with pytest.raises(RuntimeError):
        run_small(parts, changes=every)
    monkeypatch.undo()
    assert run_small(parts, changes=every).finished
    assert _losses(whole) == _losses(parts)
    assert _same(_tensors(whole), _tensors(parts))


def test_training_changes_weights_and_another_seed_another_way(tmp_path, run_small, finished):
    other = tmp_path / "other"
    run_small(other, changes={"training.seed": 1})
    assert not _same(_tensors(finished), _tensors(other))


def test_the_micro_batch_does_not_change_what_is_computed(tmp_path, run_small, finished):
    split = tmp_path / "split"
    run_small(split, changes={"training.micro_batch": 2})
    one, two = _losses(finished), _losses(split)
    assert one.keys() == two.keys()
    assert [one[step] for step in one] == pytest.approx([two[step] for step in one], rel=1e-4)


def test_encoding_at_every_step_equals_the_cache(tmp_path, run_small, finished):
    online = tmp_path / "online"
    run_small(online, changes={"data.cache": "false"})
    assert list(_losses(online).values()) == pytest.approx(
        list(_losses(finished).values()), rel=1e-4
    )


@pytest.mark.parametrize("name", ["sdxl-td4_4", "if-xl-c512", "pixart-h1024-d28"])
def test_every_family_trains_on_the_laptop_preset(tmp_path, run_small, name):
    changes = {"training.steps": 1, "evaluation.prompts": 1, "evaluation.final_prompts": 1}
    outcome = run_small(tmp_path / "run", name, changes)
    assert outcome.finished
    assert np.isfinite(list(_losses(tmp_path / "run").values())).all()


def test_a_finished_run_is_left_alone(run_small, finished):
    before = (finished / "scores.jsonl").read_bytes()
    assert run_small(finished).finished
    assert (finished / "scores.jsonl").read_bytes() == before


def test_other_settings_are_refused_difference_by_difference(run_small, finished):
    recipe = (finished / "recipe.toml").read_bytes()
    with pytest.raises(RunError, match=r"optimizer\.learning_rate: 0\.001 before, 0\.5 now"):
        run_small(finished, changes={"optimizer.learning_rate": 0.5})
    assert (finished / "recipe.toml").read_bytes() == recipe


def test_another_variant_in_the_same_folder_is_refused(run_small, finished):
    with pytest.raises(RunError, match=r"backbone\.name: sd2 before, sd2-c512 now"):
        run_small(finished, "sd2-c512")


def test_a_folder_of_something_else_is_left_alone(tmp_path, run_small):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.tex"):
        run_small(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_truncated_checkpoint_is_named_and_the_one_before_is_used(finished, run_small, told):
    whole = _tensors(finished)
    damaged = finished / "checkpoints" / "step-000004" / "backbone.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    assert run_small(finished).finished
    assert any("truncated" in line and "step-000004" in line for line in told.lines)
    assert any("Continuing from step 2" in line for line in told.lines)
    assert _same(whole, _tensors(finished))


def test_a_full_disk_during_a_checkpoint_keeps_the_one_before(tmp_path, run_small, monkeypatch):
    path = tmp_path / "run"
    run_small(path, changes={"training.steps": 2})
    before = _tensors(path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "sync_file", full)
    with pytest.raises(CheckpointError, match="step 4 was not saved"):
        run_small(path)
    monkeypatch.undo()
    assert _same(before, _tensors(path))
    assert run_small(path).finished


def test_a_loss_that_is_not_finite_stops_before_the_update(tmp_path, run_small, monkeypatch):
    from zoo_gpu_trainer import update as module

    path = tmp_path / "run"
    run_small(path, changes={"training.steps": 2})
    before = _tensors(path)
    real = module.training_loss

    def poisoned(*arguments):
        losses = real(*arguments).clone()
        losses[1] = float("nan")
        return losses

    monkeypatch.setattr(module, "training_loss", poisoned)
    with pytest.raises(
        TrainingError, match=r"loss of step 3 is not finite \(samples shapes-\d{6}\)"
    ):
        run_small(path)
    assert _same(before, _tensors(path))


def test_images_of_a_run_depend_on_prompt_seed_and_number_alone(catalog, finished, tmp_path, told):
    red, blue = "a large red circle", "a small blue square"
    first = sample(catalog, finished, [red, blue], tmp_path / "a", 2, {}, told)
    assert [path.name for path in first][-1] == "grid.png"
    second = sample(catalog, finished, [blue], tmp_path / "b", 1, {}, told)
    pixels = np.asarray(Image.open(first[2])).astype(int)
    assert np.abs(pixels - np.asarray(Image.open(second[0]))).max() <= 1
    assert not np.array_equal(np.asarray(Image.open(first[0])), np.asarray(Image.open(first[1])))
    assert Image.open(first[0]).info["zoo:prompt"] == red
    other = sample(catalog, finished, [blue], tmp_path / "c", 1, {"sampling": {"seed": 5}}, told)
    assert not np.array_equal(np.asarray(Image.open(other[0])), np.asarray(Image.open(second[0])))


def test_eval_repeats_the_milestone_score(catalog, finished, told):
    rows = evaluate(catalog, finished, None, 3, (), told)
    last = RunFolder.open(finished).read_log("scores").rows[-1]
    assert rows[0]["value"] == last["value"]
    assert rows[0]["protocol"] == last["protocol"]


def test_eval_of_a_checkpoint_that_is_not_there(catalog, finished, told):
    with pytest.raises(CheckpointError, match="no checkpoint of step 3; it has 2, 4"):
        evaluate(catalog, finished, 3, 1, (), told)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_continues_to_the_same_end(tmp_path, small_values, number):
    """Ctrl-C in the middle of training: exit code, checkpoint, and the same command to the same bits."""
    values = {
        **small_values,
        "training.steps": 30,
        "evaluation.every": 1000,
        "training.checkpoint_every": 1000,
    }
    command = [sys.executable, "-m", "zoo_core", "train", "sd2", "--preset", "laptop"]
    command += [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run([*command, "--run", str(whole)], check=True, capture_output=True)
    child = subprocess.Popen([*command, "--run", str(parts)], stderr=subprocess.PIPE, text=True)
    log = parts / "train.jsonl"
    while child.poll() is None and not (log.is_file() and log.read_bytes().count(b"\n") >= 3):
        os.sched_yield()
    child.send_signal(number)
    _, told = child.communicate(timeout=120)
    assert child.returncode == 130, told
    assert "Traceback" not in told
    assert 3 <= checkpoints.latest(RunFolder.open(parts), pytest.fail).step < 30
    subprocess.run([*command, "--run", str(parts)], check=True, capture_output=True)
    assert _same(_tensors(whole), _tensors(parts))
    assert _losses(whole) == _losses(parts)
