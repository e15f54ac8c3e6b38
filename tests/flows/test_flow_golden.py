"""Losses against the committed ones; ``tests/flows/golden.py`` makes and explains them."""

import json
import runpy
import subprocess
from pathlib import Path

import pytest

GOLDEN = runpy.run_path(str(Path(__file__).with_name("golden.py")))
EXPECTED = json.loads(GOLDEN["FILE"].read_text())

#: Processors differ in the order of sums; 50 steps of AdamW let that grow to some 1e-4.
TOLERANCE = 2e-3


@pytest.mark.parametrize("name", GOLDEN["FAMILIES"])
def test_one_process(tmp_path, run_small, name):
    assert run_small(tmp_path / "run", name, GOLDEN["CHANGES"]).finished
    assert GOLDEN["losses"](tmp_path / "run") == pytest.approx(EXPECTED[name], rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN["FAMILIES"])
def test_two_sharded_processes(tmp_path, command, name):
    words = command(tmp_path / "run", {**GOLDEN["CHANGES"], "trainer.processes": 2}, name)
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert GOLDEN["losses"](tmp_path / "run") == pytest.approx(EXPECTED[name], rel=TOLERANCE)


def test_the_golden_losses_fall():
    for name, losses in EXPECTED.items():
        assert len(losses) == 50, name
        assert sum(losses[-10:]) < 0.8 * sum(losses[:10]), name
