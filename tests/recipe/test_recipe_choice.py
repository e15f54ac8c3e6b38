"""Which preset a bare command takes, and what it says about it."""

from __future__ import annotations

import pytest

from zoo_core.catalog import open_catalog
from zoo_core.errors import ConfigError
from zoo_core.recipe.accelerator import find_accelerator
from zoo_core.recipe.choice import choose_preset

REGISTRY = """
[preset.laptop]
[preset.paper]
[preset.other]
"""


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Two presets of the usual names, without the zoo's own."""
    path = tmp_path / "zoo.toml"
    path.write_text(REGISTRY)
    monkeypatch.setattr("zoo_core.catalog.catalog.core_registry", lambda: path)
    return open_catalog()


@pytest.fixture
def accelerator(monkeypatch):
    """``accelerator(True)`` puts one into the machine."""

    def put(there: bool) -> None:
        found = "/dev/nvidia0" if there else None
        monkeypatch.setattr("zoo_core.recipe.choice.find_accelerator", lambda: found)

    return put


def test_no_accelerator(catalog, accelerator):
    accelerator(False)
    choice = choose_preset(catalog, assignments=["dataset.name=d"])
    assert choice.name == "laptop"
    assert "no accelerator" in choice.reason
    assert "--preset paper for" in choice.reason
    assert "dataset" not in choice.reason


def test_no_dataset(catalog, accelerator):
    accelerator(True)
    choice = choose_preset(catalog)
    assert choice.name == "laptop"
    assert "no dataset is configured" in choice.reason
    assert "--preset paper --data NAME" in choice.reason
    assert "accelerator" not in choice.reason


def test_both_are_there(catalog, accelerator, tmp_path):
    accelerator(True)
    assert choose_preset(catalog, assignments=["dataset.name=d"]).name == "paper"
    file = tmp_path / "r.toml"
    file.write_text('[dataset]\nname = "d"\n')
    assert choose_preset(catalog, file).name == "paper"


def test_recipe_file_names_its_preset(catalog, accelerator, tmp_path):
    accelerator(True)
    file = tmp_path / "r.toml"
    file.write_text('preset = "other"\n')
    assert choose_preset(catalog, file).name == "other"
    file.write_text('\npreset = "otter"\n')
    with pytest.raises(ConfigError, match=r"r\.toml:2: No preset is called 'otter'"):
        choose_preset(catalog, file)
    file.write_text("preset = 3\n")
    with pytest.raises(ConfigError, match=r"r\.toml:1: 'preset' must be a preset's name, not 3"):
        choose_preset(catalog, file)


@pytest.mark.parametrize(
    ("files", "environment", "found"),
    [
        ([], {}, None),
        (["nvidia0", "nvidiactl"], {}, "nvidia0"),
        (["nvidiactl", "nvidia-uvm"], {}, None),
        (["kfd"], {}, "kfd"),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": ""}, None),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": "-1"}, None),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": "0"}, "nvidia0"),
    ],
)
def test_accelerator(tmp_path, monkeypatch, files, environment, found):
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in files:
        (tmp_path / name).touch()
    assert find_accelerator(tmp_path) == (str(tmp_path / found) if found else None)
