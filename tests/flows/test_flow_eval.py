"""Scoring a run after training: every checkpoint, what is kept, and calls that were stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from zoo_core.errors import CheckpointError, ConfigError, RunError
from zoo_core.evaluation.drawing import Painter
from zoo_core.evaluation.image_files import read_image
from zoo_core.evaluation.milestone import Evaluator
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe.components import Components
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.lock import RunLock
from zoo_core.runs.logs import last_attempt
from zoo_core.workflow.evaluate import evaluate
from zoo_core.workflow.load import Studio, load_run
from zoo_core.workflow.train import train

DEBUG = Path(__file__).parents[1] / "debug.toml"
TIFA = "tifa[shapes-reader]"
SMALL_WORLD = ("tifa", "clip-score-tiny-clip", "frechet-tiny-clip")


@pytest.fixture(scope="module")
def trained(catalog, tmp_path_factory):
    """A run with checkpoints of steps 2 and 4, and an average of its weights."""
    from zoo_core.recipe import resolve_recipe

    path = tmp_path_factory.mktemp("trained") / "run"
    changes = ["training.ema_decay=0.5", "evaluation.metrics=['tifa']"]
    recipe = resolve_recipe(catalog, "sd2-debug", "debug", assignments=changes)
    assert train(recipe, catalog, path, Reporter()).finished
    return path


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it to work on, without what training's milestones kept."""
    path = shutil.copytree(trained, tmp_path / "run", symlinks=True)
    shutil.rmtree(path / "evaluations")
    return RunFolder.open(path)


@pytest.fixture
def drawn(monkeypatch):
    """Prompt ids of every chunk drawn from now on."""
    chunks: list[list[str]] = []
    real = Painter._draw_batch

    def draw(self, backbone, prompts):
        chunks.append([prompt.id for prompt in prompts])
        return real(self, backbone, prompts)

    monkeypatch.setattr(Painter, "_draw_batch", draw)
    return chunks


@pytest.fixture
def scored(monkeypatch):
    """Prompt ids of every call of the TIFA metric from now on."""
    from zoo_tifa import metric

    calls: list[list[str]] = []
    real = metric.TIFA.score_images

    def score(self, prompts, images):
        calls.append([prompt.id for prompt in prompts])
        return real(self, prompts, images)

    monkeypatch.setattr(metric.TIFA, "score_images", score)
    return calls


def plain(rows):
    """What is equal however often a score is taken."""
    return [
        {key: row[key] for key in ("step", "metric", "value", "stderr", "count")} for row in rows
    ]


def images_of(run: RunFolder, step: int) -> dict[str, Path]:
    return {path.stem: path for path in run.path.glob(f"evaluations/step-{step:06d}-*/images/*")}


def test_training_keeps_the_images_of_its_newest_milestone(trained):
    run = RunFolder.open(trained)
    assert (len(images_of(run, 2)), len(images_of(run, 4))) == (0, 3)
    rows = run.read_log("scores").rows
    assert all((run.path / row["table"]).is_file() and row["weights_hash"] for row in rows)


def test_every_checkpoint_is_scored_and_kept(catalog, run, told, drawn):
    before = run.read_log("scores").rows
    rows = evaluate(catalog, run.path, "all", 5, (), told)
    assert [(row["step"], row["metric"], row["count"]) for row in rows] == [
        (2, TIFA, 5),
        (4, TIFA, 5),
    ]
    assert rows[0]["weights_hash"] != rows[1]["weights_hash"]
    assert rows[0]["protocol"] == rows[1]["protocol"]
    assert [len(chunk) for chunk in drawn] == [2, 2, 1] * 2
    table = pq.read_table(run.path / rows[1]["table"]).to_pylist()
    assert [row["prompt"] for row in table] == sorted(images_of(run, 4))
    assert all(row["text"] and row["questions"] for row in table)
    log = run.read_log("scores").rows
    assert log[: len(before)] == before
    assert [(row["by"], row["step"]) for row in log[len(before) :]] == [
        ("zoo eval", 2),
        ("zoo eval", 4),
    ]
    shown = last_attempt(log)
    assert [row["step"] for row in shown if "by" not in row] == [2, 4]


