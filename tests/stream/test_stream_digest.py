"""The stream's digest: the same however the samples are divided, different when anything is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_core.interfaces.dataset import Caption
from zoo_core.recipe.sections import CaptionSettings
from zoo_core.stream.digest import StreamDigest, digest

GOLDEN = Path(__file__).parent / "golden_stream.json"
SETTINGS = CaptionSettings()


def captions(index: int) -> tuple[Caption, ...]:
    synthetic = [
        Caption(f"synthetic {rank} of {index}", "synthetic", 1 - rank / 10) for rank in range(5)
    ]
    return (Caption(f"alt of {index}"), *synthetic)


def test_golden_digest() -> None:
    """Remade by ``python -m tests.stream.remake_golden``."""
    expected = json.loads(GOLDEN.read_text())["digest"]
    assert digest(0, 90, 130, 100, captions, SETTINGS) == expected


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("micro", [1, 3, 16])
def test_equal_on_any_number_of_processes_and_any_micro_batch(ranks: int, micro: int) -> None:
    whole = digest(1, 0, 96, 40, captions, SETTINGS)
    parts = [StreamDigest(1, 40, captions, SETTINGS) for _ in range(ranks)]
    for rank, part in enumerate(parts):
        mine = list(range(rank, 96, ranks))
        for start in range(0, len(mine), micro):
            part.add(mine[start : start + micro])
    total = StreamDigest(1, 40, captions, SETTINGS)
    for part in reversed(parts):
        total.merge(part.hexdigest())
    assert total.hexdigest() == whole


def test_longer_than_one_inner_batch() -> None:
    total = StreamDigest(0, 700, captions, SETTINGS)
    for start in range(0, 1500, 100):
        total.add(range(start, start + 100))
    assert digest(0, 0, 1500, 700, captions, SETTINGS) == total.hexdigest()


def test_every_ingredient_counts() -> None:
    def renamed(index: int) -> tuple[Caption, ...]:
        return tuple(Caption(c.text + ".", c.source, c.confidence) for c in captions(index))

    digests = [
        digest(0, 0, 50, 40, captions, SETTINGS),
        digest(1, 0, 50, 40, captions, SETTINGS),
        digest(0, 0, 49, 40, captions, SETTINGS),
        digest(0, 1, 51, 40, captions, SETTINGS),
        digest(0, 0, 50, 41, captions, SETTINGS),
        digest(0, 0, 50, 40, renamed, SETTINGS),
        digest(0, 0, 50, 40, captions, CaptionSettings(drop=0.5)),
        digest(0, 0, 50, 40, captions, CaptionSettings(policy="alt")),
        digest(0, 0, 50, 40, captions, SETTINGS, timestep_count=500),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(0, 5, 5, 40, captions, SETTINGS) == "0" * 64


def test_the_stream_needs_no_torch() -> None:
    code = (
        "import sys, zoo_core.stream.digest; "
        "sys.exit(', '.join(m for m in ('torch', 'diffusers', 'scipy') if m in sys.modules) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
