"""Event files, read back by TensorBoard's own reader."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo_core.runs.loggers import Loggers
from zoo_tensorboard.config import TensorBoardConfig

pytest.importorskip("tensorboard", reason="TensorBoard is not installed (the extra 'tensorboard')")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo_tensorboard.logger import build

RECIPE = {"preset": "laptop", "training": {"steps": 8, "batch_size": 4}}


def _read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def _curve(folder: Path, name: str = "train/loss") -> list[tuple[int, float]]:
    return [(item.step, item.value) for item in _read(folder).Scalars(name)]


def _attempt(run: Path, begin: int, steps: range, loss: float, config=None):
    """One attempt from a checkpoint at `begin`; left open, as a crash leaves it, after a flush."""
    logger = build(config or TensorBoardConfig())
    logger.start(run, RECIPE, begin)
    for step in steps:
        logger.scalars({"train/loss": loss + step}, step, step * 4)
    assert logger._writer is not None
    logger._writer.flush()
    return logger


def test_figures_come_back(tmp_path):
    logger = _attempt(tmp_path, 0, range(1, 4), 0.5)
    logger.scalars({"score/tifa[shapes-reader]": 0.75, "score/odd name": math.inf}, 3, 12)
    logger.close()
    events = _read(tmp_path / "tensorboard")
    assert _curve(tmp_path / "tensorboard") == [(1, 1.5), (2, 2.5), (3, 3.5)]
    assert [item.value for item in events.Scalars("progress/images")] == [4, 8, 12, 12]
    assert events.Scalars("score/tifa[shapes-reader]")[0].value == 0.75
    assert math.isinf(events.Scalars("score/odd name")[0].value)
    text = events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "    [training]\n    steps = 8\n" in text


def test_a_picture_comes_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    logger = build(TensorBoardConfig())
    logger.start(tmp_path, RECIPE, 0)
    logger.image("samples", pixels, 2)
    logger.close()
    (item,) = _read(tmp_path / "tensorboard").Images("samples")
    assert (item.step, item.width, item.height) == (2, 7, 5)
    shown = np.asarray(Image.open(io.BytesIO(item.encoded_image_string)).convert("RGB"))
    assert np.array_equal(shown, pixels)


def test_a_continued_run_has_one_value_a_step(tmp_path):
    """Crash after step 6, the last checkpoint at 4: what the first attempt logged beyond 4 is void."""
    _attempt(tmp_path, 0, range(1, 7), 100.0)
    _attempt(tmp_path, 4, range(5, 8), 200.0)
    _attempt(tmp_path, 6, range(7, 9), 300.0).close()
    expected = [(s, 100.0 + s) for s in range(1, 5)] + [(5, 205.0), (6, 206.0), (7, 307.0)]
    assert _curve(tmp_path / "tensorboard") == [*expected, (8, 308.0)]


def test_a_run_that_never_reached_a_checkpoint_begins_anew(tmp_path):
    _attempt(tmp_path, 0, range(1, 4), 100.0)
    _attempt(tmp_path, 0, range(1, 3), 200.0).close()
    assert _curve(tmp_path / "tensorboard") == [(1, 201.0), (2, 202.0)]


def test_another_folder(tmp_path):
    _attempt(tmp_path, 0, range(1, 2), 0.0, TensorBoardConfig(folder="logs/tb")).close()
    assert _curve(tmp_path / "logs" / "tb") == [(1, 1.0)]


def test_a_place_that_cannot_be_written_drops_the_logger_and_no_more(tmp_path):
    (tmp_path / "tensorboard").write_text("a file in the way")
    said: list[str] = []
    loggers = Loggers({"tensorboard": build(TensorBoardConfig())}, said.append)
    loggers.start(tmp_path, RECIPE, 0)
    loggers.scalars({"train/loss": 1.0}, 1, 4)
    loggers.close()
    assert len(said) == 1
    assert said[0].startswith("The logger 'tensorboard' failed and gets nothing more (")
