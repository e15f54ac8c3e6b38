"""Questions on a scene in TIFA's format, asked of its prompt and only of what the prompt states.

The format is that of TIFA v1.0's question-answer files (Hu et al., ICCV 2023): a dict a question.
Half of each prompt's yes/no questions expect "no", so that always answering yes, or always no,
scores 0.5 on them; every other question has four choices or more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo_shapes.bits import RawBits
from zoo_shapes.captions import prompt
from zoo_shapes.programs import TEMPLATES
from zoo_shapes.scene import Scene, Thing
from zoo_shapes.world import (
    BACKGROUNDS,
    COLOURS,
    DEFAULT,
    PLACES,
    RELATIONS,
    SHAPES,
    TEXTURES,
    WorldConfig,
)

Question = dict[str, Any]

_CHOICES = 4
_PURPOSE = 17  # of the counter space in `RawBits`
_COUNTS = ("1", "2", "3", "4")
_PATTERNS = (*TEXTURES, "checked")  # a fourth choice; no world draws it


@dataclass(frozen=True)
class _Ask:
    """A question before its answer is settled: `slot` is what the answer or its denial fills."""

    template: str
    slot: str
    truth: str
    pool: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...] = ()


def questions(scene: Scene, prompt_id: str, world: WorldConfig = DEFAULT) -> list[Question]:
    """The questions on a scene's prompt, yes/no questions first.

    Each is a dict with TIFA's keys: `id` (the prompt's), `caption`, `question`, `choices`,
    `answer` (one of the choices), `element_type` (one of TIFA's twelve categories), `element`.
    Wrong choices are drawn from the world's vocabulary by a hash of `prompt_id`, nothing else.
    """
    digest = hashlib.sha256(f"questions/{prompt_id}".encode()).digest()
    bits = RawBits(int.from_bytes(digest[:8], "big"), _PURPOSE, 0)
    closed, open_ended = _asks(scene, world)
    # An odd question out would tip the balance; the last of the list is the least telling.
    closed = closed[: len(closed) // 2 * 2]
    truths = bits.shuffled([True, False] * (len(closed) // 2))
    caption = prompt(scene)
    out = []
    for ask, truth in zip(closed, truths, strict=True):
        wrong = [value for value in ask.pool if value != ask.truth]
        value = ask.truth if truth else bits.choose(wrong)
        text = TEMPLATES[ask.template].fill(**dict(ask.fixed), **{ask.slot: value})
        out.append(
            _question(prompt_id, caption, text, ["yes", "no"], "yes" if truth else "no", ask)
        )
    for ask in open_ended:
        wrong = [value for value in ask.pool if value != ask.truth]
        choices = bits.shuffled([ask.truth, *bits.shuffled(wrong)[: _CHOICES - 1]])
        text = TEMPLATES[ask.template].fill(**dict(ask.fixed))
        out.append(_question(prompt_id, caption, text, choices, ask.truth, ask))
    return out


def chance_level(asked: Sequence[Question]) -> float:
    """The expected score in [0, 1] of guessing each question's choice uniformly.

    Raises ValueError for no questions.
    """
    if not asked:
        raise ValueError("chance is of a set of questions, and this one is empty")
    return sum(1.0 / len(question["choices"]) for question in asked) / len(asked)


def _question(
    prompt_id: str, caption: str, text: str, choices: list[str], answer: str, ask: _Ask
) -> Question:
    return {
        "id": prompt_id,
        "caption": caption,
        "question": text,
        "choices": choices,
        "answer": answer,
        "element_type": TEMPLATES[ask.template].element_type,
        "element": ask.truth,
    }


def _asks(scene: Scene, world: WorldConfig) -> tuple[list[_Ask], list[_Ask]]:
    """What to ask of a scene, as yes/no questions and with choices."""
    grounds = _at_least(2, world.backgrounds, BACKGROUNDS)
    ground = _Ask("is_background", "background", scene.background, grounds)
    which_ground = _Ask("what_background", "background", scene.background, tuple(BACKGROUNDS))
    if scene.kind == "single":
        closed, choices = _asks_single(scene, world)
    elif scene.kind == "count":
        closed, choices = _asks_count(scene, world)
    elif scene.kind == "pair":
        closed, choices = _asks_pair(scene, world)
    else:
        closed, choices = _asks_group(scene, world)
    return [*closed, ground], [*choices, which_ground]


def _asks_single(scene: Scene, world: WorldConfig) -> tuple[list[_Ask], list[_Ask]]:
    (thing,) = scene.things
    textures = _at_least(2, world.textures, TEXTURES)
    the = (("subject", ""),)
    assert scene.place is not None
    closed = [
        _Ask("has_shape", "shape", thing.shape, world.shapes),
        _Ask("is_colour", "colour", thing.colour, world.colours, the),
        _Ask("is_size", "size", thing.size, ("small", "large"), the),
        _Ask("is_place", "place", scene.place, PLACES, the),
        *_if_textured(thing, _Ask("is_texture", "texture", thing.texture, textures, the)),
    ]
    choices = [
        _Ask("what_shape", "shape", thing.shape, _at_least(4, world.shapes, SHAPES)),
        _Ask("what_colour", "colour", thing.colour, _at_least(4, world.colours, COLOURS), the),
        _Ask("where", "place", scene.place, PLACES, the),
        _Ask("how_many", "number", "1", _COUNTS, (("many", ""),)),
        *_if_textured(thing, _Ask("what_texture", "texture", thing.texture, _PATTERNS, the)),
    ]
    return closed, choices


def _asks_count(scene: Scene, world: WorldConfig) -> tuple[list[_Ask], list[_Ask]]:
    thing, count = scene.things[0], str(len(scene.things))
    textures = _at_least(2, world.textures, TEXTURES)
    the, those = (("many", ""),), (("shapes", thing.shape),)
    closed = [
        _Ask("has_number", "number", count, _COUNTS, those),
        _Ask("are_colour", "colour", thing.colour, world.colours, the),
        _Ask("are_size", "size", thing.size, ("small", "large"), the),
        _Ask("has_shapes", "shapes", thing.shape, world.shapes),
        *_if_textured(thing, _Ask("are_texture", "texture", thing.texture, textures, the)),
    ]
    choices = [
        _Ask("how_many", "number", count, _COUNTS, the),
        _Ask("what_shapes", "shape", thing.shape, _at_least(4, world.shapes, SHAPES)),
        _Ask("what_colours", "colour", thing.colour, _at_least(4, world.colours, COLOURS), the),
        *_if_textured(thing, _Ask("what_textures", "texture", thing.texture, _PATTERNS, the)),
    ]
    return closed, choices


def _asks_pair(scene: Scene, world: WorldConfig) -> tuple[list[_Ask], list[_Ask]]:
    first, second = scene.things
    assert scene.relation is not None
    both = (("shape", first.shape), ("other", second.shape))
    absent = tuple(shape for shape in world.shapes if shape not in (first.shape, second.shape))
    closed = [
        _Ask("is_relation", "relation", scene.relation, RELATIONS, both),
        *(
            _Ask("is_colour", "colour", thing.colour, world.colours, (("subject", thing.shape),))
            for thing in (first, second)
        ),
        *(
            _Ask("is_size", "size", thing.size, ("small", "large"), (("subject", thing.shape),))
            for thing in (first, second)
        ),
        *(
            _Ask("has_shape", "shape", thing.shape, (thing.shape, *absent))
            for thing in (first,)
            if absent
        ),
        *_textures_asked(scene, world),
    ]
    choices = [
        _Ask("what_relation", "relation", scene.relation, RELATIONS, both),
        *_each_colour_and_shape(scene, world),
        _Ask("how_many", "number", "2", _COUNTS, (("many", ""),)),
    ]
    return closed, choices


def _asks_group(scene: Scene, world: WorldConfig) -> tuple[list[_Ask], list[_Ask]]:
    count = str(len(scene.things))
    closed = [
        ask
        for thing in scene.things
        for ask in (
            _Ask("is_colour", "colour", thing.colour, world.colours, (("subject", thing.shape),)),
            _Ask("is_size", "size", thing.size, ("small", "large"), (("subject", thing.shape),)),
        )
    ]
    choices = [
        *_each_colour_and_shape(scene, world),
        _Ask("how_many", "number", count, _COUNTS, (("many", ""),)),
    ]
    return [*closed, *_textures_asked(scene, world)], choices


def _each_colour_and_shape(scene: Scene, world: WorldConfig) -> list[_Ask]:
    """The colour of each shape, and the shape of each colour."""
    colours = [
        _Ask(
            "what_colour",
            "colour",
            thing.colour,
            _at_least(4, world.colours, COLOURS),
            (("subject", thing.shape),),
        )
        for thing in scene.things
    ]
    shapes = [
        _Ask(
            "shape_of_colour",
            "shape",
            thing.shape,
            _at_least(4, world.shapes, SHAPES),
            (("colour", thing.colour),),
        )
        for thing in scene.things
    ]
    return [*colours, *shapes]


def _textures_asked(scene: Scene, world: WorldConfig) -> list[_Ask]:
    textures = _at_least(2, world.textures, TEXTURES)
    return [
        ask
        for thing in scene.things
        for ask in _if_textured(
            thing,
            _Ask("is_texture", "texture", thing.texture, textures, (("subject", thing.shape),)),
        )
    ]


def _if_textured(thing: Thing, ask: _Ask) -> list[_Ask]:
    """Prompts leave "solid" unsaid, and what is not said is not asked."""
    return [] if thing.texture == "solid" else [ask]


def _at_least(
    count: int, chosen: tuple[str, ...], known: Sequence[str] | dict[str, Any]
) -> tuple[str, ...]:
    """The world's names, filled up from the vocabulary where the world has fewer than `count`."""
    return (*chosen, *(name for name in known if name not in chosen))[: max(count, len(chosen))]
