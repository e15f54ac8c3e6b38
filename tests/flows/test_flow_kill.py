"""A run that is killed again and again ends as one that was left alone."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import last_attempt

#: Twelve steps an epoch, lines of the log that lie across checkpoints, milestones in between.
CHANGES = {
    "training.steps": 240,
    "training.log_every": 7,
    "training.checkpoint_every": 5,
    "evaluation.every": 30,
    "evaluation.prompts": 8,
    "evaluation.final_prompts": 8,
    "sampling.steps": 10,
    "trainer.threads": 1,
}

#: How often; a check by hand takes 20.
KILLS = int(os.environ.get("ZOO_TEST_KILLS", "3"))


def _final(path: Path) -> dict[str, torch.Tensor]:
    newest = checkpoints.latest(RunFolder.open(path), pytest.fail)
    assert newest is not None
    return {
        f"{file.relative_to(newest.path)}/{name}": tensor
        for file in newest.path.rglob("*.safetensors")
        for name, tensor in safetensors.torch.load_file(file).items()
    }


def _curve(path: Path, log: str, *keys: str) -> list[tuple]:
    rows = last_attempt(RunFolder.open(path).read_log(log).rows)  # type: ignore[arg-type]
    return [tuple(row[key] for key in ("step", *keys)) for row in rows]


def _inside_checkpoint(path: Path) -> bool:
    return any(path.glob("checkpoints/.partial-step-*"))


def _inside_evaluation(path: Path) -> bool:
    return any(path.glob("evaluations/*/*")) or any(path.glob("evaluations/*"))


def _attempts(path: Path) -> int:
    log = path / "events.jsonl"
    return log.read_bytes().count(b'"event":"start"') if log.is_file() else 0


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_random_moments_it_ends_the_same(tmp_path, command, processes):
    """SIGKILL, some of them inside a checkpoint and inside an evaluation; the same command each time."""
    moments = random.Random(processes)
    changes = {**CHANGES, "trainer.processes": processes}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run(command(whole, changes), check=True, capture_output=True, timeout=900)
    kills: list[str] = []
    for attempt in range(3 * KILLS):
        child = subprocess.Popen(
            command(parts, changes), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        if len(kills) < KILLS:
            before = attempt
            while child.poll() is None and _attempts(parts) <= before:
                time.sleep(0.02)
            kind = ("any", "checkpoint", "evaluation")[len(kills) % 3]
            until = time.monotonic() + moments.uniform(0.2, 4.0)
            seen = {"checkpoint": _inside_checkpoint, "evaluation": _inside_evaluation}.get(kind)
            while child.poll() is None and time.monotonic() < until:
                if seen is not None and seen(parts) and moments.random() < 0.2:
                    break
                time.sleep(0.002)
            if child.poll() is None:
                os.kill(child.pid, signal.SIGKILL)
                kills.append(kind)
                child.communicate()
                time.sleep(1.5 if processes > 1 else 0)  # workers notice that it is gone
                continue
        _, told = child.communicate(timeout=900)
        assert child.returncode == 0, told
        break
    assert len(kills) >= min(KILLS, 3), f"the run was too quick: {kills}"
    assert _curve(whole, "train", "loss", "gradient_norm") == _curve(
        parts, "train", "loss", "gradient_norm"
    )
    assert _curve(whole, "scores", "metric", "value") == _curve(parts, "scores", "metric", "value")
    first, second = _final(whole), _final(parts)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    print(f"{len(kills)} kills in {_attempts(parts)} attempts: {kills}")
