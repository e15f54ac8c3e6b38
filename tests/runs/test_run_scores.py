"""Scores that come after training hide none of training's, and are not hidden themselves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.errors import RunError
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import last_attempt
from zoo_core.runs.scores import BY, attempt_of, record, weights_hash


@st.composite
def histories(draw):
    """Attempts as (start, end): each begins at a checkpoint that an earlier one came to."""
    attempts = [(0, draw(st.integers(1, 12)))]
    for _ in range(draw(st.integers(0, 3))):
        reached = max(end for _, end in attempts)
        start = draw(st.integers(0, reached))
        attempts.append((start, draw(st.integers(start, start + 8))))
    return attempts


def begin(path, attempts, every: int) -> RunFolder:
    run = RunFolder.create(path)
    for attempt, (start, end) in enumerate(attempts, start=1):
        with run.writer("events", attempt) as events:
            events.append({"event": "start", "step": start})
            events.append({"event": "interrupt", "step": end})
        with run.writer("scores", attempt) as log:
            for step in range(start + 1, end + 1):
                if step % every == 0:
                    log.append(score(step, f"t{attempt}"))
    return run


def score(step: int, protocol: str) -> dict:
    return {"step": step, "metric": "m", "value": step / 2, "protocol": protocol}


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(1, 4), st.data())
def test_scores_of_checkpoints_and_of_training_all_count(tmp_path_factory, attempts, every, data):
    run = begin(tmp_path_factory.mktemp("run") / "run", attempts, every)
    before = last_attempt(run.read_log("scores").rows)
    step = data.draw(st.integers(1, max(1, *(end for _, end in attempts))))
    row = {"attempt": attempt_of(run, step), "weights_hash": "w", **score(step, "later")}
    assert record(run.log_path("scores"), [row], "zoo eval") == 1
    after = last_attempt(run.read_log("scores").rows)
    assert [line for line in after if BY not in line] == before
    assert [line["protocol"] for line in after if BY in line] == ["later"]


def test_the_attempt_is_the_one_that_counts_at_the_step(tmp_path):
    run = begin(tmp_path / "run", [(0, 8), (6, 12)], every=4)
    assert [attempt_of(run, step) for step in (2, 4, 7, 8, 12)] == [1, 1, 1, 2, 2]


def test_a_score_is_written_once(tmp_path):
    run = begin(tmp_path / "run", [(0, 4)], every=4)
    row = {"attempt": 1, "weights_hash": "w", **score(4, "p")}
    path = run.log_path("scores")
    assert record(path, [row, {**row, "metric": "n"}], "zoo eval") == 2
    assert record(path, [row, {**row, "value": 9.0}], "zoo eval") == 1
    assert [line.get(BY) for line in run.read_log("scores").rows] == [None] + ["zoo eval"] * 3


def test_weights_are_known_by_the_checkpoints_manifest(tmp_path):
    import torch

    run = RunFolder.create(tmp_path / "run")
    assert weights_hash(run, 4) is None
    for step, value in ((4, 1.0), (6, 2.0), (8, 1.0)):
        groups = {"backbone": {"w": torch.full((3,), value)}, "ema": {"w": torch.zeros(3)}}
        checkpoints.save(run, step, groups, {}, samples=step, variant="v", fingerprint="f")
    found = [weights_hash(run, step) for step in (4, 6, 8)]
    assert found[0] == found[2] != found[1]
    assert len(found[0]) == 16
    assert weights_hash(run, 4, "ema") == weights_hash(run, 6, "ema") != found[0]
    assert weights_hash(run, 4, "other") is None
    (run.checkpoints / "step-000004" / checkpoints.MANIFEST).write_text("{")
    with pytest.raises(RunError, match=r"step-000004.manifest\.json: cannot be read"):
        weights_hash(run, 4)
