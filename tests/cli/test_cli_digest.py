"""``zoo digest``: one value for a stream, whoever takes it and in whatever portions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.catalog import open_catalog
from zoo_core.cli.digest import sample_range
from zoo_core.cli.main import cli
from zoo_core.errors import ConfigError
from zoo_core.recipe import resolve_recipe
from zoo_core.runs.folder import RunFolder
from zoo_core.stream.digest import digest
from zoo_core.workflow import digest as work

SMALL = ("--preset", "laptop", "--set", "dataset.samples=40", "--set", "training.batch_size=12")
STRETCH = ("--samples", "5:101")  # neither end is an update's, and it is longer than two epochs


def zoo(*args: str, code: int = 0):
    result = CliRunner().invoke(cli, ["digest", *args], prog_name="zoo")
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def value() -> str:
    """The digest of the stretch, taken of the dataset itself."""
    catalog = open_catalog()
    assignments = ["dataset.samples=40", "training.batch_size=12"]
    recipe = resolve_recipe(catalog, "sd2", "laptop", None, assignments)
    data = work.build(catalog, recipe.slots["dataset"])
    return digest(0, 5, 101, 40, data.captions, recipe.captions, 1000)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_equal_on_any_number_of_processes(value, processes):
    result = zoo("sd2", *SMALL, *STRETCH, "--processes", str(processes), "--micro-batch", "5")
    assert result.stdout == f"{value}\n"
    assert "Samples 5 to 100 of 'shapes' (40 samples an epoch, seed 0)." in result.stderr


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 7, 1000])
def test_equal_for_any_micro_batch(value, micro_batch):
    assert zoo("sd2", *SMALL, *STRETCH, "--micro-batch", str(micro_batch)).stdout == f"{value}\n"


@settings(max_examples=60, deadline=None)
@given(
    first=st.integers(0, 200),
    count=st.integers(1, 200),
    batch=st.integers(1, 50),
    processes=st.integers(1, 9),
    micro_batch=st.integers(1, 60),
)
def test_processes_take_every_sample_once(first, count, batch, processes, micro_batch):
    task = work._Task(None, 0, None, 1000, first, first + count, batch, micro_batch, ())
    taken = [
        list(samples)
        for rank in range(processes)
        for samples in work._portions(task, rank, processes)
    ]
    assert sorted(index for samples in taken for index in samples) == list(
        range(first, first + count)
    )
    assert max(map(len, taken)) <= micro_batch


def test_a_sample_that_is_left_out_shows(value, monkeypatch):
    real = work._portions

    def without_one(task, rank, size):
        for samples in real(task, rank, size):
            yield [index for index in samples if index != 50]

    monkeypatch.setattr(work, "_portions", without_one)
    assert zoo("sd2", *SMALL, *STRETCH).stdout != f"{value}\n"


def test_the_backbone_does_not_matter_and_the_seed_does(value):
    assert zoo("pixart-h1024-d28", *SMALL, *STRETCH).stdout == f"{value}\n"
    assert zoo("sd2", *SMALL, *STRETCH, "--set", "training.seed=1").stdout != f"{value}\n"
    assert zoo("sd2", *SMALL, *STRETCH, "--set", "captions.drop=0.5").stdout != f"{value}\n"


def test_json(value):
    page = json.loads(zoo("sd2", *SMALL, *STRETCH, "--json").stdout)
    fingerprint = page.pop("dataset_fingerprint")
    assert len(fingerprint) == 32
    assert page == {
        "digest": value,
        "first": 5,
        "last": 101,
        "seed": 0,
        "dataset": "shapes",
        "dataset_samples": 40,
        "processes": 1,
        "micro_batch": 1024,
    }


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder as a trainer leaves it, before its first checkpoint."""
    recipe = resolve_recipe(
        open_catalog(), "sd2", "laptop", None, ["dataset.samples=40", "training.batch_size=12"]
    )
    folder = RunFolder.create(tmp_path / "a-run")
    folder.write_text_atomic("recipe.toml", tomli_w.dumps(recipe.to_table()))
    return folder.path


def test_a_run_folder_has_its_own_recipe(value, run, monkeypatch):
    assert zoo(str(run), *STRETCH).stdout == f"{value}\n"
    assert zoo(f"{run}{os.sep}", *STRETCH, "--processes", "2").stdout == f"{value}\n"
    monkeypatch.chdir(run.parent)
    assert zoo("a-run", *STRETCH).stdout == f"{value}\n"
    monkeypatch.chdir(run)
    assert zoo(".", *STRETCH).stdout == f"{value}\n"
    said = zoo(str(run), *STRETCH, "--preset", "laptop", code=2).stderr
    assert "is a run, which has its recipe: leave out --preset" in said


