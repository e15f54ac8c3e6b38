"""Loggers as one: everyone gets everything, and one that fails stops neither training nor the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo_core.catalog import open_catalog
from zoo_core.errors import ConfigError, PluginError
from zoo_core.interfaces.logger import Logger
from zoo_core.recipe import resolve_recipe
from zoo_core.recipe.components import Components
from zoo_core.runs.loggers import Loggers, score_scalars, training_scalars

RECIPE = {"training": {"steps": 4}}
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


class Kept(Logger):
    """Keeps what it was given; raises at the call named by `fails`, in closing too if `stuck`."""

    def __init__(self, fails: str = "", stuck: bool = False) -> None:
        self.calls: list[tuple] = []
        self.fails = fails
        self.stuck = stuck

    def _note(self, name: str, *given) -> None:
        self.calls.append((name, *given))
        if name == self.fails or (name == "close" and self.stuck):
            raise ConnectionError(f"{name} went\nwrong")

    def start(self, folder, recipe, step):
        self._note("start", folder, recipe, step)

    def scalars(self, values, step, images):
        self._note("scalars", dict(values), step, images)

    def image(self, name, image, step):
        self._note("image", name, image.tolist(), step)

    def close(self):
        self._note("close")


def drive(loggers: Loggers, tmp_path: Path) -> None:
    """All that a short run would log."""
    loggers.start(tmp_path, RECIPE, 0)
    loggers.scalars({"train/loss": 0.5}, 1, 4)
    loggers.image("samples", PIXELS, 1)
    loggers.scalars({"train/loss": 0.25}, 2, 8)
    loggers.close()


WHOLE = [
    ("scalars", {"train/loss": 0.5}, 1, 4),
    ("image", "samples", PIXELS.tolist(), 1),
    ("scalars", {"train/loss": 0.25}, 2, 8),
    ("close",),
]


def test_every_logger_gets_everything(tmp_path):
    first, second = Kept(), Kept()
    drive(Loggers({"a": first, "b": second}, pytest.fail), tmp_path)
    assert first.calls == second.calls == [("start", tmp_path, RECIPE, 0), *WHOLE]


@pytest.mark.parametrize("fails", ["start", "scalars", "image", "close"])
def test_one_that_raises_is_told_once_and_dropped(tmp_path, fails):
    broken, sound = Kept(fails), Kept()
    said: list[str] = []
    loggers = Loggers({"broken": broken, "sound": sound}, said.append)
    drive(loggers, tmp_path)
    assert sound.calls[1:] == WHOLE
    (sentence,) = said
    assert (
        f"The logger 'broken' failed and gets nothing more (ConnectionError: {fails} went wrong"
        in sentence
    )
    assert [call[0] for call in broken.calls].count(fails) == 1
    assert [call[0] for call in broken.calls].count("close") == 1
    assert loggers.names == []


def test_one_that_cannot_even_be_closed(tmp_path):
    said: list[str] = []
    drive(Loggers({"broken": Kept("scalars", stuck=True)}, said.append), tmp_path)
    assert len(said) == 1
    assert "closing it failed too, ConnectionError: close went wrong" in said[0]


def test_those_that_work_stay(tmp_path):
    said: list[str] = []
    with Loggers({"broken": Kept("start"), "sound": Kept()}, said.append) as loggers:
        loggers.start(tmp_path, RECIPE, 0)
        assert loggers.names == ["sound"]
    assert loggers.names == []


def test_an_interrupt_is_no_failure_of_a_logger(tmp_path):
    class Interrupted(Kept):
        def scalars(self, values, step, images):
            raise KeyboardInterrupt

    loggers = Loggers({"a": Interrupted()}, pytest.fail)
    loggers.start(tmp_path, RECIPE, 0)
    with pytest.raises(KeyboardInterrupt):
        loggers.scalars({"train/loss": 0.5}, 1, 4)
    assert loggers.names == ["a"]


def test_a_picture_may_be_a_file(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "grid.png")
    kept = Kept()
    said: list[str] = []
    loggers = Loggers({"a": kept}, said.append)
    loggers.image("samples", tmp_path / "grid.png", 3)
    assert kept.calls == [("image", "samples", PIXELS.tolist(), 3)]
    (tmp_path / "bad.png").write_bytes(b"no picture")
    loggers.image("samples", tmp_path / "bad.png", 4)
    loggers.image("samples", tmp_path / "none.png", 5)
    assert len(kept.calls) == 1
    assert loggers.names == ["a"]
    assert ["bad.png" in said[0], "none.png" in said[1]] == [True, True]


def test_without_loggers_nothing_is_read(tmp_path):
    loggers = Loggers({}, pytest.fail)
    drive(loggers, tmp_path)
    loggers.image("samples", tmp_path / "none.png", 1)


def test_the_figures_of_log_rows():
    row = {
        "attempt": 1,
        "time": 1.0,
        "step": 50,
        "images": 1600,
        "loss": 0.5,
        "learning_rate": 1,
        "seconds": {"data": 0.25, "encode": 0.5},
        "note": "x",
        "finite": True,
        "absent": None,
    }
    assert training_scalars(row) == {
        "train/loss": 0.5,
        "train/learning_rate": 1.0,
        "train/seconds/data": 0.25,
        "train/seconds/encode": 0.5,
    }
    rows = [{"metric": "tifa[x]", "value": 0.5, "step": 1}, {"metric": "fid", "value": 9}]
    assert score_scalars(rows) == {"score/tifa[x]": 0.5, "score/fid": 9.0}


# --- A logger of somebody else's, found as an installed plugin -------------------------------------

PLUGIN = """
from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"

