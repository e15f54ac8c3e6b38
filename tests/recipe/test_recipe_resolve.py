"""From names to a typed recipe: what is filled in, what is refused, and in which words."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_core.errors import ConfigError, UnknownNameError
from zoo_core.recipe import recipe_from_table, resolve_recipe


def refused(catalog, *assignments, file=None, preset="t-small") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        resolve_recipe(catalog, "toy", preset, file, assignments)
    assert caught.value.exit_code == 2
    return caught.value


def test_layers_in_order_with_origins(catalog, tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("[training]\nbatch_size = 12\nseed = 4\n")
    recipe = resolve_recipe(catalog, "toy", "t-small", file, ["training.seed=5"])
    assert (recipe.training.steps, recipe.training.batch_size, recipe.training.seed) == (77, 12, 5)
    origins = recipe.origins
    assert origins["vae.name"].startswith("preset t-base (toys.toml:")
    assert origins["scale.width_divisor"].startswith("preset t-small (toys.toml:")
    assert origins["training.steps"] == "variant toy (toys.toml:6)"
    assert origins["training.batch_size"] == "recipe (r.toml:2)"
    assert origins["training.seed"] == "--set"
    assert origins["backbone.name"] == "argument"
    assert origins["backbone.channels"] == "variant toy (toys.toml:3)"
    assert "training.precision" not in origins  # a default


def test_widths_are_reduced_and_shapes_filled(catalog):
    recipe = resolve_recipe(catalog, "toy", "t-small")
    assert (recipe.backbone.channels, recipe.backbone.text_width) == (8, 96)
    assert (recipe.backbone.latent_size, recipe.latent_shape) == (8, (4, 8, 8))
    assert recipe.slots["backbone"].settings["channels"] == 64
    assert recipe.dataset.resolution == 64
    wide = resolve_recipe(catalog, "toy", "t-small", None, ["vae.name=v16"])
    assert wide.backbone.latent_channels == 16


def test_another_dataset_drops_the_presets_settings(catalog):
    recipe = resolve_recipe(catalog, "toy", "t-small", None, ["dataset.name=d2"])
    assert recipe.slots["dataset"].config.samples == 10
    assert resolve_recipe(catalog, "toy", "t-small").slots["dataset"].config.samples == 3


def test_provenance_says_who_filled_each_slot(catalog, registry):
    provenance = resolve_recipe(catalog, "toy", "t-small").provenance()
    assert provenance["components"]["vae"] == {
        "family": "t-vae",
        "plugin": "toy",
        "distribution": "zoo-toy",
        "version": "1.2.3",
        "target": "fake_toy.build:build",
        "definition": f"{registry}:8",
    }
    assert provenance["metrics"]["m"]["plugin"] == "toy"


def test_unknown_key_has_suggestion_file_and_line(catalog, tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("[training]\n\nstpes = 3\n")
    error = refused(catalog, file=file)
    assert "recipe (r.toml:3): training: unknown key 'stpes'. Did you mean 'steps'?" in str(error)
    assert error.key == "training.stpes"


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("training.stpes=3", ("--set", "'stpes'", "'steps'")),
        ("trainig.steps=3", ("--set", "unknown section 'trainig'", "'training'")),
        ("training.steps=many", ("--set", "'many'", "an integer")),
        ("training.steps=0", ("--set", "0", ">= 1")),
        ("training.steps=1.5", ("--set", "1.5", "an integer")),
        ("training=3", ("--set", "'training' is a table")),
        ("training.steps.more=3", ("--set", "'training.steps' is 77 elsewhere, not a table")),
        ("evaluation.metrics=m", ("--set", "'m'", "a list")),
        ("data=[1]", ("--set", "'data' is a table")),
        ("optimizer=[1]", ("--set", "'optimizer' must be a table")),
        ("backbone.channels=1", ("--set", "1", ">= 2")),
        ("backbone.chanels=8", ("--set", "'chanels'", "'channels'")),
        ("backbone.text_width=8", ("--set", "cannot be set", "text_encoder")),
        ("backbone.latent_channels=8", ("cannot be set", "vae")),
        ("backbone.latent_size=8", ("cannot be set", "data.resolution")),
        ("dataset.resolution=8", ("cannot be set", "data.resolution")),
        ("data.resolution=60", ("--set", "60", "56 fits")),
        ("training.micro_batch=0", ("micro_batch",)),
        ("scale.width_divisor=3", ("channels 64 cannot be divided by 3",)),
        ("dataset.name=d3", ("--set", "'d3'", "No dataset is called 'd3'")),
        ("vae.name=v5", ("--set", "No vae is called 'v5'")),
        ("backbone.name=other", ("'other'", "'toy' was asked for")),
        ("metric.other.strength=1.0", ("--set", "evaluation.metrics does not name it")),
        ("metric.m.strength=-1.0", ("--set", "-1.0", "> 0")),
        ("metric.m.strenght=1.0", ("--set", "'strenght'", "'strength'")),
        ("steps", ("expected KEY=VALUE",)),
    ],
)
def test_refused(catalog, assignment, words):
    error = refused(catalog, assignment)
    for word in words:
        assert word in str(error), str(error)
    assert "\n" not in str(error)


def test_broken_recipe_file(catalog, tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("[training]\nsteps = = 3\n")
    assert f"{file}:2:9: not valid TOML" in str(refused(catalog, file=file))
    assert "cannot be read" in str(refused(catalog, file=tmp_path / "none.toml"))


def test_variant_with_a_wrong_value_names_its_own_file(make_plugin, catalog, registry):
    from zoo_core.catalog import open_catalog

    text = registry.read_text().replace("channels = 64", 'channels = "many"')
    registry.write_text(text)
    with pytest.raises(ConfigError, match=r"variant toy \(toys\.toml:3\): .*'channels' is 'many'"):
        resolve_recipe(open_catalog([registry]), "toy", "t-small")


def test_presets_that_extend_each_other_in_a_circle(catalog):
    words = "circle: t-circle -> t-circle-2 -> t-circle"
    assert words in str(refused(catalog, preset="t-circle"))


def test_names_that_are_not_there(catalog):
    with pytest.raises(UnknownNameError, match="No backbone is called 'tyo'"):
        resolve_recipe(catalog, "tyo", "t-small")
    with pytest.raises(UnknownNameError, match=r"'t-smal'\. Did you mean 't-small'"):
        resolve_recipe(catalog, "toy", "t-smal")


def test_open_dataset_is_an_error_except_for_a_dry_run(catalog):
    error = refused(catalog, preset="t-base")
    for words in ("leaves the dataset open", "--data NAME", "zoo list dataset"):
        assert words in str(error)
    assert resolve_recipe(catalog, "toy", "t-base", need_dataset=False).dataset is None


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "training.steps": st.integers(1, 10**7),
        "training.seed": st.integers(0, 2**53),
        "training.micro_batch": st.sampled_from([1, 2, 4, 8]),
        "optimizer.learning_rate": st.floats(1e-12, 1.0),
        "sampling.guidance": st.floats(1.0, 100.0),
        "scale.width_divisor": st.sampled_from([1, 2, 4, 8, 16, 32]),
        "data.resolution": st.integers(1, 64).map(lambda n: 8 * n),
        "dataset.name": st.sampled_from(["d1", "d2"]),
        "vae.name": st.sampled_from(["v4", "v16"]),
        "backbone.depth": st.lists(st.integers(0, 9), max_size=4),
        "text_encoder.model": st.text(
            st.characters(codec="ascii", exclude_characters="\x7f"), max_size=9
        ),
        "evaluation.metrics": st.sampled_from([["m"], ["t-metric", "m"]]),
        "evaluation.final_prompts": st.integers(1, 9),
    },
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(CHANGES)
def test_round_trip_through_a_run_folders_file(catalog, tmp_path, changes):
    import json

    import tomli_w

    from zoo_core.schema import load_toml

    assignments = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    recipe = resolve_recipe(catalog, "toy", "t-small", None, assignments)
    file = tmp_path / "recipe.toml"
    file.write_text(tomli_w.dumps(recipe.to_table()), encoding="utf-8")
    again = recipe_from_table(catalog, load_toml(file), "recipe.toml")
    assert again == recipe
    assert again.fingerprint() == recipe.fingerprint()


def test_every_section_is_in_the_table(catalog):
    from zoo_core.recipe.sections import SECTIONS

    table = resolve_recipe(catalog, "toy", "t-small").to_table()
    assert set(SECTIONS) <= set(table)


def test_fingerprint_is_the_same_without_any_metric(catalog):
    """An empty table of metrics is as free as a full one."""
    file = ['dataset.name="d1"', "data.resolution=64"]
    none = resolve_recipe(catalog, "toy", "t-base", None, file)
    one = resolve_recipe(catalog, "toy", "t-base", None, [*file, 'evaluation.metrics=["m"]'])
    assert none.to_table()["metric"] == {}
    assert none.fingerprint() == one.fingerprint()


def test_fingerprint_follows_what_training_depends_on(catalog):
    def fingerprint(*assignments):
        return resolve_recipe(catalog, "toy", "t-small", None, assignments).fingerprint()

    same = fingerprint()
    for free in (
        "training.steps=9",
        "training.micro_batch=2",
        "evaluation.every=7",
        "sampling.steps=3",
    ):
        assert fingerprint(free) == same
    for bound in ("training.seed=9", "optimizer.beta1=0.8", "backbone.head=4", "dataset.name=d2"):
        assert fingerprint(bound) != same


def test_a_shorter_list_of_metrics_leaves_the_presets_settings_behind():
    """`evaluation.metrics=[]` needs no word about [metric.tifa]; settings of the user's own do."""
    from zoo_core.catalog import open_catalog

    catalog = open_catalog()
    recipe = resolve_recipe(catalog, "sd2", "laptop", assignments=["evaluation.metrics=[]"])
    assert recipe.metrics == ()
    assert recipe_from_table(catalog, recipe.to_table(), "again") == recipe
    own = ["evaluation.metrics=[]", "metric.tifa.vqa=shapes-reader"]
    with pytest.raises(ConfigError, match=r"\[metric\.tifa\] has settings"):
        resolve_recipe(catalog, "sd2", "laptop", assignments=own)
