"""Lengths given in images: what a text means, how many steps it is, and that any layer may give it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_core.errors import ConfigError
from zoo_core.recipe import recipe_from_table, resolve_recipe
from zoo_core.recipe.lengths import FORMS, LENGTHS, parse_images
from zoo_core.recipe.sections import SECTIONS
from zoo_core.schema import field_names

UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
#: Texts that mean no number of images, or more than can be counted.
NOTHING = """
8|8.0|8 Mi B|8Mb|-8Mi|+8Mi|8e3 images|.5K|5.K|Mi|images|8Ti|٨Mi|0x10K|1__0K|_1K|nan K|8Mi 8Mi|9999999999G
""".strip().split("|")
NOTHING += ["", "8\nMi", "9" * 5000, "9" * 5000 + "Mi"]
LENGTH_KEYS = st.sampled_from(sorted(LENGTHS))


def resolved(catalog, *assignments, file=None):
    return resolve_recipe(catalog, "toy", "t-small", file, assignments)


def length(recipe, dotted: str) -> int:
    section, key = dotted.split(".")
    return getattr(getattr(recipe, section), key)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("8Mi", 8 * 2**20),
        ("512Ki", 512 * 1024),
        ("1.5M", 1_500_000),
        ("51.2K", 51_200),
        ("51200 images", 51_200),
        ("51_200 images", 51_200),
        ("1 image", 1),
        ("2Gi images", 2**31),
        (" 3 k ", 3000),
        ("8mi", 8 * 2**20),
        ("0.1K", 100),
        ("0Mi", 0),
    ],
)
def test_what_a_text_means(text, count):
    images = parse_images(text)
    assert images is not None
    assert images.count == count


@pytest.mark.parametrize("text", NOTHING)
def test_texts_that_mean_nothing(text):
    assert parse_images(text) is None


@given(
    whole=st.integers(0, 10**6), part=st.integers(0, 999), unit=st.sampled_from([*UNITS, "images"])
)
def test_every_form_is_read_exactly(whole, part, unit):
    images = parse_images(f"{whole}.{part:03d} {unit}")
    assert images is not None
    assert images.count == (whole + Fraction(part, 1000)) * UNITS.get(unit, 1)


@given(count=st.integers(1, 10**12), batch=st.integers(1, 10**6), other=st.integers(1, 10**6))
def test_steps_are_the_fewest_that_see_the_images(count, batch, other):
    images = parse_images(f"{count} images")
    assert images is not None
    steps = images.steps(batch)
    assert steps >= 1
    assert (steps - 1) * batch < count <= steps * batch
    small, large = sorted((batch, other))
    assert images.steps(large) <= images.steps(small)


def test_every_length_is_a_key_of_a_recipe():
    for dotted in LENGTHS:
        section, key = dotted.split(".")
        assert key in field_names(SECTIONS[section])


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(dotted=LENGTH_KEYS, count=st.integers(1, 10**9), batch=st.sampled_from([4, 8, 12, 64, 2048]))
def test_the_batch_of_the_last_layer_counts(catalog, dotted, count, batch):
    """Images stay when the batch changes, in whatever order the two are given."""
    given_first = resolved(catalog, f"{dotted}={count} images", f"training.batch_size={batch}")
    given_last = resolved(catalog, f"training.batch_size={batch}", f"{dotted}={count} images")
    assert given_first == given_last
    assert length(given_first, dotted) == -(-count // batch)


def test_a_preset_a_file_and_an_assignment_may_give_images(
    make_plugin, catalog, registry, tmp_path
):
    from zoo_core.catalog import open_catalog

    text = registry.read_text().replace("steps = 77", 'steps = "1Ki"')
    registry.write_text(text)
    file = tmp_path / "r.toml"
    file.write_text('[optimizer]\nwarmup_steps = "51.2K"\n[evaluation]\nevery = 5\n')
    recipe = resolve_recipe(
        open_catalog([registry]), "toy", "t-small", file, ["training.log_every=100 images"]
    )
    assert recipe.training.batch_size == 8
    assert recipe.training.steps == 128
    assert recipe.optimizer.warmup_steps == 6400
    assert recipe.training.log_every == 13
    assert recipe.evaluation.every == 5
    assert recipe.origins["training.steps"] == 'variant toy (toys.toml:6), "1Ki" at batch 8'
    assert recipe.origins["optimizer.warmup_steps"] == 'recipe (r.toml:2), "51.2K" at batch 8'
    assert recipe.origins["training.log_every"] == '--set, "100 images" at batch 8'
    assert recipe.origins["evaluation.every"] == "recipe (r.toml:4)"
    assert recipe.provenance()["values"]["training.steps"].endswith('"1Ki" at batch 8')


def test_a_run_folder_keeps_steps(catalog):
    recipe = resolved(catalog, "training.steps=1Ki")
    assert recipe.to_table()["training"]["steps"] == 128
    assert recipe_from_table(catalog, recipe.to_table(), "recipe.toml") == recipe
    assert recipe_from_table(catalog, {**recipe.to_table(), "training": {"steps": "1M"}}, "r")


def test_the_default_batch_counts_where_none_is_given(catalog):
    table = resolved(catalog).to_table()
    table["training"] = {"steps": "4Ki"}
    assert recipe_from_table(catalog, table, "r").training.steps == 2  # 4096 / 2048


def test_no_warm_up_may_be_written_in_images(catalog):
    assert resolved(catalog, "optimizer.warmup_steps=0 images").optimizer.warmup_steps == 0
    assert resolved(catalog, "optimizer.warmup_steps=1 image").optimizer.warmup_steps == 1


@pytest.mark.parametrize(
    ("assignments", "key", "words"),
    [
        (
            ["training.steps=many"],
            "training.steps",
            ("--set: training: key 'steps' is 'many'", FORMS),
        ),
        (["training.steps=8Mb"], "training.steps", ("'8Mb'", FORMS)),
        (["evaluation.every=-8Mi"], "evaluation.every", ("'-8Mi'", FORMS)),
        (['optimizer.warmup_steps="8"'], "optimizer.warmup_steps", ("'8'", FORMS)),
        (["training.log_every=0 images"], "training.log_every", ("'0 images'", "more than 0")),
        (
            ["training.steps=1Ki", "training.batch_size=x"],
            "training.batch_size",
            ("'x'", "integer"),
        ),
        (["training.steps=1Ki", "training.batch_size=0"], "training.batch_size", ("is 0", ">= 1")),
        (["training.keep_checkpoints=1Ki"], "training.keep_checkpoints", ("'1Ki'", "an integer")),
    ],
)
def test_refused(catalog, assignments, key, words):
    with pytest.raises(ConfigError) as caught:
        resolved(catalog, *assignments)
    assert caught.value.key == key
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_bad_text_names_file_and_line(catalog, tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('[training]\nseed = 1\nsteps = "8 Megs"\n')
    with pytest.raises(
        ConfigError, match=r"^recipe \(r\.toml:3\): training: key 'steps' is '8 Megs'"
    ):
        resolved(catalog, file=file)


def test_a_table_where_a_section_should_be(catalog):
    with pytest.raises(ConfigError, match="'optimizer' must be a table"):
        resolved(catalog, "optimizer=[1]", "training.steps=1Ki")
