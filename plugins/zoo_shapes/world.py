"""The vocabulary of the small world and the settings that choose from it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

SIZE = 64  # pixels, width and height of every image
MIN_GAP = 3.0  # pixels between the boxes of two things

SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond", "star")
TEXTURES = ("solid", "striped", "dotted")
PLACES = ("center", "top left", "top right", "bottom left", "bottom right")
RELATIONS = ("left of", "right of", "above", "below")
KINDS = ("single", "count", "pair", "group")
NUMBERS = ("zero", "one", "two", "three", "four")

COLOURS: dict[str, tuple[int, int, int]] = {  # sRGB
    "red": (225, 40, 40),
    "green": (40, 170, 60),
    "blue": (35, 75, 230),
    "yellow": (245, 210, 40),
    "purple": (160, 40, 195),
    "cyan": (50, 205, 225),
    "orange": (245, 130, 30),
    "pink": (250, 150, 190),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {  # sRGB
    "white": (245, 245, 245),
    "gray": (128, 128, 128),
    "black": (16, 16, 16),
    "brown": (110, 75, 45),
}
SIZES: dict[str, float] = {"small": 7.5, "large": 12.0}  # radius in pixels

_QUARTER, _HALF = SIZE / 4, SIZE / 2
PLACE_CENTRES: dict[str, tuple[float, float]] = {  # x to the right, y down, in pixels
    "center": (_HALF, _HALF),
    "top left": (_QUARTER, _QUARTER),
    "top right": (3 * _QUARTER, _QUARTER),
    "bottom left": (_QUARTER, 3 * _QUARTER),
    "bottom right": (3 * _QUARTER, 3 * _QUARTER),
}
CELLS = tuple(PLACE_CENTRES[place] for place in PLACES[1:])
PAIR_CENTRES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "left of": ((_QUARTER, _HALF), (3 * _QUARTER, _HALF)),
    "right of": ((3 * _QUARTER, _HALF), (_QUARTER, _HALF)),
    "above": ((_HALF, _QUARTER), (_HALF, 3 * _QUARTER)),
    "below": ((_HALF, 3 * _QUARTER), (_HALF, _QUARTER)),
}


@dataclass(frozen=True)
class WorldConfig:
    """Which scenes a world holds. Every name is taken from this module's vocabulary.

    `kind_weights` and `texture_weights` are whole numbers, relative frequencies in the order of
    `KINDS` and `textures`. `max_count` bounds the equal things of a count scene (2 to 4) and
    `max_things` the different things of a group (2 to 4). `jitter` is the largest displacement from
    the ideal place along either axis, in sixteenths of a pixel. `withheld_fraction` in [0, 0.5) of
    the (shape, colour) pairs is kept out of training. Raises ValueError where a setting is out of
    range or names something unknown.
    """

    name: str = "default"
    shapes: tuple[str, ...] = ("circle", "square", "triangle", "cross", "ring")
    colours: tuple[str, ...] = ("red", "green", "blue", "yellow", "purple", "cyan")
    sizes: tuple[str, ...] = ("small", "large")
    textures: tuple[str, ...] = ("solid", "striped")
    texture_weights: tuple[int, ...] = (5, 1)
    backgrounds: tuple[str, ...] = ("white", "gray", "black")
    kind_weights: tuple[int, int, int, int] = (4, 3, 3, 0)
    max_count: int = 4
    max_things: int = 3
    jitter: int = 20
    withheld_fraction: float = 0.1

    def __post_init__(self) -> None:
        vocabulary = (
            ("shapes", self.shapes, SHAPES, 2),
            ("colours", self.colours, tuple(COLOURS), 2),
            ("sizes", self.sizes, tuple(SIZES), 1),
            ("textures", self.textures, TEXTURES, 1),
            ("backgrounds", self.backgrounds, tuple(BACKGROUNDS), 1),
        )
        for setting, chosen, known, least in vocabulary:
            strange = sorted(set(chosen) - set(known))
            if strange:
                raise ValueError(
                    f"world {self.name!r}: {setting} has unknown {strange}; known: {list(known)}"
                )
            if len(chosen) < least or len(set(chosen)) != len(chosen):
                raise ValueError(
                    f"world {self.name!r}: {setting} is {chosen}; it needs {least} or more, all"
                    " different"
                )
        if len(self.texture_weights) != len(self.textures):
            raise ValueError(
                f"world {self.name!r}: texture_weights has {len(self.texture_weights)} entries for"
                f" {len(self.textures)} textures; give one weight a texture"
            )
        if len(self.kind_weights) != len(KINDS):
            raise ValueError(
                f"world {self.name!r}: kind_weights has {len(self.kind_weights)} entries; give one"
                f" weight for each of {KINDS}"
            )
        for setting, weights in (
            ("texture_weights", self.texture_weights),
            ("kind_weights", self.kind_weights),
        ):
            if min(weights) < 0 or sum(weights) == 0:
                raise ValueError(
                    f"world {self.name!r}: {setting} is {weights}; weights are 0 or more, not all 0"
                )
        for setting, value in (("max_count", self.max_count), ("max_things", self.max_things)):
            if not 2 <= value <= len(CELLS):
                raise ValueError(
                    f"world {self.name!r}: {setting} is {value}; it must be from 2 to {len(CELLS)}"
                )
        if self.kind_weights[3] and self.max_things > min(len(self.shapes), len(self.colours)):
            raise ValueError(
                f"world {self.name!r}: max_things is {self.max_things}, but a group's things differ"
                " in shape and in colour; add shapes or colours, or lower it"
            )
        if not 0 <= self.jitter <= self.jitter_limit:
            raise ValueError(
                f"world {self.name!r}: jitter is {self.jitter}/16 pixel; with these sizes it must"
                f" be from 0 to {self.jitter_limit} to keep things {MIN_GAP:g} pixels apart"
            )
        if not 0 <= self.withheld_fraction < 0.5:
            raise ValueError(
                f"world {self.name!r}: withheld_fraction is {self.withheld_fraction}; it must be in"
                " [0, 0.5)"
            )

    @property
    def jitter_limit(self) -> int:
        """The most jitter, in sixteenths of a pixel, that keeps things apart and in the image."""
        radius = max(SIZES[size] for size in self.sizes)
        room = min((_HALF - 2 * radius - MIN_GAP) / 2, _QUARTER - radius)
        return math.floor(16 * room)


DEFAULT = WorldConfig()
# Fewer names of everything, so that a small model learns it in minutes on a laptop.
SIMPLE = WorldConfig(
    name="simple",
    shapes=("circle", "square", "triangle", "cross"),
    colours=("red", "green", "blue", "yellow"),
    texture_weights=(7, 1),
    backgrounds=("white", "black"),
)
# Everything the renderer can draw; the autoencoder is trained on it, so that it fits other worlds.
WIDE = WorldConfig(
    name="wide",
    shapes=SHAPES,
    colours=tuple(COLOURS),
    textures=TEXTURES,
    texture_weights=(3, 2, 2),
    backgrounds=tuple(BACKGROUNDS),
    kind_weights=(2, 2, 2, 4),
    max_things=4,
    jitter=40,
    withheld_fraction=0.0,
)
# More to learn than the default: seven shapes, three textures, groups of three.
HARD = WorldConfig(
    name="hard",
    shapes=SHAPES,
    colours=tuple(COLOURS),
    textures=TEXTURES,
    texture_weights=(4, 1, 1),
    kind_weights=(3, 2, 3, 2),
    max_things=3,
)
WORLDS = {world.name: world for world in (SIMPLE, DEFAULT, HARD, WIDE)}


@lru_cache(maxsize=64)
def withheld(world: WorldConfig) -> frozenset[tuple[str, str]]:
    """The (shape, colour) pairs that never appear in training.

    A hash ranks the pairs; the first `withheld_fraction` of them is taken such that the numbers of
    withheld pairs differ by at most one between shapes and between colours. It depends on the names
    alone, neither on the seed nor on numpy.
    """
    pairs = [(shape, colour) for shape in world.shapes for colour in world.colours]
    pairs.sort(key=lambda pair: hashlib.sha256(f"withheld/{pair[0]}/{pair[1]}".encode()).digest())
    chosen: list[tuple[str, str]] = []
    for _ in range(math.ceil(world.withheld_fraction * len(pairs))):
        chosen.append(min(pairs, key=lambda pair: (pair in chosen, *_uses(pair, chosen))))
    return frozenset(chosen)


def _uses(pair: tuple[str, str], chosen: list[tuple[str, str]]) -> tuple[int, int]:
    shapes = sum(pair[0] == shape for shape, _ in chosen)
    colours = sum(pair[1] == colour for _, colour in chosen)
    return max(shapes, colours), shapes + colours
