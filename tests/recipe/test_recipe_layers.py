"""Layers: later ones win key by key, lists are replaced whole, and every value knows its origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_core.errors import ConfigError
from zoo_core.recipe import Layer, merge, parse_assignment
from zoo_core.schema import flatten


def test_later_layers_win_key_by_key():
    values, origins = merge(
        [
            Layer("a", {"training": {"steps": 1, "seed": 2}, "list": [1, 2]}),
            Layer("b", {"training": {"steps": 3}, "list": [9]}),
        ]
    )
    assert values == {"training": {"steps": 3, "seed": 2}, "list": [9]}
    assert origins == {"training.steps": "b", "training.seed": "a", "list": "b"}


def test_another_name_in_a_slot_drops_the_old_ones_settings():
    first = Layer("a", {"dataset": {"name": "one", "samples": 3}})
    values, origins = merge([first, Layer("b", {"dataset": {"name": "two"}})])
    assert values == {"dataset": {"name": "two"}}
    assert origins == {"dataset.name": "b"}
    values, _ = merge([first, Layer("b", {"dataset": {"name": "one", "seed": 1}})])
    assert values == {"dataset": {"name": "one", "samples": 3, "seed": 1}}


def test_layers_are_not_changed_by_merging():
    inner = {"a": {"b": [1]}}
    values, _ = merge([Layer("x", inner), Layer("y", {"a": {"c": 2}})])
    values["a"]["b"].append(2)
    assert inner == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"training": 3}, "'training' is a table; set one of its keys, for example training.steps"),
        ({"training": {"steps": {"x": 1}}}, "'training.steps' is 1 elsewhere, not a table"),
        ({"training": [1]}, "'training' is a table"),
    ],
)
def test_table_and_value_do_not_mix(second, words):
    with pytest.raises(ConfigError) as caught:
        merge([Layer("a", {"training": {"steps": 1}}), Layer("--set", second)])
    assert str(caught.value).startswith("--set: ")
    assert words in str(caught.value)


def test_origin_in_a_file_has_its_line(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("[preset.x.training]\nsteps = 1\n")
    layer = Layer("preset x", {"training": {"steps": 1}}, path, "preset.x.")
    assert layer.origin("training.steps") == "preset x (r.toml:2)"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=3", {"a": {"b": 3}}),
        ("a = 1e-3", {"a": 0.001}),
        ("a=true", {"a": True}),
        ("a=[1, 2]", {"a": [1, 2]}),
        ('a="3"', {"a": "3"}),
        ("a=plain words", {"a": "plain words"}),
        ("a=x=y", {"a": "x=y"}),
        ("a={b = 1}", {"a": {"b": 1}}),
        ("a=", {"a": ""}),
        ("a=1\nb = 2", {"a": "1\nb = 2"}),
    ],
)
def test_assignment(text, value):
    assert parse_assignment(text) == value


@pytest.mark.parametrize("text", ["a", "=3", "a..b=3", ".a=3", ""])
def test_assignment_without_key_or_value(text):
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        parse_assignment(text)


KEYS = st.sampled_from(["a", "b", "c"])
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, st.integers(), min_size=1), max_size=3)


@given(st.lists(TABLES, max_size=4))
def test_every_value_is_that_of_the_last_layer_with_its_key(tables):
    layers = [Layer(str(number), table) for number, table in enumerate(tables)]
    values, origins = merge(layers)
    expected = {key: (v, str(n)) for n, t in enumerate(tables) for key, v in flatten(t).items()}
    assert flatten(values) == {key: value for key, (value, _) in expected.items()}
    assert origins == {key: origin for key, (_, origin) in expected.items()}
