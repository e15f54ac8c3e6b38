"""Prompts a line: what is read, and every fault named with file and line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_core.catalog import open_catalog
from zoo_core.errors import ConfigError
from zoo_core.interfaces.prompts import Prompt, Question
from zoo_core.recipe.components import build_named
from zoo_prompt_files.config import PromptFileConfig
from zoo_prompt_files.lines import build

QUESTION = {"question": "is it red?", "choices": ["yes", "no"], "answer": "yes"}


def read(path):
    return build(PromptFileConfig(path=str(path)))


def test_plain_text_is_a_prompt_a_line(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffa red circle\r\n\n  zwei grüne Quadrate \n".encode())
    found = read(path)
    assert list(found.prompts()) == [
        Prompt("00000", "a red circle"),
        Prompt("00001", "zwei grüne Quadrate"),
    ]
    assert len(found) == 2
    assert list(found.prompts(1)) == [Prompt("00000", "a red circle")]
    assert found.references() is None


def test_json_lines_have_ids_texts_and_questions(tmp_path):
    path = tmp_path / "mine.jsonl"
    full = {**QUESTION, "element_type": "color", "element": "red", "parents": [1]}
    lines = [
        {"id": "x", "text": "a circle", "questions": [full, QUESTION]},
        {"id": 7, "text": "a square"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    first, second = read(path).prompts()
    assert first == Prompt(
        "x",
        "a circle",
        (
            Question("is it red?", ("yes", "no"), "yes", "color", "red", (1,)),
            Question("is it red?", ("yes", "no"), "yes"),
        ),
    )
    assert second == Prompt("7", "a square")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"id": "a", "text": "x"}', "{oops"], ":2: not JSON"),
        (["[1]"], ":1: expected an object"),
        (['{"id": "a"}'], ":1: the required key 'text' is missing"),
        (['{"text": "x"}'], ":1: the required key 'id' is missing"),
        (['{"id": "a", "txet": "x", "text": "y"}'], ":1: unknown key 'txet'. Did you mean 'text'"),
        (['{"id": "a", "text": ""}'], ":1: key 'text'"),
        (['{"id": "a", "text": 3}'], ":1: key 'text' is 3: expected a string"),
        (
            ['{"id": "a", "text": "x"}', "", '{"id": "a", "text": "y"}'],
            ":3: the id 'a' is that of line 1 too",
        ),
        (
            [json.dumps({"id": "a", "text": "x", "questions": [{**QUESTION, "answer": "maybe"}]})],
            ":1: the answer 'maybe' of 'is it red\\?' is not among its choices \\(yes, no\\)",
        ),
        (
            [json.dumps({"id": "a", "text": "x", "questions": [{**QUESTION, "parents": [0]}]})],
            ":1: 'is it red\\?' names 0 as a parent; expected places of other questions",
        ),
        (
            [json.dumps({"id": "a", "text": "x", "questions": [{"question": "why?"}]})],
            ":1: .*choices",
        ),
        ([], "no prompts in it"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, lines, words):
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_files_that_are_none(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "missing.txt")
    with pytest.raises(ConfigError, match="expected plain text"):
        read(tmp_path / "table.csv")
    path = tmp_path / "latin.txt"
    path.write_bytes("ok\n\xe9t\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.txt:2: not UTF-8"):
        read(path)
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "folder.txt")


def test_far_too_large_files_are_not_read(tmp_path, monkeypatch):
    from zoo_prompt_files import lines

    monkeypatch.setattr(lines, "MAX_BYTES", 10)
    path = tmp_path / "large.txt"
    path.write_text("a" * 11)
    with pytest.raises(ConfigError, match="11 bytes"):
        read(path)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1)


@given(st.dictionaries(TEXTS, TEXTS.filter(str.strip), min_size=1, max_size=8))
def test_any_ids_and_texts_come_through(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("p") / "any.jsonl"
    path.write_text("".join(json.dumps({"id": k, "text": v}) + "\n" for k, v in table.items()))
    assert [(prompt.id, prompt.text) for prompt in read(path).prompts()] == list(table.items())


def test_the_fingerprint_is_of_the_content(tmp_path):
    texts = {"a.txt": "x\ny\n", "b.txt": "\n x \r\ny", "c.txt": "y\nx\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    one, same, other = (read(tmp_path / name).fingerprint() for name in texts)
    assert one == same != other


def test_the_catalogue_builds_it(tmp_path):
    (tmp_path / "p.txt").write_text("a cat")
    built = build_named(open_catalog(), "prompts", "prompt-file", {"path": str(tmp_path / "p.txt")})
    assert built.prompts()[0].text == "a cat"
