"""The protocol of a score: everything that matters changes it, and differences have names."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_core.catalog import open_catalog
from zoo_core.evaluation.protocol import (
    SEED_RULE,
    compare_protocols,
    drawing_protocol,
    fingerprint,
    protocol,
    protocol_warnings,
    versions,
)
from zoo_core.recipe import resolve_recipe


@pytest.fixture(scope="module")
def recipe_with():
    catalog = open_catalog()
    return lambda *changes: resolve_recipe(catalog, "sd2", "laptop", assignments=changes)


def ingredients(recipe, count=128, weights="raw", references=None, **metric):
    return protocol(
        drawing_protocol(recipe, weights),
        {"set": "shapes-heldout", "hash": "ab12", "count": count},
        {"name": "tifa[x]", "variant": "tifa-1.0", "preprocessing": "none", **metric},
        references,
        {"drawing": {"torch": "2.15"}, "scoring": {"numpy": "2.4"}},
    )


def test_the_issue_of_comparison_is_all_there(recipe_with):
    found = ingredients(recipe_with(), references="cd34", weights_of_scorer={"sha256": "ef"})
    assert found["drawing"]["sampling"] == {
        "scheduler": "ddim",
        "steps": 25,
        "guidance": 4.0,
        "seed": 0,
    }
    assert found["drawing"]["noise"] == SEED_RULE
    assert found["drawing"]["resolution"] == 64
    assert found["drawing"]["weights"] == "raw"
    assert found["prompts"] == {"set": "shapes-heldout", "hash": "ab12", "count": 128}
    assert found["metric"]["weights_of_scorer"] == {"sha256": "ef"}
    assert found["references"] == "cd34"
    assert found["libraries"]["drawing"]["torch"] == "2.15"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("sampling.guidance=7.5", "guidance 7.5 against 4.0"),
        ("sampling.steps=50", "denoising steps 50 against 25"),
        ("sampling.seed=3", "seed 3 against 0"),
        ("training.precision=bf16", "precision bf16 against fp32"),
        ("diffusion.prediction=v_prediction", "drawing.diffusion.prediction v_prediction against"),
        ("data.resolution=128", "resolution 128 against 64"),
    ],
)
def test_a_change_of_drawing_is_another_protocol_with_a_name(recipe_with, change, words):
    usual, other = ingredients(recipe_with()), ingredients(recipe_with(change))
    assert fingerprint(usual) != fingerprint(other)
    (difference,) = compare_protocols(other, usual)
    assert difference.startswith(words)


def test_the_batch_size_is_no_ingredient(recipe_with):
    assert ingredients(recipe_with("sampling.batch_size=8")) == ingredients(recipe_with())


def test_other_differences_have_names_too(recipe_with):
    recipe = recipe_with()
    usual = ingredients(recipe)
    other = ingredients(
        recipe, count=256, weights="ema", references="ab", variant="tifa-2", preprocessing="crop"
    )
    other["libraries"]["drawing"]["torch"] = "2.11"
    other["libraries"]["scoring"] = {"pillow": "12"}
    assert compare_protocols(usual, other) == [
        "number of prompts 128 against 256",
        "kind of weights raw against ema",
        "variant of the metric tifa-1.0 against tifa-2",
        "preprocessing none against crop",
        "real images nothing against ab",
        "version of torch (drawing) 2.15 against 2.11",
        "version of numpy (scoring) 2.4 against nothing",
        "version of pillow (scoring) nothing against 12",
    ]


TABLES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=6,
).filter(lambda table: isinstance(table, dict))


@given(TABLES, TABLES)
def test_no_difference_means_the_same_fingerprint_and_the_other_way_round(a, b):
    assert (compare_protocols(a, b) == []) == (a == b)
    assert (fingerprint(a) == fingerprint(b)) == (a == b)
    assert len(compare_protocols(a, b)) == len(compare_protocols(b, a))
    assert compare_protocols(a, copy.deepcopy(a)) == []


def test_a_table_of_scores_warns_once_a_difference(recipe_with):
    usual, other = ingredients(recipe_with()), ingredients(recipe_with("sampling.guidance=7.5"))
    rows = [
        {"metric": "tifa[x]", "step": step, "ingredients": found}
        for step, found in [(400, usual), (800, usual), (1200, other), (1600, other)]
    ]
    rows.append({"metric": "fid", "step": 400, "ingredients": other})
    assert protocol_warnings(rows) == [
        "Scores of tifa[x] at steps 400 and 1200 do not compare: guidance 4.0 against 7.5."
    ]
    assert protocol_warnings(rows[:2]) == []


def test_versions_are_of_what_is_installed():
    found = versions(["numpy", "no-such-library"])
    assert found.keys() == {"numpy"}
