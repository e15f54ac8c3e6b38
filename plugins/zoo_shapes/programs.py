"""The questions as small programs: one registry makes the text, reads it back, and answers it.

A template is a sentence with slots, such as "is the {subject} {colour}?". Filling the slots gives a
question's text; parsing the text gives the template and the slots back; evaluating them on a scene,
true or read from an image, gives the answer. Files of questions need to hold no more than text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from zoo_shapes.captions import RELATION_PHRASES, plural
from zoo_shapes.world import (
    BACKGROUNDS,
    COLOURS,
    NUMBERS,
    PLACE_CENTRES,
    PLACES,
    SHAPES,
    SIZES,
    TEXTURES,
)


class Seen(Protocol):
    """A thing, true or read: names of its attributes and its centre in pixels."""

    @property
    def shape(self) -> str: ...
    @property
    def colour(self) -> str: ...
    @property
    def size(self) -> str: ...
    @property
    def texture(self) -> str: ...
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


class View(Protocol):
    """A scene, true or read."""

    @property
    def things(self) -> Sequence[Seen]: ...
    @property
    def background(self) -> str: ...


Slots = Mapping[str, str]

_SUBJECTS = {"shape": "", **{shape: shape for shape in SHAPES}}
_MANY = {"shapes": "", **{plural(shape): shape for shape in SHAPES}}
# What each slot may hold: the phrase in the text, and the value that it stands for.
SLOTS: dict[str, dict[str, str]] = {
    "subject": _SUBJECTS,
    "many": _MANY,
    "shape": {shape: shape for shape in SHAPES},
    "other": {shape: shape for shape in SHAPES},
    "shapes": {plural(shape): shape for shape in SHAPES},
    "colour": {name: name for name in COLOURS},
    "size": {name: name for name in SIZES},
    "texture": {name: name for name in TEXTURES},
    "place": {name: name for name in PLACES},
    "background": {name: name for name in BACKGROUNDS},
    "relation": {phrase: name for name, phrase in RELATION_PHRASES.items()},
    "number": {name: str(value) for value, name in enumerate(NUMBERS)},
}


@dataclass(frozen=True)
class Template:
    """A kind of question. `element_type` is one of TIFA's twelve categories.

    `evaluate` maps the slots' values and a scene to the answer, or to "" where it has none.
    """

    name: str
    text: str
    element_type: str
    evaluate: Callable[[Slots, View], str]

    def fill(self, **values: str) -> str:
        """The question's text with each slot's value in its place.

        Raises KeyError for a value that the slot cannot hold.
        """
        phrases = {
            slot: {value: phrase for phrase, value in SLOTS[slot].items()}[value]
            for slot, value in values.items()
        }
        return self.text.format(**phrases)


@dataclass(frozen=True)
class Program:
    """A parsed question."""

    template: Template
    slots: Mapping[str, str]

    def evaluate(self, view: View) -> str:
        """The answer on a scene, or "" where the scene does not tell."""
        return self.template.evaluate(self.slots, view)


def parse(question: str) -> Program | None:
    """The program of a question's text, or None for a text that no template makes."""
    text = " ".join(question.lower().split())
    for template in TEMPLATES.values():
        match = _pattern(template.text).fullmatch(text)
        if match:
            slots = {slot: SLOTS[slot][phrase] for slot, phrase in match.groupdict().items()}
            return Program(template, slots)
    return None


def place_of(thing: Seen) -> str:
    """The named place nearest to a thing's centre."""
    return min(
        PLACES,
        key=lambda place: (
            (thing.x - PLACE_CENTRES[place][0]) ** 2 + (thing.y - PLACE_CENTRES[place][1]) ** 2
        ),
    )


def relation_of(first: Seen, second: Seen) -> str:
    """Where `first` is from `second`, along the axis on which they are farther apart."""
    dx, dy = first.x - second.x, first.y - second.y
    if abs(dx) > abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """A template's text with each slot as a group of the phrases it may hold, longest first."""
    parts = re.split(r"\{(\w+)\}", text)
    for at in range(1, len(parts), 2):
        phrases = sorted(map(re.escape, SLOTS[parts[at]]), key=len, reverse=True)
        parts[at] = f"(?P<{parts[at]}>{'|'.join(phrases)})"
    for at in range(0, len(parts), 2):
        parts[at] = re.escape(parts[at])
    return re.compile("".join(parts))