def test_asked_again_nothing_is_done_again(catalog, run, told, drawn, scored):
    rows = evaluate(catalog, run.path, "all", 5, (), told)
    lines = len(run.read_log("scores").rows)
    drawn.clear(), scored.clear()
    assert evaluate(catalog, run.path, "all", 5, (), told) == rows
    assert (drawn, scored) == ([], [])
    assert len(run.read_log("scores").rows) == lines


def test_a_larger_set_adds_only_what_is_missing(catalog, run, told, drawn, scored):
    evaluate(catalog, run.path, None, 4, (), told)
    drawn.clear(), scored.clear()
    larger = evaluate(catalog, run.path, None, 6, (), told)
    assert [len(chunk) for chunk in drawn] == [len(call) for call in scored] == [2]
    shutil.rmtree(run.path / "evaluations")
    assert plain(evaluate(catalog, run.path, None, 6, (), told)) == plain(larger)


@pytest.mark.parametrize("damage", ["cut", "missing", "flipped"])
def test_a_damaged_image_is_drawn_again_with_its_chunk(catalog, run, told, drawn, scored, damage):
    rows = evaluate(catalog, run.path, None, 5, (), told)
    path = images_of(run, 4)["simple-heldout-00002"]
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:-3] if damage == "cut" else whole[:-3] + b"abc")
    drawn.clear(), scored.clear()
    assert evaluate(catalog, run.path, None, 5, (), told) == rows
    assert drawn == [["simple-heldout-00002", "simple-heldout-00003"]]
    assert scored == []  # the image is the same to the bit, so its rows are too
    assert path.read_bytes() == whole


def test_the_milestones_images_serve_later_calls_and_go_with_the_next(catalog, run, told, drawn):
    loaded = load_run(catalog, run.path)
    evaluator = Evaluator(loaded.recipe, loaded.components, loaded.painter)
    first = evaluator.evaluate(loaded.backbone, 3, told, run=run, step=2)
    assert len(images_of(run, 2)) == 3
    assert len(first.images) == 2
    second = evaluator.evaluate(loaded.backbone, 3, told, run=run, step=4)
    assert (len(images_of(run, 2)), len(images_of(run, 4))) == (0, 3)
    drawn.clear()
    rows = evaluate(catalog, run.path, 4, 3, (), told)
    assert drawn == []
    assert rows[0]["value"] == second.lines[0].score.value
    assert rows[0]["protocol"] == second.lines[0].as_row()["protocol"]
    evaluate(catalog, run.path, 2, 3, (), told)
    evaluator.evaluate(loaded.backbone, 3, told, run=run, step=4)
    assert len(images_of(run, 2)) == 3  # a person asked for them


def test_an_interrupted_milestone_goes_on(catalog, run, told, drawn, scored):
    loaded = load_run(catalog, run.path)
    evaluator = Evaluator(loaded.recipe, loaded.components, loaded.painter)
    for answers in ([False, False, True], [False, True]):  # before the third chunk; while scoring
        stop = iter(answers).__next__
        assert evaluator.evaluate(loaded.backbone, 6, told, stop, run=run, step=4) is None
    assert len(drawn) == 3
    assert evaluator.evaluate(loaded.backbone, 6, told, run=run, step=4) is not None
    assert len(drawn) == 3
    assert len(scored) == 3


def test_without_a_checkpoint_nothing_is_kept(catalog, run, told, tmp_path):
    loaded = load_run(catalog, run.path)
    evaluator = Evaluator(loaded.recipe, loaded.components, loaded.painter)
    evaluation = evaluator.evaluate(loaded.backbone, 3, told)
    other = evaluator.evaluate(loaded.backbone, 3, told, run=run, step=3)
    assert evaluation.lines == other.lines
    assert evaluation.lines[0].table is None
    assert len(evaluation.rows[TIFA]) == 3
    assert not (run.path / "evaluations").exists() or not images_of(run, 3)


