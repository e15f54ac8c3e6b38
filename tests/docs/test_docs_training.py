"""What docs/training.md says of the preset `paper`, of lengths and of loggers is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo_core.catalog import open_catalog
from zoo_core.cli.dry_run import as_table
from zoo_core.cli.main import cli
from zoo_core.recipe import resolve_recipe
from zoo_core.recipe.components import Components
from zoo_core.recipe.lengths import LENGTHS, parse_images
from zoo_core.runs.loggers import Loggers

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()


def paper(name: str, *assignments: str):
    return resolve_recipe(
        open_catalog(), name, "paper", None, ["dataset.name=shapes", *assignments]
    )


def test_the_preset_is_the_studys_setting():
    """Li et al. 2024, sections 3 and 4."""
    recipe = paper("sdxl-td4_4")
    assert recipe.data.resolution == 256
    assert recipe.latent_shape == (4, 32, 32)
    assert (recipe.text_encoder.tokens, recipe.text_encoder.width) == (77, 1024)
    assert recipe.slots["vae"].name == "sdxl-vae"
    training, optimizer = recipe.training, recipe.optimizer
    assert (training.batch_size, training.steps, training.precision) == (2048, 600_000, "bf16")
    assert (optimizer.learning_rate, optimizer.warmup_steps) == (8e-5, 10_000)
    assert optimizer.gradient_clip > 0
    assert (optimizer.beta1, optimizer.beta2, optimizer.epsilon) == (0.9, 0.999, 1e-8)
    assert (optimizer.weight_decay, optimizer.gradient_clip) == (0.01, 1.0)
    diffusion, sampling = recipe.diffusion, recipe.sampling
    assert (diffusion.timesteps, diffusion.beta_start, diffusion.beta_end) == (1000, 0.00085, 0.012)
    assert (diffusion.beta_schedule, diffusion.prediction) == ("scaled_linear", "epsilon")
    assert (sampling.scheduler, sampling.steps, sampling.guidance) == ("ddim", 50, 7.5)
    assert recipe.captions.drop == 0.1
    assert recipe.scale.width_divisor == 1


def test_the_preset_says_the_studys_optimizer_itself():
    origins = paper("sdxl").origins
    for key in ("training.batch_size", "training.steps", "training.precision"):
        assert origins[key].startswith("preset paper (")
    for key in ("learning_rate", "warmup_steps", "gradient_clip"):
        assert origins[f"optimizer.{key}"].startswith("preset paper (")


def test_the_compute_of_sdxl_is_the_end_of_the_studys_axis():
    """600K steps of SDXL: about 1.46e12 GFLOPs."""
    catalog = open_catalog()
    page = as_table(catalog, paper("sdxl"), Path("runs/x"))
    assert page["cost"]["training_gflops"] == pytest.approx(1.46e12, rel=0.01)


def test_the_images_of_600k_steps():
    images = paper("sdxl").training.steps * 2048
    assert images == parse_images("1228.8M").count
    halved = paper("sdxl-c128", "training.batch_size=4096", "training.steps=1228.8M")
    assert halved.training.steps == 300_000


def test_one_value_changes_the_vae_or_the_resolution():
    plain = paper("sd2").to_table()
    other = paper("sd2", "vae.name=sd2-vae").to_table()
    assert {key for key in plain if plain[key] != other[key]} == {"vae"}
    large = paper("sdxl-c128", "data.resolution=512")
    assert large.latent_shape == (4, 64, 64)


def test_every_length_and_form_is_on_the_page():
    for key in LENGTHS:
        assert f"`{key}`" in PAGE
    table = PAGE.split("| written | means |")[1].split("\n\n")[0]
    forms = [
        form
        for line in table.splitlines()[2:]
        for form in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    assert len(forms) == 8
    assert [form for form in forms if not form.isdigit() and parse_images(form) is None] == []


def test_the_two_digests_on_the_page_are_equal():
    commands = re.findall(r"^\$ zoo (digest .*--preset.*)$", PAGE, flags=re.M)
    assert len(commands) == 2
    results = [CliRunner().invoke(cli, shlex.split(command)) for command in commands]
    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout
    assert len(results[0].stdout) == 65


def test_the_logger_on_the_page_works(site, tmp_path):
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, flags=re.S)
    assert len(blocks) == 3
    for name, text in blocks:
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)
    entry = re.search(r'entry point `csv = "(\w+)"` in the group `([\w.]+)`', PAGE)
    assert entry
    info = site / "my_logger-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-logger\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{entry[2]}]\ncsv = {entry[1]}\n")
    catalog = open_catalog()
    recipe = resolve_recipe(catalog, "sd2", "laptop", None, ['logging.loggers=["csv"]'])
    with Loggers(Components(recipe, catalog).loggers(), pytest.fail) as loggers:
        loggers.start(tmp_path, recipe.to_table(), 0)
        loggers.scalars({"train/loss": 0.5}, 1, 32)
    assert (tmp_path / "figures.csv").read_text() == "1,32,train/loss,0.5\n"
