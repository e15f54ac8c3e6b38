"""Question files in TIFA's format: what is read, and what is said of a file that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_core.errors import ConfigError
from zoo_tifa.config import TIFAFileConfig
from zoo_tifa.prompts import TIFAPrompts


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "id": "coco_1",
        "caption": "A dog on a beach.",
        "question": "is there a dog?",
        "choices": ["yes", "no"],
        "answer": "yes",
        "element_type": "animal/human",
        "element": "dog",
        "coco_val_id": "42",
        **changes,
    }


PLACE = entry(
    question="what type of place is this?",
    choices=["beach", "park"],
    answer="beach",
    element_type="location",
)
OTHER = entry(id="draw_2", caption="Two cats.", question="are there cats?", element="cats")


def read(folder: Path, questions: Any, texts: Any = None) -> TIFAPrompts:
    (folder / "questions.json").write_text(json.dumps(questions))
    if texts is not None:
        (folder / "texts.json").write_text(json.dumps(texts))
    return TIFAPrompts(
        TIFAFileConfig(
            path=str(folder / "questions.json"),
            texts=str(folder / "texts.json") if texts is not None else "",
        )
    )


def test_questions_are_gathered_by_prompt_in_order_of_appearance(tmp_path):
    prompts = read(tmp_path, [entry(), OTHER, PLACE]).prompts()
    assert [prompt.id for prompt in prompts] == ["coco_1", "draw_2"]
    assert [question.question for question in prompts[0].questions] == [
        "is there a dog?",
        "what type of place is this?",
    ]
    assert prompts[0].questions[1].choices == ("beach", "park")
    assert prompts[0].questions[1].element_type == "location"
    assert all(not question.parents for prompt in prompts for question in prompt.questions)


def test_the_text_file_gives_order_and_prompts_without_questions(tmp_path):
    texts = [
        {"id": "draw_2", "caption": "Two cats."},
        {"id": "new_3", "caption": "A plain wall."},
        {"id": "coco_1", "caption": "A dog on a beach."},
    ]
    prompts = read(tmp_path, [entry(), OTHER], texts)
    assert [prompt.id for prompt in prompts.prompts()] == ["draw_2", "new_3", "coco_1"]
    assert [len(prompt.questions) for prompt in prompts.prompts()] == [1, 0, 1]
    assert [prompt.id for prompt in prompts.prompts(2)] == ["draw_2", "new_3"]
    assert len(prompts) == 3


def test_a_text_file_alone_gives_prompts_without_questions(tmp_path):
    texts = [{"id": "draw_2", "caption": "Two cats."}, {"id": "new_3", "caption": "A plain wall."}]
    prompts = read(tmp_path, texts)
    assert [(prompt.id, prompt.text) for prompt in prompts.prompts()] == [
        ("draw_2", "Two cats."),
        ("new_3", "A plain wall."),
    ]
    with pytest.raises(
        ConfigError, match=r"questions\.json, entry 3: the id 'new_3' is there twice"
    ):
        read(tmp_path, [*texts, texts[1]])


def test_a_question_asked_twice_counts_twice(tmp_path):
    (prompt,) = read(tmp_path, [entry(), entry()]).prompts()
    assert len(prompt.questions) == 2


def test_numbers_as_ids_become_text(tmp_path):
    assert read(tmp_path, [entry(id=7)]).prompts()[0].id == "7"


def test_dependencies_become_places(tmp_path):
    asked = [
        entry(question="a?", question_id=3, dependency=[0]),
        entry(question="b?", question_id=1, dependency=[3]),
        entry(question="c?", question_id="2", dependency=["1", 3]),
    ]
    (prompt,) = read(tmp_path, asked).prompts()
    assert [question.parents for question in prompt.questions] == [(), (0,), (0, 1)]


def test_dependencies_count_from_one_where_there_are_no_numbers(tmp_path):
    asked = [entry(question="a?"), OTHER, entry(question="b?", dependency=1)]
    prompts = read(tmp_path, asked).prompts()
    assert prompts[0].questions[1].parents == (0,)


def test_the_fingerprint_follows_everything_that_counts(tmp_path):
    same = read(tmp_path, [entry(), PLACE]).fingerprint()
    assert read(tmp_path, [entry(), PLACE]).fingerprint() == same
    assert read(tmp_path, [entry(coco_val_id="other"), PLACE]).fingerprint() == same
    for changed in (
        [entry(answer="no"), PLACE],
        [entry(choices=["no", "yes"]), PLACE],
        [entry(element_type="object"), PLACE],
        [entry(), {**PLACE, "dependency": [1]}],
        [PLACE, entry()],
        [entry()],
    ):
        assert read(tmp_path, changed).fingerprint() != same


@pytest.mark.parametrize("key", ["id", "caption", "question", "choices", "answer", "element_type"])
def test_a_missing_field_is_named_with_file_and_entry(key, tmp_path):
    broken = entry()
    del broken[key]
    with pytest.raises(ConfigError, match=rf"questions\.json, entry 2.*'{key}'"):
        read(tmp_path, [OTHER, broken])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"caption": ""}, "'caption' is ''; expected a text"),
        ({"question": 3}, "'question' is 3; expected a text"),
        ({"id": None}, "'id' is None"),
        ({"choices": "yes"}, "'choices' is 'yes'; expected a list"),
        ({"choices": []}, r"'choices' is \[\]; expected a list"),
        ({"choices": [1, 2], "answer": "1"}, r"'choices' is \[1, 2\]; expected a list"),
        ({"choices": ["yes", "yes"]}, "'choices' has the same text twice"),
        ({"answer": "maybe"}, "answer 'maybe' of 'is there a dog.' is not among the choices"),
        ({"answer": "Yes"}, "answer 'Yes' of 'is there a dog.' is not among the choices"),
        ({"element": 4}, "'element' is 4"),
        ({"caption": "Another."}, "the caption of 'coco_1' is 'Another.'"),
        ({"answer": "no"}, "asked of 'coco_1' before .*entry 1.* with another answer"),
        ({"question": "new?", "question_id": 1}, "question_id 1 twice"),
        ({"question": "new?", "dependency": [5]}, "'dependency' names question 5"),
        ({"question": "new?", "dependency": [2]}, "'dependency' names question 2"),
        (
            {"question": "new?", "dependency": ["first"]},
            "'dependency' is 'first'; expected a whole",
        ),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_place(changes, complaint, tmp_path):
    with pytest.raises(ConfigError, match=rf"questions\.json, entry 2.*{complaint}"):
        read(tmp_path, [entry(), entry(**changes)])


def test_duplicate_ids_among_the_prompts_are_named(tmp_path):
    texts = [{"id": "coco_1", "caption": "A dog on a beach."}] * 2
    with pytest.raises(ConfigError, match=r"texts\.json, entry 2: the id 'coco_1' is there twice"):
        read(tmp_path, [entry()], texts)


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"questions\.json, entry 2: the id 'draw_2' is not in"):
        read(tmp_path, [entry(), OTHER], [{"id": "coco_1", "caption": "A dog on a beach."}])
    with pytest.raises(ConfigError, match=r"texts\.json, entry 1: the caption of 'coco_1'"):
        read(tmp_path, [entry()], [{"id": "coco_1", "caption": "A cat."}])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'[{"id": 1,]', r"questions\.json:1:\d+: not valid JSON"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"{}", "holds no list of entries"),
        (b"[]", "holds no list of entries"),
        (b"[1]", r"entry 1 is 1; expected an object"),
    ],
)
def test_files_that_are_no_lists_are_refused(content, complaint, tmp_path):
    (tmp_path / "questions.json").write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        TIFAPrompts(TIFAFileConfig(path=str(tmp_path / "questions.json")))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.json cannot be read: No such file"):
        TIFAPrompts(TIFAFileConfig(path=str(tmp_path / "nothing.json")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from([*sorted(entry()), "question_id", "dependency"]), JSON)
@settings(max_examples=150, deadline=None)
def test_any_value_anywhere_is_read_or_complained_of(tmp_path_factory, key, value):
    """Nothing but a sentence comes of a strange file."""
    folder = tmp_path_factory.mktemp("any", numbered=True)
    try:
        prompts = read(folder, [entry(**{key: value})])
    except ConfigError as error:
        complaint = str(error)
    else:
        complaint = ""
        assert prompts.prompts()[0].questions
    assert not complaint or "questions.json, entry 1" in complaint
