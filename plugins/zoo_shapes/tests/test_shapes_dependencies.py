"""Which questions of the small world presuppose others."""

from __future__ import annotations

import pytest

from zoo_shapes.components import ShapesPrompts
from zoo_shapes.config import ShapesPromptsConfig
from zoo_shapes.dependencies import parents


def _asked(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"question": question, "answer": answer} for question, answer in pairs]


def test_questions_about_a_shape_presuppose_that_it_is_there():
    asked = _asked(
        ("is the circle red?", "no"),
        ("is there a circle?", "yes"),
        ("is the square large?", "yes"),
        ("is the circle above the square?", "yes"),
        ("what color is the circle?", "red"),
        ("is the background white?", "yes"),
        ("how many shapes are there?", "2"),
    )
    assert parents(asked) == [(1,), (), (), (1,), (1,), (), ()]


def test_a_shape_that_should_not_be_there_is_no_parent():
    asked = _asked(("is there a star?", "no"), ("is the star red?", "no"))
    assert parents(asked) == [(), ()]


def test_numbers_presuppose_the_shapes():
    asked = _asked(("are there stars?", "yes"), ("are there three stars?", "yes"))
    assert parents(asked) == [(), (0,)]


@pytest.mark.parametrize("world", ["simple", "default"])
def test_prompts_carry_them(world):
    prompts = ShapesPrompts(ShapesPromptsConfig(world=world, count=64)).prompts()
    children = [(p, q) for p in prompts for q in p.questions if q.parents]
    assert len(children) > 16
    for prompt, question in children:
        for parent in question.parents:
            assert prompt.questions[parent].element_type == "object"
            assert prompt.questions[parent].answer == "yes"
            assert not prompt.questions[parent].parents