def _subject(slots: Slots, view: View) -> list[Seen]:
    """The things that a question speaks of: those of the named shape, or all of them."""
    shape = slots.get("subject") or slots.get("many")
    return [thing for thing in view.things if not shape or thing.shape == shape]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _is(attribute: str) -> Callable[[Slots, View], str]:
    """Whether there is a subject and all of it has the slot's value."""

    def evaluate(slots: Slots, view: View) -> str:
        things = _subject(slots, view)
        alike = all(_value(thing, attribute) == slots[attribute] for thing in things)
        return _yes(bool(things) and alike)

    return evaluate


def _what(attribute: str) -> Callable[[Slots, View], str]:
    """The value that all of the subject shares."""

    def evaluate(slots: Slots, view: View) -> str:
        values = {_value(thing, attribute) for thing in _subject(slots, view)}
        return values.pop() if len(values) == 1 else ""

    return evaluate


def _value(thing: Seen, attribute: str) -> str:
    return place_of(thing) if attribute == "place" else str(getattr(thing, attribute))


def _shape_of_colour(slots: Slots, view: View) -> str:
    shapes = {thing.shape for thing in view.things if thing.colour == slots["colour"]}
    return shapes.pop() if len(shapes) == 1 else ""


def _relation(slots: Slots, view: View) -> str:
    first = [thing for thing in view.things if thing.shape == slots["shape"]]
    second = [thing for thing in view.things if thing.shape == slots["other"]]
    if len(first) != 1 or len(second) != 1 or first[0] is second[0]:
        return ""
    return relation_of(first[0], second[0])


def _count(shape: str, view: View) -> str:
    return str(sum(not shape or thing.shape == shape for thing in view.things))


def _registry(*templates: Template) -> dict[str, Template]:
    return {template.name: template for template in templates}


TEMPLATES = _registry(
    Template(
        "has_shape",
        "is there a {shape}?",
        "object",
        lambda slots, view: _yes(_count(slots["shape"], view) != "0"),
    ),
    Template(
        "has_shapes",
        "are there {shapes}?",
        "object",
        lambda slots, view: _yes(_count(slots["shapes"], view) != "0"),
    ),
    Template(
        "has_number",
        "are there {number} {shapes}?",
        "counting",
        lambda slots, view: _yes(_count(slots["shapes"], view) == slots["number"]),
    ),
    Template("is_colour", "is the {subject} {colour}?", "color", _is("colour")),
    Template("are_colour", "are the {many} {colour}?", "color", _is("colour")),
    Template("is_size", "is the {subject} {size}?", "attribute", _is("size")),
    Template("are_size", "are the {many} {size}?", "attribute", _is("size")),
    Template("is_texture", "is the {subject} {texture}?", "material", _is("texture")),
    Template("are_texture", "are the {many} {texture}?", "material", _is("texture")),
    Template("is_place", "is the {subject} in the {place}?", "spatial", _is("place")),
    Template(
        "is_background",
        "is the background {background}?",
        "location",
        lambda slots, view: _yes(view.background == slots["background"]),
    ),
    Template(
        "is_relation",
        "is the {shape} {relation} the {other}?",
        "spatial",
        lambda slots, view: _yes(_relation(slots, view) == slots["relation"]),
    ),
    Template("what_shape", "what shape is shown?", "shape", _what("shape")),
    Template("what_shapes", "what shapes are shown?", "shape", _what("shape")),
    Template("shape_of_colour", "what shape is {colour}?", "shape", _shape_of_colour),
    Template("what_colour", "what color is the {subject}?", "color", _what("colour")),
    Template("what_colours", "what color are the {many}?", "color", _what("colour")),
    Template("what_texture", "what pattern does the {subject} have?", "material", _what("texture")),
    Template("what_textures", "what pattern do the {many} have?", "material", _what("texture")),
    Template("where", "where is the {subject}?", "spatial", _what("place")),
    Template(
        "what_relation", "where is the {shape} relative to the {other}?", "spatial", _relation
    ),
    Template(
        "what_background",
        "what color is the background?",
        "location",
        lambda slots, view: view.background,
    ),
    Template(
        "how_many",
        "how many {many} are there?",
        "counting",
        lambda slots, view: _count(slots["many"], view),
    ),
)
