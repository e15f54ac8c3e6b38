"""Tables become typed settings, or a sentence that names key, value, expectation and place."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from zoo_core.errors import ConfigError
from zoo_core.schema import Config, convert, describe, field_names, flatten, to_dict


class Inner(Config, frozen=True):
    rate: Annotated[float, Meta(gt=0, description="How fast")] = 0.5


class Loose(msgspec.Struct, frozen=True):
    """No Config: msgspec alone would drop its unknown keys silently."""

    rate: float = 0.5


class Settings(Config, frozen=True):
    width: Annotated[int, Meta(ge=1, le=64, description="How wide")]
    depth: tuple[int, ...] = (1, 2)
    mode: Literal["slow", "fast"] = "slow"
    inner: Inner = Inner()
    loose: Loose = Loose()
    note: str | None = None


class Even(Config, frozen=True):
    number: int = 2

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ConfigError(f"number {self.number} is odd; {self.number + 1} fits.", "number")


def refused(table, into=Settings) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        convert(table, into, "here.toml")
    assert str(caught.value).startswith("here.toml: ")
    assert caught.value.exit_code == 2
    return caught.value


def test_valid_table():
    settings = convert({"width": 3, "depth": [4], "inner": {"rate": 1}}, Settings, "here")
    assert settings == Settings(width=3, depth=(4,), inner=Inner(rate=1.0))


def test_unknown_key_is_refused_with_the_nearest():
    error = refused({"widht": 3})
    assert "unknown key 'widht'. Did you mean 'width'?" in str(error)
    assert error.key == "widht"


def test_unknown_key_without_a_near_one_lists_all():
    assert "Known keys: depth, inner, loose, mode, note, width." in str(refused({"zzz": 3}))


@pytest.mark.parametrize("table", ["inner", "loose"])
def test_unknown_nested_key(table):
    error = refused({"width": 3, table: {"rat": 1.0}})
    assert f"unknown key '{table}.rat'. Did you mean 'rate'?" in str(error)


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ({"width": "3"}, "width", ("'3'", "an integer")),
        ({"width": 65}, "width", ("65", "<= 64")),
        ({"width": 0}, "width", ("0", ">= 1")),
        ({"width": 1, "depth": 2}, "depth", ("2", "a list")),
        ({"width": 1, "depth": [1, "x"]}, "depth[1]", ("'x'", "an integer")),
        ({"width": 1, "mode": "medium"}, "mode", ("'medium'",)),
        ({"width": 1, "inner": 4}, "inner", ("4", "a table")),
        ({"width": 1, "inner": {"rate": -1.0}}, "inner.rate", ("-1.0", "> 0")),
        ({"width": True}, "width", ("True", "an integer")),
    ],
)
def test_wrong_value_names_key_value_and_expectation(table, key, words):
    error = refused(table)
    assert error.key == key
    assert f"'{key}'" in str(error)
    for word in words:
        assert word in str(error)


def test_missing_required_key():
    assert "required key 'width' is missing" in str(refused({}))


def test_complaint_of_the_settings_themselves():
    assert "number 3 is odd; 4 fits" in str(refused({"number": 3}, Even))


def test_place_is_worked_out_only_for_a_complaint():
    calls = []

    def where() -> str:
        calls.append(1)
        return "over there"

    convert({"width": 1}, Settings, where)
    assert calls == []
    with pytest.raises(ConfigError, match="over there: unknown key"):
        convert({"wide": 1}, Settings, where)
    assert calls == [1]


def test_describe_tells_type_default_and_meaning():
    fields = {field.name: field for field in describe(Settings)}
    assert tuple(fields) == field_names(Settings)
    assert (fields["width"].required, fields["width"].type) == (True, "int")
    assert fields["width"].description == "How wide"
    assert (fields["mode"].required, fields["mode"].default) == (False, "slow")
    assert fields["depth"].default == (1, 2)


def test_none_has_no_place_in_toml():
    assert "note" not in to_dict(Settings(width=1))
    assert to_dict(Settings(width=1, note="x"))["note"] == "x"


@given(
    width=st.integers(1, 64),
    depth=st.lists(st.integers(-1000, 1000), max_size=5),
    mode=st.sampled_from(["slow", "fast"]),
    rate=st.floats(1e-6, 1e6),
    note=st.none() | st.text(max_size=5),
)
def test_to_dict_and_convert_are_inverse(width, depth, mode, rate, note):
    settings = Settings(
        width=width, depth=tuple(depth), mode=mode, inner=Inner(rate=rate), note=note
    )
    assert convert(to_dict(settings), Settings, "here") == settings


def test_flatten():
    assert flatten({"a": {"b": {"c": 1}, "d": []}, "e": {}}) == {"a.b.c": 1, "a.d": [], "e": {}}
