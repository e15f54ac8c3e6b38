"""Captions of a scene: one short alt text, five longer synthetic captions, and the prompt.

The synthetic captions are complete and differ in wording; they stand in for a captioner's five
answers ranked by confidence. Alt text is what web images carry: short, true, often incomplete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zoo_shapes.bits import RawBits
from zoo_shapes.scene import Scene, Thing
from zoo_shapes.world import (
    BACKGROUNDS,
    COLOURS,
    NUMBERS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    TEXTURES,
)

MAX_WORDS = 30  # one token a word, and a start and an end token, fill a context of 32
SYNTHETIC = 5
RELATION_PHRASES = {
    "left of": "to the left of",
    "right of": "to the right of",
    "above": "above",
    "below": "below",
}
_CONVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_PURPOSE = 16  # of the counter space in `RawBits`; the splits of scenes have the small numbers
_BASE_CONFIDENCE = (0.94, 0.84, 0.73, 0.61, 0.48)


@dataclass(frozen=True)
class Caption:
    """A caption. `source` is "alt" or "synthetic"; `confidence` is in [0, 1].

    Alt text is not ranked against the others; its confidence is 1 by convention.
    """

    text: str
    source: str
    confidence: float


def captions(scene: Scene, index: int, seed: int = 0) -> list[Caption]:
    """The alt text, then five synthetic captions by falling confidence.

    What the alt text leaves out and the confidences depend on (seed, index) alone. Every caption
    has at most 30 words, in lower case without punctuation.
    """
    bits = RawBits(seed, _PURPOSE, index)
    out = [Caption(_alt_text(scene, bits), "alt", 1.0)]
    for write, base in zip(_WRITERS, _BASE_CONFIDENCE, strict=True):
        confidence = round(base + 0.05 * bits.fraction(), 4)
        out.append(Caption(write(scene), "synthetic", confidence))
    return out


def prompt(scene: Scene) -> str:
    """The complete, unambiguous caption used for evaluation: the first synthetic caption."""
    return _plain(scene)


def vocabulary() -> list[str]:
    """Every word that a caption of any world can hold, in order."""
    names = [*SHAPES, *map(plural, SHAPES), *COLOURS, *BACKGROUNDS, *SIZES, *TEXTURES, *NUMBERS]
    words = {word for phrase in (*names, *PLACES, *RELATIONS) for word in phrase.split()}
    words.update(_FIXED_WORDS.split())
    return sorted(words)


def plural(shape: str) -> str:
    """The plural of a shape's name."""
    return shape + ("es" if shape.endswith("s") else "s")