@hookimpl
def zoo_components():
    return [Component(kind="logger", name="courier", target="fake_courier.logger:{target}",
                      config="fake_courier.settings:Settings", extra="post")]
"""
SETTINGS = """
from __future__ import annotations
from typing import Annotated
from msgspec import Meta
from zoo_core.schema import Config

class Settings(Config, frozen=True):
    file: Annotated[str, Meta(description="Where to write")] = "courier.jsonl"
    fail_at: Annotated[int, Meta(ge=0, description="The step at which to fail")] = 0
"""
LOGGER = """
import json
from zoo_core.interfaces.logger import Logger

class Courier(Logger):
    def __init__(self, config):
        self.config = config

    def start(self, folder, recipe, step):
        self.file = (folder / self.config.file).open("a")
        self.write({"begin": step, "of": recipe["training"]["steps"]})

    def scalars(self, values, step, images):
        if step == self.config.fail_at:
            raise RuntimeError("the bag is full")
        self.write({**values, "step": step, "images": images})

    def image(self, name, image, step):
        self.write({"image": name, "shape": image.shape, "step": step})

    def close(self):
        self.file.close()

    def write(self, row):
        self.file.write(json.dumps(row) + chr(10))

def nothing(config):
    return config
"""


@pytest.fixture
def courier(make_plugin):
    """``courier(assignments)`` are the components of a recipe that names the logger 'courier'."""

    def components(*assignments: str, target: str = "Courier") -> Components:
        make_plugin(
            "courier",
            PLUGIN.format(target=target),
            files={"settings.py": SETTINGS, "logger.py": LOGGER},
        )
        catalog = open_catalog()
        chosen = ['logging.loggers=["courier"]', *assignments]
        return Components(resolve_recipe(catalog, "sd2", "laptop", None, chosen), catalog)

    return components


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_logger_of_another_package(courier, tmp_path):
    components = courier("logger.courier.file=mine.jsonl")
    table = components.recipe.to_table()
    assert table["logging"] == {"loggers": ["courier"]}
    assert table["logger"] == {"courier": {"file": "mine.jsonl", "fail_at": 0}}
    assert components.recipe.provenance()["loggers"]["courier"]["distribution"] == "zoo-courier"
    with Loggers(components.loggers(), pytest.fail) as loggers:
        loggers.start(tmp_path, table, 0)
        loggers.scalars({"train/loss": 0.5}, 1, 32)
        loggers.image("samples", PIXELS, 1)
    assert rows(tmp_path / "mine.jsonl") == [
        {"begin": 0, "of": 1600},
        {"train/loss": 0.5, "step": 1, "images": 32},
        {"image": "samples", "shape": [2, 3, 3], "step": 1},
    ]


def test_a_logger_of_another_package_that_fails(courier, tmp_path):
    components = courier("logger.courier.fail_at=2")
    said: list[str] = []
    loggers = Loggers(components.loggers(), said.append)
    loggers.start(tmp_path, components.recipe.to_table(), 0)
    for step in range(1, 5):
        loggers.scalars({"train/loss": 0.5}, step, step)
    loggers.close()
    assert [row.get("step") for row in rows(tmp_path / "courier.jsonl")] == [None, 1]
    assert len(said) == 1
    assert "'courier' failed" in said[0]
    assert "RuntimeError: the bag is full" in said[0]


def test_what_is_logged_is_not_part_of_what_is_trained(courier):
    plain = resolve_recipe(open_catalog(), "sd2", "laptop")
    named = courier("logger.courier.fail_at=3").recipe
    assert plain.fingerprint() == named.fingerprint()


def test_wrong_settings_and_wrong_builders(courier):
    with pytest.raises(PluginError, match="built a Settings, which is no Logger"):
        courier(target="nothing").loggers()
    catalog = open_catalog()
    for assignments, words in [
        (['logging.loggers=["courier"]', "logger.courier.fail_at=-1"], ">= 0"),
        (['logging.loggers=["couriers"]'], "Did you mean 'courier'"),
        (["logger.courier.fail_at=1"], "logging.loggers does not name it"),
        (["logger.courier=1", 'logging.loggers=["courier"]'], "must be a table"),
        (["logger=1"], "'logger' must hold tables"),
        (['logging.loggers=["courier", "courier"]'], "names 'courier' 2 times"),
    ]:
        with pytest.raises(ConfigError) as caught:
            resolve_recipe(catalog, "sd2", "laptop", None, assignments)
        assert words in str(caught.value), str(caught.value)


def test_reading_a_run_does_not_import_what_pictures_need():
    code = (
        "import sys, zoo_core.runs.loggers; "
        "sys.exit(', '.join({'torch', 'numpy', 'PIL'} & set(sys.modules)) or None)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
