"""An evaluation by two real processes equals that of one: images to the bit, scores to the digit."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).with_name("evaluating_process.py")


def evaluate(size: int, folder: Path, stop_at: int = -1) -> list[dict]:
    """What each process got; the files lie in the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "meeting").unlink(missing_ok=True)
    words = [sys.executable, str(SCRIPT)]
    children = [
        subprocess.Popen(
            [*words, str(rank), str(size), str(folder), str(folder), str(stop_at)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    endings = [child.communicate(timeout=300)[1] for child in children]
    assert [child.returncode for child in children] == [0] * size, endings
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def images(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("evaluations/*/images/*")}


def tables(folder: Path) -> dict[str, list[dict]]:
    paths = folder.glob("evaluations/*/tables/*.parquet")
    return {path.name: pq.read_table(path).to_pylist() for path in paths}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return evaluate(1, folder)[0], folder


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    return evaluate(2, folder), folder


def test_two_processes_draw_the_same_images_and_score_the_same(alone, together):
    (told, folder), (both, other) = alone, together
    assert len(images(folder)) == 7
    assert images(other) == images(folder)
    assert tables(other) == tables(folder)
    assert [len(rows) for rows in tables(other).values()] == [7] * 3
    assert both[0]["lines"] == both[1]["lines"]
    assert both[0]["lines"] == told["lines"]
    assert [(line["metric"], line["count"]) for line in told["lines"]] == [
        ("tifa[shapes-reader]", 7),
        ("clip-score[tiny-clip]", 7),
        ("frechet[tiny-clip]", 7),
    ]


def test_every_process_makes_the_same_calls_and_forward_passes(alone, together):
    both, _ = together
    assert both[0]["calls"] == both[1]["calls"] > 0
    # Three chunks in two rounds, the second round's other half for nobody; two steps each.
    assert both[0]["passes"] == both[1]["passes"] == 2 * 2
    assert alone[0]["passes"] == 3 * 2


def test_only_the_leader_has_images(together):
    assert [told["images"] for told in together[0]] == [4, 0]


def test_a_stop_in_one_process_stops_both_and_the_next_call_goes_on(alone, tmp_path):
    stopped = evaluate(2, tmp_path / "run", stop_at=2)  # before the second round
    assert [told["lines"] for told in stopped] == [None, None]
    assert stopped[0]["calls"] == stopped[1]["calls"]
    before = images(tmp_path / "run")
    assert len(before) == 6
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("images/*")}
    went_on = evaluate(2, tmp_path / "run")
    assert went_on[0]["lines"] == alone[0]["lines"]
    assert images(tmp_path / "run") == images(alone[1])
    assert went_on[0]["passes"] == went_on[1]["passes"] == 2  # the one chunk that was missing
    for path in tmp_path.rglob("images/*"):
        assert times.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
