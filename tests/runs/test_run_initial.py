"""Initial weights: found, held to what they were, and loaded tensor by tensor or not at all."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path

import pytest
import tomli_w
import torch
from safetensors.torch import save_file
from torch import nn

from zoo_core.catalog import open_catalog
from zoo_core.errors import CheckpointError, ConfigError
from zoo_core.recipe import recipe_from_table, resolve_recipe
from zoo_core.recipe.components import Components
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.initial import find_weights, pin_initial_weights
from zoo_core.runs.weights import load_initial_weights
from zoo_core.schema import load_toml


class Net(nn.Module):
    """A learned layer, a learned table, and two computed tables of which one depends on the size."""

    def __init__(self, size: int = 4, width: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn(2, width))
        self.register_buffer("positions", torch.arange(float(size)))
        self.register_buffer("scale", torch.full((2,), float(seed)))


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def save(run: RunFolder, step: int, module: nn.Module) -> checkpoints.Checkpoint:
    tensors = {"backbone": module.state_dict(), "optimizer": {"moment": torch.zeros(3)}}
    return checkpoints.save(
        run, step, tensors, {}, samples=step, variant="sd2", fingerprint="f" * 32
    )


@pytest.fixture
def source(tmp_path) -> RunFolder:
    """A run with checkpoints of steps 10 and 20, whose weights have the seeds 1 and 2."""
    run = RunFolder.create(tmp_path / "source")
    save(run, 10, Net(seed=1))
    save(run, 20, Net(seed=2))
    return run


def file_of(run: RunFolder, step: int) -> Path:
    return run.checkpoints / f"step-{step:06d}" / "backbone.safetensors"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Where they are --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inside", "step"),
    [
        ("", 20),
        ("checkpoints/latest", 20),
        ("checkpoints/step-000010", 10),
        ("checkpoints/step-000020/backbone.safetensors", None),
    ],
)
def test_a_run_a_checkpoint_or_a_file(source, inside, step):
    found = find_weights(source.path / inside, pytest.fail)
    assert found.file == file_of(source, step or 20)
    assert found.sha256 == sha256(found.file)
    assert (found.step, found.variant) == (step, "sd2" if step else None)
    assert found.place == (found.file.parent if step else found.file)
    assert not found.place.is_symlink()


def test_a_damaged_newest_checkpoint_of_a_run_is_passed_over(source):
    file_of(source, 20).write_bytes(b"")
    said: list[str] = []
    assert find_weights(source.path, said.append).step == 10
    assert "step-000020/backbone.safetensors: truncated" in said[0]
    with pytest.raises(CheckpointError, match=r"step-000020/backbone\.safetensors: truncated"):
        find_weights(source.checkpoints / "step-000020", pytest.fail)


def test_places_without_weights(tmp_path):
    RunFolder.create(tmp_path / "new")
    with pytest.raises(CheckpointError, match=r"new: the run has no checkpoint yet"):
        find_weights(tmp_path / "new", pytest.fail)
    with pytest.raises(CheckpointError, match=r"none: is not there; expected a run, a checkpoint"):
        find_weights(tmp_path / "none", pytest.fail)
    with pytest.raises(
        CheckpointError, match=r"holds neither a run, a checkpoint .* training\.init_from"
    ):
        find_weights(tmp_path, pytest.fail)
    run = RunFolder.create(tmp_path / "other")
    group = {"model": Net().state_dict()}
    checkpoints.save(run, 1, group, {}, samples=1, variant="x", fingerprint="f" * 32)
    with pytest.raises(CheckpointError, match=r"a checkpoint without backbone\.safetensors"):
        find_weights(run.path, pytest.fail)


# --- Loading them ----------------------------------------------------------------------------------


def test_every_tensor_is_loaded(source):
    module = Net(seed=3)
    report = load_initial_weights(module, source.path, sha256(file_of(source, 20)))
    assert same(values(module), values(Net(seed=2)))
    assert (report.taken, report.left) == (5, ())
    place = source.checkpoints / "step-000020"
    assert report.sentence() == f"Beginning with the 5 tensors of {place} (sd2, step 20)."


def test_a_computed_table_of_another_size_is_made_anew(source):
    module = Net(size=9, seed=3)
    report = load_initial_weights(module, source.path)
    expected = {**values(Net(seed=2)), "positions": torch.arange(9.0)}
    assert same(values(module), expected)
    assert report.left == ("positions",)
    assert report.sentence().endswith("Made anew for this size: positions.")


def test_weights_of_another_precision_are_converted(tmp_path):
    half = {name: tensor.bfloat16() for name, tensor in values(Net(seed=2)).items()}
    save_file(half, tmp_path / "half.safetensors")
    module = Net(seed=3)
    load_initial_weights(module, tmp_path / "half.safetensors")
    assert same(values(module), {name: tensor.float() for name, tensor in half.items()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("layer.bias"), r"lacks 'layer\.bias' \(1 missing, 0 unknown"),
        (lambda t: t.pop("positions"), r"lacks 'positions'"),
        (lambda t: t.update(more=torch.zeros(1)), r"has an unknown 'more' \(0 missing, 1 unknown"),
        (
            lambda t: t.update(table=torch.zeros(4, 3)),
            r"'table' is \(4, 3\), and \(2, 3\) in the model",
        ),
        (lambda t: t.update(table=torch.zeros(6)), r"'table' is \(6,\), and \(2, 3\) in the model"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, change, words):
    tensors = values(Net(seed=2))
    change(tensors)
    file = tmp_path / "weights.safetensors"
    save_file(tensors, file)
    module = Net(seed=3)
    before = values(module)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_initial_weights(module, file)
    assert str(caught.value).startswith(f"{file}: ")
    assert same(values(module), before)


def test_other_weights_than_those_expected(source):
    module = Net(seed=3)
    before = values(module)
    with pytest.raises(CheckpointError, match=f"the SHA-256 is .*, not {'0' * 64}"):
        load_initial_weights(module, source.path, "0" * 64)
    assert same(values(module), before)


@pytest.mark.parametrize("kind", ["empty", "noise", "cut", "pickle"])
def test_files_that_are_none(tmp_path, source, kind):
    file = tmp_path / "weights.safetensors"
    whole = file_of(source, 20).read_bytes()
    # A pickle that would leave a trace if anything unpickled it.
    trace = tmp_path / "trace"
    content = {
        "empty": b"",
        "noise": bytes(range(256)) * 4,
        "cut": whole[: len(whole) // 2],
        "pickle": pickle.dumps(_Harmful(trace)),
    }
    file.write_bytes(content[kind])
    with pytest.raises(CheckpointError, match=f"{file}: no safetensors file, or a damaged one"):
        load_initial_weights(Net(), file)
    assert not trace.exists()


class _Harmful:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize(
    ("name", "tables"),
    [("pixart-h1024-d28", ["transformer.pos_embed.pos_embed"]), ("sdxl-c128", [])],
)
def test_weights_of_one_resolution_go_on_at_twice_that(tmp_path, name, tables):
    """As 512 x 512 goes on from 256 x 256: only tables of positions are made anew, for the new size."""
    catalog = open_catalog()

    def backbone(resolution: int, seed: int):
        recipe = resolve_recipe(catalog, name, "laptop", None, [f"data.resolution={resolution}"])
        torch.manual_seed(seed)
        return Components(recipe, catalog).backbone()

    small, large = backbone(64, 0), backbone(128, 1)
    save(RunFolder.create(tmp_path / "small"), 5, small)
    fresh = {key: buffer.clone() for key, buffer in large.named_buffers()}
    report = load_initial_weights(large, tmp_path / "small")
    assert report.taken == len(small.state_dict())
    assert same(values(large), values(small))
    assert list(fresh) == tables
    for key, buffer in large.named_buffers():
        assert torch.equal(buffer, fresh[key])
        assert buffer.shape != dict(small.named_buffers())[key].shape
    config = large.config
    latents = torch.randn(1, config.latent_channels, config.latent_size, config.latent_size)
    with torch.no_grad():
        text = torch.randn(1, 5, config.text_width)
        assert large(latents, torch.tensor([3]), text).isfinite().all()


# --- Keeping to them -------------------------------------------------------------------------------


@pytest.fixture
def recipe_for():
    """``recipe_for(path)`` is a recipe that begins with the weights there."""
    catalog = open_catalog()

    def resolve(path: Path | str | None = None, *assignments: str):
        given = [] if path is None else [f'training.init_from="{path}"']
        return resolve_recipe(catalog, "sd2", "laptop", None, [*given, *assignments])

    return resolve


def write_down(run: RunFolder, recipe) -> None:
    run.write_text_atomic("recipe.toml", tomli_w.dumps(recipe.to_table()))


def test_without_initial_weights_nothing_is_added(recipe_for, tmp_path):
    plain = recipe_for()
    assert pin_initial_weights(plain, tmp_path / "run", pytest.fail) is plain
    assert recipe_for("") == plain
    assert "init_from" not in plain.to_table()["training"]
    assert "init_sha256" not in plain.to_table()["training"]


def test_content_counts_and_not_the_path(recipe_for, source, tmp_path):
    def pinned(path):
        return pin_initial_weights(recipe_for(path), tmp_path / "run", pytest.fail)

    by_run = pinned(source.path)
    assert by_run.training.init_from == str(source.checkpoints / "step-000020")
    assert by_run.training.init_sha256 == sha256(file_of(source, 20))
    shutil.copy(file_of(source, 20), tmp_path / "elsewhere.safetensors")
    by_file = pinned(tmp_path / "elsewhere.safetensors")
    assert by_file.training.init_from == str(tmp_path / "elsewhere.safetensors")
    assert by_run.fingerprint() == by_file.fingerprint()
    other = pinned(source.checkpoints / "step-000010")
    plain = recipe_for()
    unpinned = [recipe_for("a"), recipe_for("b")]
    prints = {recipe.fingerprint() for recipe in (by_run, other, plain, *unpinned)}
    assert len(prints) == 5


def test_the_recipe_keeps_them_through_its_file(recipe_for, source, tmp_path):
    run = RunFolder.create(tmp_path / "run")
    pinned = pin_initial_weights(recipe_for(source.path), run.path, pytest.fail)
    write_down(run, pinned)
    again = recipe_from_table(open_catalog(), load_toml(run.path / "recipe.toml"), "recipe.toml")
    assert again == pinned
    assert again.fingerprint() == pinned.fingerprint()


def test_a_run_past_its_beginning_needs_them_no_more(recipe_for, source, tmp_path):
    run = RunFolder.create(tmp_path / "run")
    pinned = pin_initial_weights(recipe_for(source.path), run.path, pytest.fail)
    write_down(run, pinned)
    save(run, 5, Net())
    shutil.rmtree(source.path)
    for path in (source.path, source.checkpoints / "latest", source.checkpoints / "step-000020"):
        assert pin_initial_weights(recipe_for(path), run.path, pytest.fail) == pinned
    with pytest.raises(CheckpointError, match="is not there"):
        pin_initial_weights(recipe_for(source.checkpoints / "step-000010"), run.path, pytest.fail)


def test_a_run_before_its_first_checkpoint_keeps_to_the_one_it_took(recipe_for, source, tmp_path):
    run = RunFolder.create(tmp_path / "run")
    pinned = pin_initial_weights(recipe_for(source.path), run.path, pytest.fail)
    write_down(run, pinned)
    save(source, 30, Net(seed=4))
    assert pin_initial_weights(recipe_for(source.path), run.path, pytest.fail) == pinned
    # Once that is gone there is only the newer one, and it shows that it is another.
    shutil.rmtree(source.checkpoints / "step-000020")
    moved_on = pin_initial_weights(recipe_for(source.path), run.path, pytest.fail)
    assert moved_on.training.init_sha256 == sha256(file_of(source, 30))
    assert moved_on.fingerprint() != pinned.fingerprint()


def test_a_hash_that_is_given_must_be_the_files(recipe_for, source, tmp_path):
    right = f"training.init_sha256={sha256(file_of(source, 20))}"
    pinned = pin_initial_weights(recipe_for(source.path, right), tmp_path / "run", pytest.fail)
    assert pinned.training.init_sha256 == sha256(file_of(source, 20))
    wrong = recipe_for(source.path, f"training.init_sha256={'0' * 64}")
    with pytest.raises(
        ConfigError, match=r"the weights have the SHA-256 .*, but training\.init_sha256"
    ):
        pin_initial_weights(wrong, tmp_path / "run", pytest.fail)
    with pytest.raises(ConfigError, match=r"init_sha256"):
        recipe_for(source.path, "training.init_sha256=xyz")
    with pytest.raises(ConfigError, match=r"training\.init_from names none"):
        recipe_for(None, right)


def test_finding_them_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, zoo_core.runs.initial; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
