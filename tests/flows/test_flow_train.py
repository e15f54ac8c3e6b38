"""Whole runs: train, continue, draw, score, and what happens when something is in the way."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
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
    return {
        f"{file.relative_to(newest.path)}/{name}": tensor
        for file in newest.path.rglob("*.safetensors")
        # From bytes: what is loaded from a file is a view of it, and some tests damage the file.
        for name, tensor in safetensors.torch.load(file.read_bytes()).items()
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
    assert provenance["values"]["training.steps"].startswith("preset debug (debug.toml:")
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

    def crash(self, step, wishes):
        if step == 3:
            raise RuntimeError("the power is gone")
        return real(self, step, wishes)

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
    assert [one[step] for step in one] == pytest.approx([two[step] for step in one], rel=1e-5)


def test_encoding_at_every_step_equals_the_cache(tmp_path, run_small, finished):
    online = tmp_path / "online"
    run_small(online, changes={"data.cache": "false"})
    assert list(_losses(online).values()) == pytest.approx(
        list(_losses(finished).values()), rel=1e-4
    )


@pytest.mark.parametrize("name", ["sdxl-debug", "if-xl-debug", "pixart-debug"])
def test_every_family_trains(tmp_path, run_small, name):
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
    with pytest.raises(RunError, match=r"backbone\.name: sd2-debug before, pixart-debug now"):
        run_small(finished, "pixart-debug")


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


def test_a_full_disk_during_a_checkpoint_keeps_the_one_before(
    tmp_path, run_small, told, monkeypatch
):
    path = tmp_path / "run"
    run_small(path, changes={"training.steps": 2})
    before = _tensors(path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "sync_file", full)
    with pytest.raises(CheckpointError, match="step 4 could not be written"):
        run_small(path)
    assert any("step 4 was not saved" in line and "disk is full" in line for line in told.lines)
    monkeypatch.undo()
    assert _same(before, _tensors(path))
    assert run_small(path).finished


def test_training_goes_on_while_the_disk_is_full_and_saves_later(
    tmp_path, run_small, finished, told, monkeypatch
):
    """The disk is full while the checkpoint of step 3 is written and free again after it."""
    from zoo_gpu_trainer import saver
    from zoo_gpu_trainer.update import Updater

    path = tmp_path / "other"
    is_full = []
    real_sync, real_update = checkpoints.sync_file, Updater.update

    def sync(file):
        if is_full:
            raise OSError(28, "No space left on device")
        return real_sync(file)

    def update(self, step, wishes):
        while step == 3 and any(path.glob("checkpoints/.partial-*")):
            time.sleep(0.01)  # until the checkpoint of step 3 has failed
        is_full[:] = [True] if step == 2 else []
        return real_update(self, step, wishes)

    monkeypatch.setattr(saver, "RETRY", 0.0)
    monkeypatch.setattr(checkpoints, "sync_file", sync)
    monkeypatch.setattr(Updater, "update", update)
    assert run_small(path, changes={"training.checkpoint_every": 3, "evaluation.every": 9}).finished
    assert any("Training goes on and tries again" in line for line in told.lines)
    assert [step for step, _ in checkpoints.published(RunFolder.open(path))] == [4]
    events = [row["event"] for row in RunFolder.open(path).read_log("events").rows]
    assert events == ["start", "checkpoint-failed", "finish"]
    assert _same(_tensors(finished), _tensors(path))


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


def _poison(monkeypatch, steps, what="loss"):
    """The loss of the second sample of these updates (from 0) is not a number."""
    from zoo_gpu_trainer import update as module

    real_loss, real_update, at = module.training_loss, module.Updater.update, []

    def update(self, step, wishes):
        at[:] = [step]
        return real_update(self, step, wishes)

    def loss(*arguments):
        losses = real_loss(*arguments)
        bad = torch.arange(len(losses)) == (1 if at[0] in steps else -1)
        return torch.where(bad, float("nan"), losses)

    monkeypatch.setattr(module.Updater, "update", update)
    monkeypatch.setattr(module, "training_loss", loss)


def test_a_batch_that_is_not_finite_can_be_skipped(tmp_path, run_small, finished, monkeypatch):
    path = tmp_path / "other"
    _poison(monkeypatch, {1})
    assert run_small(path, changes={"training.on_nonfinite": "skip"}).finished
    run = RunFolder.open(path)
    event = run.read_log("events").rows[1]
    assert (event["event"], event["step"], len(event["samples"])) == ("skip", 1, 1)
    assert sorted(_losses(path)) == [1, 3, 4]
    assert not _same(_tensors(finished), _tensors(path))


def test_rolling_back_passes_over_the_span(tmp_path, run_small, monkeypatch):
    """Bad at step 4 of 6: on from step 5 with the weights of step 2, and the same after a restart."""
    changes = {"training.on_nonfinite": "rollback", "training.steps": 6, "evaluation.every": 9}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _poison(monkeypatch, {3})
    assert run_small(whole, changes=changes).finished
    events = RunFolder.open(whole).read_log("events").rows
    assert [(row["event"], row["step"]) for row in events] == [
        ("start", 0),
        ("rollback", 3),
        ("finish", 6),
    ]
    run_small(parts, changes={**changes, "training.steps": 3})
    assert run_small(parts, changes=changes).finished
    assert _same(_tensors(whole), _tensors(parts))
    state = checkpoints.load_state(RunFolder.open(whole).checkpoints / "latest")
    assert state["optimizer_steps"] == 4  # steps 1, 2, 5 and 6


def test_batches_in_a_row_are_passed_over_up_to_the_limit(tmp_path, run_small, monkeypatch):
    _poison(monkeypatch, {1, 2, 3})
    changes = {"training.on_nonfinite": "skip", "training.nonfinite_limit": 2}
    with pytest.raises(TrainingError, match="loss of step 4 is not finite"):
        run_small(tmp_path / "run", changes=changes)


def test_there_is_nothing_to_roll_back_to_before_the_first_checkpoint(
    tmp_path, run_small, monkeypatch
):
    _poison(monkeypatch, {0})
    with pytest.raises(CheckpointError, match="no checkpoint to go back to yet"):
        run_small(tmp_path / "run", changes={"training.on_nonfinite": "rollback"})


def test_running_out_of_memory_lowers_the_micro_batch(
    tmp_path, run_small, finished, told, monkeypatch
):
    """The same samples, in smaller portions; the next start begins with what fitted."""
    from zoo_gpu_trainer import update as module

    real, sizes = module.training_loss, []

    def limited(backbone, latents, *arguments):
        sizes.append(len(latents))
        if len(latents) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(backbone, latents, *arguments)

    monkeypatch.setattr(module, "training_loss", limited)
    path = tmp_path / "other"
    automatic = {"training.micro_batch": '"auto"'}
    assert run_small(path, changes={**automatic, "training.steps": 3}).finished
    assert sizes == [4, 2] + [1] * 12
    assert "Out of memory; going on with a micro-batch of 1." in told.lines
    sizes.clear()
    assert run_small(path, changes=automatic).finished
    assert sizes == [1] * 4
    one, two = _losses(finished), _losses(path)
    assert [one[step] for step in one] == pytest.approx([two[step] for step in two], rel=1e-4)
    with pytest.raises(torch.OutOfMemoryError):  # a size that was asked for is not changed
        run_small(tmp_path / "fixed", changes={"training.micro_batch": 2})


def test_other_data_under_the_same_settings_is_refused(finished, run_small, monkeypatch):
    from zoo_shapes.components import ShapesDataset

    monkeypatch.setattr(ShapesDataset, "fingerprint", lambda self: "0123456789abcdef")
    with pytest.raises(CheckpointError, match=r"the dataset's is 0123456789ab now"):
        run_small(finished, changes={"training.steps": 5})


def test_an_average_of_the_weights_is_kept_beside_them(tmp_path, run_small, finished):
    """It moves, survives a restart, and changes neither weights nor scores."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    changes = {"training.ema_decay": 0.5}
    run_small(whole, changes=changes)
    run_small(parts, changes={**changes, "training.steps": 2})
    run_small(parts, changes=changes)
    tensors, plain = _tensors(whole), _tensors(finished)
    assert _same(tensors, _tensors(parts))
    assert _same(plain, {name: tensors[name] for name in plain})
    averages = {name for name in tensors if name.startswith("ema.safetensors/")}
    assert len(averages) > 50
    moved = [
        not torch.equal(tensors[name], tensors[name.replace("ema.", "backbone.")])
        for name in averages
    ]
    assert sum(moved) > 0.9 * len(moved)
    scores = [RunFolder.open(path).read_log("scores").rows for path in (whole, finished)]
    assert [row["value"] for row in scores[0]] == [row["value"] for row in scores[1]]


