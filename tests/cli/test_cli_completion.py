"""What completion offers, asked of the functions directly."""

from __future__ import annotations

import click
import pytest

from zoo_core.cli import completion
from zoo_core.cli.main import cli


def offered(function, incomplete: str, **params) -> list[str]:
    ctx = click.Context(cli, info_name="zoo")
    ctx.params = {"registries": (), **params}
    return [item.value for item in function(ctx, None, incomplete)]


def test_kinds_and_presets():
    assert offered(completion.complete_kind, "te") == ["text-encoder"]
    assert offered(completion.complete_kind, "pr") == ["prompts", "preset"]
    assert {"laptop", "bench", "paper"} <= set(offered(completion.complete_preset, ""))


def test_pattern_completes_names_of_the_kind_before_it():
    assert offered(completion.complete_pattern, "sd", kind="vaes") == ["sd2-vae", "sdxl-vae"]
    assert offered(completion.complete_pattern, "lap", kind="presets") == ["laptop"]
    assert "sdxl-td4_4" in offered(completion.complete_pattern, "sdxl", kind=None)
    assert offered(completion.complete_pattern, "sd", kind="no-kind") == []


def test_show_completes_names_of_all_kinds():
    found = offered(completion.complete_any, "sd2", kind=None)
    assert found == ["sd2", "sd2-c512", "sd2-vae"]
    assert offered(completion.complete_any, "sd2", kind="vae") == ["sd2-vae"]
    assert "paper" in offered(completion.complete_any, "pap", kind=None)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("training.st", ["training.steps="]),
        ("vae.", ["vae.name="]),
        ("scale", ["scale.width_divisor="]),
        ("backbone.", []),
    ],
)
def test_keys_of_a_recipe(typed, expected):
    assert offered(completion.complete_set, typed) == expected


def test_run_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run in ("runs/one", "runs/two", "elsewhere/three", "here"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "recipe.toml").touch()
    (tmp_path / "runs" / "no-run").mkdir()
    assert offered(completion.complete_run, "") == ["here", "runs/one", "runs/two"]
    assert offered(completion.complete_run, "runs/t") == ["runs/two"]
    assert offered(completion.complete_run, "elsewhere/") == ["elsewhere/three"]
    assert offered(completion.complete_run, "ru") == ["runs/one", "runs/two"]
    assert offered(completion.complete_run, "nowhere/") == []


def test_names_of_the_users_file_are_offered(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[backbone.sdxl-own]\nfamily = "sdxl"\n')
    assert "sdxl-own" in offered(completion.complete_backbone, "sdxl-o", registries=(file,))
    file.write_text("= =")
    assert offered(completion.complete_backbone, "sdxl-o", registries=(file,)) == []