def article(phrase: str) -> str:
    """The phrase after "a" or "an"."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


# The words of the templates below that are no names, and a few that a prompt may well use.
_FIXED_WORDS = (
    "a an and are at background clipart drawing icon image in is of on photo picture plain shape"
    " shapes shows sits that the there to vector with"
)


def _texture(thing: Thing) -> list[str]:
    return [] if thing.texture == "solid" else [thing.texture]


def _phrase(thing: Thing, *, many: bool = False) -> str:
    """Size, texture, colour and shape, as in "large striped red circle"."""
    noun = plural(thing.shape) if many else thing.shape
    return " ".join([thing.size, *_texture(thing), thing.colour, noun])


def _that_is(thing: Thing) -> str:
    """The same as a relative clause: "circle that is large striped and red"."""
    looks = " ".join([thing.size, *_texture(thing), "and", thing.colour])
    return f"{thing.shape} that is {looks}"


def _named(scene: Scene) -> str:
    """The things with their articles or number, joined by "and"."""
    if scene.kind == "count":
        return f"{NUMBERS[len(scene.things)]} {_phrase(scene.things[0], many=True)}"
    return " and ".join(article(_phrase(thing)) for thing in scene.things)


def _related(scene: Scene) -> tuple[str, str]:
    """The relation of a pair, as a phrase, and its converse."""
    assert scene.relation is not None
    return RELATION_PHRASES[scene.relation], RELATION_PHRASES[_CONVERSE[scene.relation]]


def _plain(scene: Scene) -> str:
    ground = f"on a {scene.background} background"
    if scene.kind == "single":
        return f"{article(_phrase(scene.things[0]))} in the {scene.place} {ground}"
    if scene.kind == "pair":
        first, second = (article(_phrase(thing)) for thing in scene.things)
        return f"{first} {_related(scene)[0]} {second} {ground}"
    return f"{_named(scene)} {ground}"


def _ground_first(scene: Scene) -> str:
    lead = f"on a {scene.background} background there"
    if scene.kind == "single":
        return f"{lead} is {article(_phrase(scene.things[0]))} in the {scene.place}"
    if scene.kind == "pair":
        first, second = (article(_phrase(thing)) for thing in scene.things)
        return f"{lead} is {first} {_related(scene)[0]} {second}"
    return f"{lead} {'are' if scene.kind == 'count' else 'is'} {_named(scene)}"


def _shows(scene: Scene) -> str:
    """With pairs named from the other end."""
    tail = f"and the background is {scene.background}"
    if scene.kind == "single":
        return f"the image shows one {_phrase(scene.things[0])} in the {scene.place} {tail}"
    if scene.kind == "pair":
        first, second = (article(_phrase(thing)) for thing in scene.things)
        return f"the image shows {second} {_related(scene)[1]} {first} {tail}"
    return f"the image shows {_named(scene)} {tail}"


def _clauses(scene: Scene) -> str:
    ground = f"on a {scene.background} background"
    if scene.kind == "single":
        return f"a {_that_is(scene.things[0])} sits in the {scene.place} {ground}"
    if scene.kind == "pair":
        first, second = (_that_is(thing) for thing in scene.things)
        return f"a {first} is {_related(scene)[0]} a {second} {ground}"
    if scene.kind == "count":
        thing = scene.things[0]
        looks = " ".join([thing.size, *_texture(thing), "and", thing.colour])
        return f"there are {NUMBERS[len(scene.things)]} {plural(thing.shape)} {looks} {ground}"
    return f"a drawing with {_named(scene)} {ground}"


def _ground_shown(scene: Scene) -> str:
    lead = f"a plain {scene.background} picture with"
    if scene.kind == "single":
        return f"{lead} {article(_phrase(scene.things[0]))} at the {scene.place}"
    if scene.kind == "pair":
        first, second = (article(_phrase(thing)) for thing in scene.things)
        return f"{lead} {second} {_related(scene)[1]} {first}"
    return f"{lead} {_named(scene)}"


_WRITERS: tuple[Callable[[Scene], str], ...] = (
    _plain,
    _ground_first,
    _shows,
    _clauses,
    _ground_shown,
)


def _alt_text(scene: Scene, bits: RawBits) -> str:
    """Short and true; size, texture, colour, place or a second thing may be missing."""
    keep = {part: bits.below(100) < chance for part, chance in _ALT_KEEPS.items()}
    thing = scene.things[0]
    many = scene.kind == "count"
    names = [_alt_phrase(each, keep, many=many) for each in scene.things[:1]]
    if scene.kind in ("pair", "group") and keep["others"]:
        names += [_alt_phrase(each, keep, many=False) for each in scene.things[1:]]
    text = " and ".join(names)
    if many and keep["number"]:
        text = f"{NUMBERS[len(scene.things)]} {text}"
    if scene.kind == "single" and keep["place"]:
        text = f"{text} {scene.place}"
    frame = bits.choose(_ALT_FRAMES)
    assert thing.shape in text
    return frame.format(text)


_ALT_KEEPS = {"size": 40, "texture": 60, "colour": 85, "others": 75, "number": 60, "place": 40}
_ALT_FRAMES = ("{}", "{}", "{} image", "{} clipart", "vector {}", "icon of {}", "photo of {}")


def _alt_phrase(thing: Thing, keep: dict[str, bool], *, many: bool) -> str:
    words = [thing.size] if keep["size"] else []
    words += _texture(thing) if keep["texture"] else []
    words += [thing.colour] if keep["colour"] else []
    return " ".join([*words, plural(thing.shape) if many else thing.shape])