def test_the_average_is_scored_when_asked_for(catalog, run, told):
    raw = evaluate(catalog, run.path, 4, 2, (), told)
    average = evaluate(catalog, run.path, 4, 2, (), told, weights="ema")
    assert raw[0]["weights_hash"] != average[0]["weights_hash"]
    assert raw[0]["ingredients"]["drawing"]["weights"] == "raw"
    assert average[0]["ingredients"]["drawing"]["weights"] == "ema"
    studio = Studio(
        load_run(catalog, run.path).recipe,
        Components(load_run(catalog, run.path).recipe, catalog),
        torch.device("cpu"),
    )
    place = run.checkpoints / "step-000004"
    one = {k: v.clone() for k, v in studio.with_weights(place)[1].state_dict().items()}
    two = studio.with_weights(place, "ema")[1].state_dict()
    assert any(not torch.equal(one[key], two[key]) for key in one)
    for path in run.path.glob("checkpoints/*/ema.safetensors"):
        path.unlink()
    for path in run.path.glob("checkpoints/step-*/manifest.json"):
        _forget(path, "ema.safetensors")
    with pytest.raises(CheckpointError, match=r"no average of the weights.*ema_decay"):
        evaluate(catalog, run.path, 4, 2, (), told, weights="ema")


def _forget(path: Path, name: str) -> None:
    """Take a file out of a checkpoint's manifest, with its own hash made right."""
    import hashlib

    table = json.loads(path.read_text())
    del table["sha256"], table["files"][name]
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**table, "sha256": digest}))


