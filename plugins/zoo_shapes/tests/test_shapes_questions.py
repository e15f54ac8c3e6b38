"""Questions: TIFA's format, balance, chance, and that text alone carries their meaning."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from zoo_shapes.captions import prompt
from zoo_shapes.programs import SLOTS, TEMPLATES, parse
from zoo_shapes.questions import Question, chance_level, questions
from zoo_shapes.reader import answer
from zoo_shapes.scene import Scene, draw
from zoo_shapes.world import DEFAULT, WORLDS, WorldConfig

TIFA_CATEGORIES = {
    "object", "animal/human", "attribute", "activity", "spatial", "location", "color",
    "counting", "food", "material", "shape", "other",
}  # fmt: skip
YES_NO = ["yes", "no"]
SCENES = 400


def asked(world: WorldConfig, split: str = "heldout") -> list[tuple[Scene, list[Question]]]:
    scenes = [draw(world, 0, split, index) for index in range(SCENES)]
    return [(scene, questions(scene, f"p{at}", world)) for at, scene in enumerate(scenes)]


ALL = {world.name: asked(world) for world in WORLDS.values()}


@pytest.mark.parametrize("name", ALL)
def test_format_is_tifas(name: str) -> None:
    for scene, some in ALL[name]:
        assert len(some) >= 6
        assert len({question["question"] for question in some}) == len(some)
        for question in some:
            assert list(question) == [
                "id", "caption", "question", "choices", "answer", "element_type", "element",
            ]  # fmt: skip
            assert question["caption"] == prompt(scene)
            assert question["element_type"] in TIFA_CATEGORIES
            assert question["answer"] in question["choices"]
            assert len(set(question["choices"])) == len(question["choices"])
            assert question["choices"] == YES_NO or len(question["choices"]) >= 4
            assert json.loads(json.dumps(question)) == question


@pytest.mark.parametrize("name", ALL)
def test_the_true_scene_answers_every_question_as_expected(name: str) -> None:
    for scene, some in ALL[name]:
        for question in some:
            assert answer(question["question"], question["choices"], scene) == question["answer"]


@pytest.mark.parametrize("name", ALL)
def test_yes_and_no_are_balanced_in_every_prompt_and_in_each_category(name: str) -> None:
    tally: Counter[tuple[str, str]] = Counter()
    for _, some in ALL[name]:
        expected = Counter(q["answer"] for q in some if q["choices"] == YES_NO)
        assert expected["yes"] == expected["no"] > 0
        tally.update((q["element_type"], q["answer"]) for q in some if q["choices"] == YES_NO)
    for category in {category for category, _ in tally}:
        yes, no = tally[category, "yes"], tally[category, "no"]
        # Four deviations of a fair coin: no category gives its answer away.
        assert abs(yes - no) <= 4 * (yes + no) ** 0.5, (category, yes, no)


@pytest.mark.parametrize("name", ALL)
def test_chance_is_at_most_two_fifths(name: str) -> None:
    every = [question for _, some in ALL[name] for question in some]
    assert 0.3 < chance_level(every) <= 0.40
    for fixed in ("yes", "no"):
        closed = [question for question in every if question["choices"] == YES_NO]
        assert sum(question["answer"] == fixed for question in closed) / len(closed) == 0.5
    # The right choice's place in the list gives nothing away either.
    places = Counter(q["choices"].index(q["answer"]) for q in every if len(q["choices"]) == 4)
    total = sum(places.values())
    assert all(abs(places[at] / total - 0.25) < 0.05 for at in range(4))


def test_all_asked_of_is_stated_by_the_prompt() -> None:
    """The element of a question is a word of the caption, or the number of things it names."""
    for scene, some in ALL["default"]:
        for question in some:
            element, caption = question["element"], question["caption"]
            if question["element_type"] == "counting":
                assert element == str(len(scene.things))
            else:
                assert all(word in caption for word in element.split()), question


def test_questions_cover_the_categories_of_the_world() -> None:
    kinds = {question["element_type"] for _, some in ALL["default"] for question in some}
    assert kinds == {
        "object", "shape", "color", "counting", "spatial", "attribute", "material", "location",
    }  # fmt: skip


def test_questions_depend_on_the_scene_and_prompt_id_alone() -> None:
    scene = draw(DEFAULT, 0, "heldout", 5)
    assert questions(scene, "a") == questions(scene, "a")
    assert questions(scene, "a") != questions(scene, "b")


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_reads_back_what_it_wrote(name: str) -> None:
    template = TEMPLATES[name]
    slots = [slot for slot in SLOTS if f"{{{slot}}}" in template.text]
    longest = max([len(SLOTS[slot]) for slot in slots], default=1)
    for at in range(longest):
        values = {}
        for slot in slots:
            known = list(SLOTS[slot].values())
            values[slot] = known[at % len(known)]
        program = parse(template.fill(**values).upper())
        assert program is not None
        assert program.template.evaluate is template.evaluate
        # "is the circle above ..." has one reading; a plural slot may stand for a singular one.
        assert sorted(program.slots.values()) == sorted(values.values())


def test_a_strange_question_is_answered_by_nothing() -> None:
    scene = draw(DEFAULT, 0, "heldout", 0)
    assert parse("is there a giraffe?") is None
    assert answer("is there a giraffe?", YES_NO, scene) == ""
    assert answer("how many shapes are there?", ["7", "8"], scene) == ""


def test_a_question_that_a_scene_does_not_settle_is_answered_by_nothing() -> None:
    pair = next(scene for scene, _ in ALL["default"] if scene.kind == "pair")
    colours = list(DEFAULT.colours)
    assert answer("what color are the shapes?", colours, pair) == ""
    empty = replace(pair, things=())
    assert answer("what color is the shape?", colours, empty) == ""
    assert answer("is the shape red?", YES_NO, empty) == "no"


def test_chance_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="this one is empty"):
        chance_level([])


def test_a_world_of_one_texture_and_background_still_has_wrong_answers() -> None:
    world = replace(
        DEFAULT, name="narrow", sizes=("large",), textures=("striped",), texture_weights=(1,),
        backgrounds=("white",), shapes=("ring", "cross", "square"), colours=("red", "blue"),
    )  # fmt: skip
    for scene, some in asked(world, "train"):
        for question in some:
            assert answer(question["question"], question["choices"], scene) == question["answer"]
