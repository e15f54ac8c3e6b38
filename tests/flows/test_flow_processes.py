"""One run in several processes: the same samples, the same losses, the same images."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from zoo_core.errors import TrainingError
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import last_attempt

TWO = {"trainer.processes": 2, "trainer.threads": 1}


def _losses(path: Path) -> dict[int, float]:
    rows = last_attempt(RunFolder.open(path).read_log("train").rows)
    return {row["step"]: row["loss"] for row in rows}


def _scores(path: Path) -> list[tuple[int, float]]:
    rows = last_attempt(RunFolder.open(path).read_log("scores").rows)
    return [(row["step"], row["value"]) for row in rows]


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "checkpoints" / "latest" / "backbone.safetensors")


def _run(words: list[str]) -> subprocess.CompletedProcess:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def pair(tmp_path_factory, request):
    """The same run in one process and in two."""
    debug = Path(__file__).parents[1] / "debug.toml"
    folder = tmp_path_factory.mktemp("pair")
    import sys

    for name, sets in (
        ("one", ["trainer.threads=1"]),
        ("two", [f"{k}={v}" for k, v in TWO.items()]),
    ):
        words = [sys.executable, "-m", "zoo_core", "--registry", str(debug), "train", "sd2-debug"]
        words += ["--preset", "debug", "--run", str(folder / name)]
        words += [part for value in sets for part in ("--set", value)]
        done = _run(words)
        assert done.returncode == 0, done.stderr
    return folder / "one", folder / "two"


def test_two_processes_compute_what_one_does(pair):
    one, two = pair
    assert _losses(two) == pytest.approx(_losses(one), rel=1e-6)
    for name, weight in _weights(one).items():
        torch.testing.assert_close(_weights(two)[name], weight, rtol=1e-4, atol=2e-5, msg=name)
    machine = json.loads((two / "machine.json").read_text())
    assert machine == {"device": "cpu", "processes": 2, "threads": 1, "micro_batch": 2}


def test_each_process_writes_its_part_of_the_optimizer(pair):
    one, two = pair
    for path, count in ((one, 1), (two, 2)):
        newest = checkpoints.latest(RunFolder.open(path), pytest.fail)
        assert newest is not None
        shards = [name for name in newest.files if name.startswith("optimizer/")]
        assert len(shards) == count
        assert json.loads((newest.path / "state.json").read_text())["optimizer_steps"] == 4


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_a_run_goes_on_in_another_number_of_processes(tmp_path, command, pair, first, second):
    path = tmp_path / "run"
    for count, steps in ((first, 2), (second, 4)):
        changes = {"training.steps": steps, "trainer.processes": count, "trainer.threads": 1}
        done = _run(command(path, changes))
        assert done.returncode == 0, done.stderr
    assert "Continuing from step 2 of 4." in done.stderr
    assert _losses(path) == pytest.approx(_losses(pair[0]), rel=1e-5)


def test_images_do_not_depend_on_the_processes(catalog, pair, tmp_path):
    """Two processes score the weights of one run as one process does, to the bit."""
    one, two = pair
    assert [step for step, _ in _scores(one)] == [step for step, _ in _scores(two)] == [2, 4]
    grids = [np.asarray(Image.open(p / "samples" / "step-000002.png")).astype(int) for p in pair]
    assert np.abs(grids[0] - grids[1]).max() <= 2  # weights differ by rounding, pixels hardly


def test_an_impossible_batch_is_told_before_anything_starts(tmp_path, command):
    done = _run(command(tmp_path / "run", {"trainer.processes": 3}))
    assert done.returncode == 1
    assert "training.batch_size 4 does not divide over 3 processes" in done.stderr
    assert not (tmp_path / "run").exists()


def test_other_settings_are_refused_once(pair, command):
    done = _run(command(pair[1], {**TWO, "optimizer.learning_rate": 0.5}))
    assert done.returncode == 1
    assert done.stderr.count("optimizer.learning_rate: 0.001 before, 0.5 now") == 1


def test_unsharded_processes_are_refused(tmp_path, run_small, monkeypatch):
    from zoo_core.interfaces.group import Alone
    from zoo_gpu_trainer.config import GPUTrainerConfig
    from zoo_gpu_trainer.shard import sharding

    group = Alone()
    group.size = 2
    with pytest.raises(TrainingError, match=r"trainer\.shard=full"):
        sharding(GPUTrainerConfig(shard="none"), group)


def _workers(launcher: int) -> dict[int, int]:
    """The processes that a launcher started, by rank."""
    found = {}
    for place in Path("/proc").iterdir():
        try:
            if not place.name.isdigit() or f"\nPPid:\t{launcher}\n" not in (
                (place / "status").read_text()
            ):
                continue
            variables = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ranks = [int(item[5:]) for item in variables if item.startswith(b"RANK=")]
        if ranks:
            found[ranks[0]] = int(place.name)
    return found


def _wait(condition, child: subprocess.Popen, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.05)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


LONG = {
    "training.steps": 400,
    "training.checkpoint_every": 10_000,
    "evaluation.every": 10_000,
    "evaluation.final_prompts": 1,
}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_one_process_stops_at_a_signal_and_continues_to_the_same_end(tmp_path, command, number):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert _run(command(whole, LONG)).returncode == 0
    child = subprocess.Popen(command(parts, LONG), stderr=subprocess.PIPE, text=True)
    _wait(lambda: _lines(parts / "train.jsonl") >= 3, child)
    sent = time.monotonic()
    child.send_signal(number)
    _, told = child.communicate(timeout=120)
    assert time.monotonic() - sent < 20
    assert child.returncode == 130, told
    assert "Traceback" not in told
    newest = checkpoints.latest(RunFolder.open(parts), pytest.fail)
    assert newest is not None
    assert 3 <= newest.step < 400
    assert _run(command(parts, LONG)).returncode == 0
    assert _losses(whole) == _losses(parts)
    first, second = _weights(whole), _weights(parts)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whom"),
    [(signal.SIGTERM, 1), (signal.SIGUSR1, 0), (signal.SIGINT, "all"), (signal.SIGUSR1, "all")],
)
def test_a_signal_to_any_process_stops_all_with_a_checkpoint(tmp_path, command, number, whom):
    path = tmp_path / "run"
    child = subprocess.Popen(command(path, {**LONG, **TWO}), stderr=subprocess.PIPE, text=True)
    _wait(lambda: _lines(path / "train.jsonl") >= 3, child)
    sent = time.monotonic()
    os.kill(child.pid if whom == "all" else _workers(child.pid)[whom], number)
    _, told = child.communicate(timeout=120)
    assert time.monotonic() - sent < 20
    assert child.returncode == 130, told
    assert "Traceback" not in told
    newest = checkpoints.latest(RunFolder.open(path), pytest.fail)
    assert newest is not None
    assert newest.step == RunFolder.open(path).read_log("events").rows[-1]["step"] >= 3


@pytest.mark.slow
def test_a_signal_during_evaluation_stops_within_seconds(tmp_path, command):
    changes = {
        **TWO,
        "evaluation.every": 1,
        "evaluation.prompts": 64,
        "prompts.count": 64,
        "sampling.steps": 100,
    }
    path = tmp_path / "run"
    child = subprocess.Popen(command(path, changes), stderr=subprocess.PIPE, text=True)
    _wait(lambda: (path / "checkpoints" / "step-000001").is_dir(), child)
    time.sleep(1.0)
    sent = time.monotonic()
    os.kill(_workers(child.pid)[1], signal.SIGTERM)
    _, told = child.communicate(timeout=120)
    assert time.monotonic() - sent < 20
    assert child.returncode == 130, told
    assert "Traceback" not in told
    assert RunFolder.open(path).read_log("scores").rows == []


@pytest.mark.slow
def test_a_killed_launcher_leaves_nobody_behind(tmp_path, command):
    path = tmp_path / "run"
    child = subprocess.Popen(command(path, {**LONG, **TWO}), stderr=subprocess.DEVNULL)
    _wait(lambda: _lines(path / "train.jsonl") >= 3, child)
    workers = _workers(child.pid).values()
    child.kill()
    child.wait()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < until, "a worker goes on"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_a_sentence_or_a_restart(tmp_path, command):
    """Without restarts the call fails and says who was killed; with one it goes on by itself."""
    path = tmp_path / "run"
    saving = {**LONG, **TWO, "training.steps": 200, "training.checkpoint_every": 5}
    child = subprocess.Popen(command(path, saving), stderr=subprocess.PIPE, text=True)
    _wait(lambda: (path / "checkpoints" / "latest").exists(), child)
    os.kill(_workers(child.pid)[1], signal.SIGKILL)
    _, told = child.communicate(timeout=120)
    assert child.returncode == 1
    assert "SIGKILL" in told
    assert "Traceback" not in told
    again = {**saving, "trainer.max_restarts": 1}
    child = subprocess.Popen(command(path, again), stderr=subprocess.PIPE, text=True)
    before = _lines(path / "train.jsonl")
    _wait(lambda: _lines(path / "train.jsonl") >= before + 6, child)
    os.kill(_workers(child.pid)[0], signal.SIGKILL)
    _, told = child.communicate(timeout=240)
    assert child.returncode == 0, told
    assert sorted(_losses(path)) == list(range(1, 201))