def test_another_folder_takes_everything(catalog, run, told, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    with RunLock.acquire(run):  # a trainer is at work
        rows = evaluate(catalog, run.path, None, 3, (), told, output=tmp_path / "out")
        with pytest.raises(RunError, match=r"in use by process.*--output DIR"):
            evaluate(catalog, run.path, None, 3, (), told)
    after = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert {path for path in after if path not in before} <= {run.path / "lock"}
    assert all(after[path] == stamp for path, stamp in before.items())
    assert (tmp_path / "out" / rows[0]["table"]).is_file()
    line = json.loads((tmp_path / "out" / "scores.jsonl").read_text())
    assert line["value"] == rows[0]["value"]


def test_settings_of_the_evaluation_can_be_changed_and_others_not(catalog, run, told):
    usual = evaluate(catalog, run.path, None, 2, (), told)
    other = evaluate(catalog, run.path, None, 2, (), told, assignments=["sampling.guidance=1"])
    assert other[0]["protocol"] != usual[0]["protocol"]
    assert other[0]["ingredients"]["drawing"]["sampling"]["guidance"] == 1
    for text in ("backbone.channels=32", "training.seed=1", "training=3", "scale.width_divisor=2"):
        with pytest.raises(ConfigError, match="takes the run as it was trained"):
            evaluate(catalog, run.path, None, 2, (), told, assignments=[text])
    with pytest.raises(ConfigError, match="Did you mean 'guidance'"):
        evaluate(catalog, run.path, None, 2, (), told, assignments=["sampling.guidence=1"])


def test_metrics_by_name(catalog, run, told):
    with pytest.raises(ConfigError, match="Did you mean 'tifa"):
        evaluate(catalog, run.path, None, 2, ("tiffa",), told)
    with pytest.raises(ConfigError, match="No metric to score with"):
        evaluate(catalog, run.path, None, 2, (), told, assignments=["evaluation.metrics=[]"])
    assert evaluate(catalog, run.path, None, 2, ("tifa", "tifa"), told)[0]["metric"] == TIFA


def test_prompts_of_a_file(catalog, run, told, tmp_path):
    question = {"question": "is there a circle?", "choices": ["yes", "no"], "answer": "yes"}
    path = tmp_path / "mine.jsonl"
    lines = [
        {"id": f"Mine {n}/x", "text": f"{n} circles", "questions": [question]} for n in range(3)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    rows = evaluate(catalog, run.path, None, None, (), told, prompts=str(path))
    assert rows[0]["count"] == 3
    assert rows[0]["ingredients"]["prompts"]["set"] == "prompt-file"
    table = pq.read_table(run.path / rows[0]["table"]).to_pylist()
    assert [row["prompt"] for row in table] == ["Mine 0/x", "Mine 1/x", "Mine 2/x"]
    (tmp_path / "plain.txt").write_text("a circle")
    with pytest.raises(ConfigError, match=r"tifa\[shapes-reader\] asks questions.*has none"):
        evaluate(catalog, run.path, None, None, (), told, prompts=str(tmp_path / "plain.txt"))
    with pytest.raises(ConfigError, match="neither a file nor a prompt set"):
        evaluate(catalog, run.path, None, None, (), told, prompts=str(tmp_path / "none.txt"))
    with pytest.raises(ConfigError, match="--limit 64"):
        evaluate(catalog, run.path, None, None, (), told, prompts="64")
    named = evaluate(catalog, run.path, None, 2, (), told, prompts="shapes-composition")
    assert named[0]["ingredients"]["prompts"]["set"] == "shapes-composition"


def test_a_damaged_checkpoint_is_passed_over_among_all(catalog, run, told):
    path = run.checkpoints / "step-000002" / "backbone.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    rows = evaluate(catalog, run.path, "all", 2, (), told)
    assert [row["step"] for row in rows] == [4]
    assert any("step-000002" in line and "passed over" in line for line in told.lines)
    with pytest.raises(CheckpointError, match="truncated"):
        evaluate(catalog, run.path, 2, 2, (), told)


def _command(path: Path, prompts: int) -> list[str]:
    words = [sys.executable, "-m", "zoo_core", "--registry", str(DEBUG), "eval", str(path)]
    words += ["--checkpoint", "all", "--limit", str(prompts), "--json"]
    return [*words, *(part for name in SMALL_WORLD for part in ("--metric", name))]


@pytest.mark.slow
def test_killed_half_way_the_same_command_finishes_with_the_same_numbers(run, tmp_path):
    prompts = 40
    whole = tmp_path / "whole"
    shutil.copytree(run.path, whole, symlinks=True)
    expected = subprocess.run(_command(whole, prompts), check=True, capture_output=True, text=True)
    child = subprocess.Popen(_command(run.path, prompts), stdout=subprocess.PIPE, text=True)
    while child.poll() is None and len(images_of(run, 2)) < 12:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    there = {path: path.stat().st_mtime_ns for path in images_of(run, 2).values()}
    assert 12 <= len(there) < prompts
    done = subprocess.run(_command(run.path, prompts), check=True, capture_output=True, text=True)
    rows = json.loads(done.stdout)
    assert plain(rows) == plain(json.loads(expected.stdout))
    assert [row["step"] for row in rows] == [2] * 3 + [4] * 3
    assert {row["metric"] for row in rows} == {
        TIFA,
        "clip-score[tiny-clip]",
        "frechet[tiny-clip]",
    }
    # What was finished was left alone: all but the chunk that was being written.
    kept = [path for path, stamp in there.items() if path.stat().st_mtime_ns == stamp]
    assert len(kept) >= len(there) - 2
    for step in (2, 4):
        mine, others = images_of(run, step), images_of(RunFolder.open(whole), step)
        assert mine.keys() == others.keys()
        assert all(mine[name].read_bytes() == others[name].read_bytes() for name in mine)
        assert read_image(mine["simple-heldout-00000"]).dtype == np.uint8
