"""Rows as Parquet: exactly as they were, or refused."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from zoo_core.evaluation.prompt_images import PromptImages
from zoo_core.evaluation.row_store import (
    PARTS,
    RowStore,
    merge_versions,
    metric_identity,
    row_key,
    slug,
)
from zoo_core.evaluation.rows import decode, encode
from zoo_core.interfaces.metric import Metric
from zoo_core.interfaces.prompts import Prompt, Question

NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)
QUESTIONS = st.lists(
    st.fixed_dictionaries(
        {"question": st.text(max_size=9), "right": st.booleans(), "choices": st.integers(2, 9)}
    ),
    max_size=4,
)
FEATURES = arrays(np.float32, array_shapes(max_dims=1, max_side=6))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": st.text(max_size=9),
            "score": st.floats(),
            "count": st.integers(-(2**63), 2**63 - 1),
            "note": st.none() | st.text(max_size=5),
            "questions": QUESTIONS,
            "categories": st.fixed_dictionaries({"a": NUMBERS, "b": NUMBERS}),
            "features": FEATURES,
        }
    ),
    max_size=6,
)


def equal(a, b) -> bool:
    if isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b or (math.isnan(a) and math.isnan(b))


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_rows_come_back_as_they_were(rows):
    found, about = decode(encode(rows, {"metric": "m", "n": 1}, "m"))
    assert about == {"metric": "m", "n": 1}
    assert equal(found, rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"a": 1}, {"b": 1}], "rows have the keys"),
        ([{"a": {"x": 1}}, {"a": {"y": 1}}], "not kept as it is"),
        ([{"a": np.zeros((2, 2))}], "cannot hold"),
        ([{"a": object()}], "cannot hold"),
        ([{"a": "text"}, {"a": 1}], "cannot hold"),
        ([{"a": [np.zeros(2)]}], "not kept as it is"),
    ],
)
def test_rows_that_would_change_are_the_metrics_fault(rows, words):
    with pytest.raises(AssertionError, match=words):
        encode(rows, {}, "m")


@pytest.mark.parametrize("cut", [0, 5, 40, -3])
def test_a_damaged_file_is_a_value_error(cut):
    data = encode([{"a": 1.5}], {}, "m")
    with pytest.raises(ValueError):
        decode(data[:cut])


def test_libraries_of_several_sessions_are_all_told():
    assert merge_versions([{"torch": "1", "numpy": "2"}, {"torch": "3"}, {"torch": "1"}]) == {
        "numpy": "2",
        "torch": "1 and 3",
    }
    assert merge_versions([{"torch": "1 and 3"}, {"torch": "2"}]) == {"torch": "1 and 2 and 3"}


@pytest.fixture
def store(tmp_path):
    return RowStore(tmp_path)


ROW = {"prompt": "p0", "score": 0.25, "features": np.float32([1, 2])}


def test_parts_become_a_table_that_serves_later_evaluations(store):
    added = {
        key: store.add("m[x]", key, rows, {"numpy": "2"})
        for key, rows in {"k0": [ROW], "k1": [], "k2": [{**ROW, "prompt": "p1"}]}.items()
    }
    assert store.find("m[x]", ["k0", "k1", "k9"]).keys() == {"k0", "k1"}
    path, rows = store.finish("m[x]", "f" * 16, added, {"p0": "a cat", "p1": "a dog"})
    assert path.name == f"m-x-{'f' * 16}.parquet"
    assert [row["prompt"] for row in rows] == ["p0", "p1"]
    assert rows[0].keys() == ROW.keys()
    assert not (store.folder / PARTS).exists()
    table = pq.read_table(path).to_pylist()
    assert [(row["prompt"], row["text"]) for row in table] == [("p0", "a cat"), ("p1", "a dog")]
    found = store.find("m[x]", ["k2", "k1"])
    assert found["k1"].rows == []
    assert equal(found["k2"].rows, [{**ROW, "prompt": "p1"}])
    assert found["k2"].libraries == {"numpy": "2"}
    assert store.find("other", ["k2"]) == {}
    # A larger evaluation takes what it can and adds the rest.
    more = {**found, "k3": store.add("m[x]", "k3", [{**ROW, "prompt": "p2"}], {"numpy": "3"})}
    _, rows = store.finish("m[x]", "e" * 16, more, {"p1": "a dog", "p2": "an owl"})
    assert [row["prompt"] for row in rows] == ["p1", "p2"]


def test_a_damaged_part_or_table_is_scored_again(store):
    added = {"k0": store.add("m", "k0", [ROW], {})}
    part = store.folder / PARTS / "k0.parquet"
    part.write_bytes(part.read_bytes()[:-4])
    assert store.find("m", ["k0"]) == {}
    path, _ = store.finish("m", "f", added, {"p0": ""})
    path.write_bytes(b"PAR1")
    assert store.find("m", ["k0"]) == {}


def test_a_metric_cannot_use_the_stores_own_columns(store):
    with pytest.raises(AssertionError, match="taken"):
        store.add("m", "k", [{"prompt": "p", "text": "mine"}], {})


class Fixed(Metric):
    def __init__(self, name: str = "m", variant: str = "1") -> None:
        self._name, self._variant = name, variant

    @property
    def name(self):
        return self._name

    def score_images(self, prompts, images):
        raise NotImplementedError

    def summarize(self, rows):
        raise NotImplementedError

    def protocol(self):
        return {"variant": self._variant}


class Digests(PromptImages):
    def __init__(self, of: dict[str, str]) -> None:
        self.of = of

    def digest(self, prompt):
        return self.of[prompt.id]

    def read(self, prompts):
        raise NotImplementedError


def test_the_key_covers_metric_protocol_prompts_questions_and_images():
    def key(metric, chunk, images):
        return row_key(metric_identity(metric), chunk, images)

    prompt = Prompt("p", "a cat")
    asked = Prompt("p", "a cat", (Question("is it?", ("yes", "no"), "yes"),))
    keys = [
        key(Fixed(), (prompt,), Digests({"p": "1"})),
        key(Fixed(), (prompt,), Digests({"p": "2"})),
        key(Fixed("n"), (prompt,), Digests({"p": "1"})),
        key(Fixed(variant="2"), (prompt,), Digests({"p": "1"})),
        key(Fixed(), (asked,), Digests({"p": "1"})),
        key(Fixed(), (Prompt("p", "a dog"),), Digests({"p": "1"})),
    ]
    assert len(set(keys)) == len(keys)
    assert key(Fixed(), (prompt,), Digests({"p": "1", "q": "2"})) == keys[0]


def test_names_become_file_names():
    assert slug("clip-score[tiny-clip]") == "clip-score-tiny-clip"