def test_a_run_whose_logger_is_not_installed(value, run):
    recipe = (run / "recipe.toml").read_text()
    recipe = recipe.replace("loggers = []", 'loggers = ["gone"]') + "[logger.gone]\nkey = 1\n"
    (run / "recipe.toml").write_text(recipe.replace("[logger]\n", ""))
    assert '["gone"]' in (run / "recipe.toml").read_text()
    assert zoo(str(run), *STRETCH).stdout == f"{value}\n"


def test_a_folder_that_is_no_run(tmp_path):
    assert "no run here" in zoo(str(tmp_path / "none"), *STRETCH, code=1).stderr
    (tmp_path / "mine.txt").touch()
    assert "it is not a run" in zoo(str(tmp_path), *STRETCH, code=1).stderr
    RunFolder.create(tmp_path / "empty")
    assert "recipe.toml is missing" in zoo(str(tmp_path / "empty"), *STRETCH, code=1).stderr


def test_a_name_wins_over_a_run_of_that_name(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    run.rename(run.with_name("sd2"))
    assert "a run, which" not in zoo("sd2", *SMALL, *STRETCH).stderr
    assert "a run, which" in zoo("./sd2", *SMALL, *STRETCH, code=2).stderr


def test_the_users_registry_reaches_the_processes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(
        '[dataset.my-shapes]\nfamily = "shapes"\nsamples = 40\n[backbone.mine]\nfamily = "sd2"\n'
    )
    args = [
        "--registry",
        "mine.toml",
        "digest",
        "mine",
        "--preset",
        "laptop",
        "--data",
        "my-shapes",
    ]
    args += [*STRETCH, "--micro-batch", "3"]
    found = {CliRunner().invoke(cli, [*args, "--processes", count]).stdout for count in ("1", "2")}
    assert len(found) == 1
    assert len(found.pop()) == 65


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9:5", "did you mean 5:9?"),
        ("5:5", "did you mean 5:6?"),
        ("-1:5", "counted from 0"),
        ("0:-5", "counted from 0"),
        ("5", "expected A:B"),
        ("5:", "expected A:B"),
        (":5", "expected A:B"),
        ("", "expected A:B"),
        ("1:2:3", "expected A:B"),
        ("0:1.5", "expected A:B"),
        ("a:b", "expected A:B"),
        ("٣:٥", "expected A:B"),
        ("0:1e3", "expected A:B"),
        (f"0:{2**63}", "2^63 - 1"),
        ("0:" + "9" * 5000, "expected A:B"),
    ],
)
def test_stretches_that_are_none(text, words):
    result = zoo("sd2", *SMALL, f"--samples={text}", code=2)
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < 300
    assert result.stdout == ""


@given(st.integers(0, 2**62), st.integers(1, 2**61))
def test_every_stretch_is_read(first, count):
    assert sample_range(f"{first}:{first + count}") == (first, first + count)
    assert sample_range(f" {first:_}:{first + count:_} ") == (first, first + count)
    with pytest.raises(ConfigError):
        sample_range(f"{first + count}:{first}")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("sd2", *SMALL), "Missing option '--samples'"),
        (("sd22", *SMALL, *STRETCH), "No backbone is called 'sd22'. Did you mean 'sd2'"),
        (("sd2", *SMALL, *STRETCH, "--processes", "0"), "0 is not in the range"),
        (("sd2", *SMALL, *STRETCH, "--micro-batch", "0"), "0 is not in the range"),
        (("sd2", "--preset", "paper", *STRETCH), "leaves the dataset open"),
    ],
)
def test_refused(args, words):
    assert words in zoo(*args, code=2).stderr


PLUGIN = """
from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"

@hookimpl
def zoo_components():
    return [Component(kind="dataset", name="brittle", target="fake_brittle.build:build",
                      config="zoo_core.interfaces:DatasetConfig")]
"""
BRITTLE = """
import multiprocessing
import os
from zoo_core.interfaces.dataset import Caption, Dataset, Sample

class build(Dataset):
    def __init__(self, config):
        if multiprocessing.parent_process() is not None:
            {fault}
    def __len__(self):
        return 40
    def __getitem__(self, index):
        return Sample(str(index), None, (Caption(f"number {{index}}"),))
    def fingerprint(self):
        return "0" * 32
"""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("os._exit(3)", "ended without a word"),
        (
            "raise OSError(5, 'Input/output error', 'shard-3.tar')",
            "shard-3.tar: input/output error",
        ),
    ],
)
def test_a_process_that_fails_is_told(make_plugin, tmp_path, fault, words):
    make_plugin("brittle", PLUGIN, files={"build.py": BRITTLE.format(fault=fault)})
    args = ("sd2", "--preset", "laptop", "--data", "brittle", *STRETCH)
    whole = zoo(*args).stdout
    assert len(whole) == 65
    result = zoo(*args, "--processes", "2", code=1)
    assert words in result.stderr
    assert result.stdout == ""


def test_it_needs_no_torch(tmp_path):
    code = (
        "import sys\n"
        "from zoo_core.cli.main import cli\n"
        f"cli.main(['digest', 'sd2', *{SMALL!r}, *{STRETCH!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'open_clip'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