def test_sharding_works_in_a_single_process(tmp_path, run_small, finished):
    path = tmp_path / "sharded"
    assert run_small(path, changes={"trainer.shard": "full"}).finished
    one, two = _tensors(finished), _tensors(path)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)
    assert _losses(path) == pytest.approx(_losses(finished), rel=1e-6)


def test_time_is_accounted_by_phase(finished):
    rows = RunFolder.open(finished).read_log("train").rows
    for row in rows:
        assert set(row["phases"]) >= {"data", "encode", "forward_backward", "optimizer"}
        inside = sum(row["phases"][name] for name in ("data", "encode", "forward_backward"))
        assert 0 < inside <= row["seconds"]
    assert any("evaluation" in row["phases"] for row in rows)


def test_a_run_begins_with_given_weights_and_does_without_them_later(
    tmp_path, run_small, finished, told
):
    """--init-from: step, optimizer and stream start anew; the weights are those of the other run."""
    changes = {"training.init_from": json.dumps(str(finished)), "optimizer.learning_rate": 1e-30}
    path = tmp_path / "other"
    run_small(path, changes={**changes, "training.steps": 2})
    assert any(line.startswith("Beginning with the ") for line in told.lines)
    first, second = _tensors(finished), _tensors(path)
    weights = [name for name in first if name.startswith("backbone.safetensors/")]
    for name in weights:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=1e-20)
    finished.rename(tmp_path / "gone")
    assert run_small(path, changes=changes).finished


def test_the_bench_preset_trains_and_scores(tmp_path, catalog, told):
    """16 x 16 latents of 128-pixel images, at debug size."""
    from zoo_core.recipe import resolve_recipe
    from zoo_core.workflow.train import train

    small = ["dataset.samples=8", "training.batch_size=2", "training.steps=1", "sampling.steps=2"]
    small += ["scale.width_divisor=1", "evaluation.final_prompts=2"]
    recipe = resolve_recipe(catalog, "sd2-debug", "bench", assignments=small)
    assert recipe.latent_shape == (4, 16, 16)
    assert train(recipe, catalog, tmp_path / "run", told).finished
    assert RunFolder.open(tmp_path / "run").read_log("scores").rows[0]["count"] == 2
