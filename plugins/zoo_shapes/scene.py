"""Scenes: what an image of the small world shows, drawn from (world, seed, split, index)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zoo_shapes.bits import RawBits
from zoo_shapes.world import (
    CELLS,
    KINDS,
    MIN_GAP,
    PAIR_CENTRES,
    PLACE_CENTRES,
    PLACES,
    RELATIONS,
    SIZE,
    SIZES,
    WorldConfig,
    withheld,
)

SPLITS = ("train", "heldout", "composition")
_PURPOSES = {"train": 1, "heldout": 2, "composition": 3}
_ATTEMPTS = 10_000  # far beyond any world that can be satisfied at all


@dataclass(frozen=True)
class Thing:
    """One shape. `x` and `y` are its centre in pixels (right, down; 0 is the image's edge).

    `radius` in pixels is half the side of the square that holds the shape.
    """

    shape: str
    colour: str
    size: str
    texture: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Scene:
    """One to four things on a plain background.

    `kind` is one of `world.KINDS`. A single has a `place`; a count holds equal things; a pair's
    first thing stands in `relation` to its second; a group's things differ in shape and colour.
    """

    kind: str
    things: tuple[Thing, ...]
    background: str
    place: str | None = None
    relation: str | None = None


def draw(world: WorldConfig, seed: int, split: str, index: int) -> Scene:
    """The scene at `index` of a split: a pure function of the arguments.

    The splits use disjoint parts of one counter space. `train` and `heldout` never show a
    (shape, colour) pair of `withheld(world)`; every scene of `composition` shows at least one.
    No scene is in two splits: places are multiples of 1/16 pixel, and those of `heldout` lie 1/32
    pixel to the right of them.
    Raises ValueError for an unknown split, a number out of range, or a world without such scenes.
    """
    if split not in _PURPOSES:
        raise ValueError(f"there is no split {split!r}; use one of {list(SPLITS)}")
    kept_out = withheld(world)
    if split == "composition" and not kept_out:
        raise ValueError(
            f"world {world.name!r} withholds no pairs, so it has no composition split; set"
            " withheld_fraction above 0"
        )
    for attempt in range(_ATTEMPTS):
        scene = _propose(world, RawBits(seed, _PURPOSES[split], index, attempt), split)
        if scene is None:
            continue
        shows_withheld = any((thing.shape, thing.colour) in kept_out for thing in scene.things)
        if shows_withheld == (split == "composition"):
            return _shifted(scene) if split == "heldout" else scene
    raise ValueError(
        f"world {world.name!r}: no scene for split {split!r} in {_ATTEMPTS} attempts; it leaves too"
        " few combinations of shape and colour"
    )


def gap(first: Thing, second: Thing) -> float:
    """Pixels between the bounding squares of two things; negative where they overlap."""
    apart = max(abs(first.x - second.x), abs(first.y - second.y))
    return apart - first.radius - second.radius


def _shifted(scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(each, x=each.x + 1 / 32) for each in scene.things))


def _propose(world: WorldConfig, bits: RawBits, split: str) -> Scene | None:
    """One attempt, or None where its things clash and another attempt is due."""
    kind = bits.weighted(KINDS, world.kind_weights)
    background = bits.choose(world.backgrounds)
    if kind == "single":
        place = bits.choose(PLACES)
        look = _look(world, bits, forced=split == "composition")
        return Scene(kind, (_put(world, bits, look, PLACE_CENTRES[place]),), background, place)
    if kind == "count":
        count = 2 + bits.below(world.max_count - 1)
        cells = sorted(bits.shuffled(range(len(CELLS)))[:count])
        look = _look(world, bits, forced=split == "composition")
        things = tuple(_put(world, bits, look, CELLS[cell]) for cell in cells)
        return Scene(kind, things, background)
    count = 2 if kind == "pair" else 2 + bits.below(world.max_things - 1)
    forced_at = bits.below(count) if split == "composition" else -1
    looks = [_look(world, bits, forced=at == forced_at) for at in range(count)]
    if any(len({look[part] for look in looks}) < count for part in (0, 1)):
        return None  # told apart by shape and by colour, or no question could name one of them
    if kind == "pair":
        relation = bits.choose(RELATIONS)
        centres = PAIR_CENTRES[relation]
        pair = tuple(
            _put(world, bits, look, centre) for look, centre in zip(looks, centres, strict=True)
        )
        return Scene(kind, pair, background, relation=relation)
    group = tuple(_scatter(bits, look) for look in looks)
    clash = any(gap(a, b) < MIN_GAP for at, a in enumerate(group) for b in group[:at])
    return None if clash else Scene(kind, group, background)


def _look(world: WorldConfig, bits: RawBits, *, forced: bool) -> tuple[str, str, str, str]:
    """Shape, colour, size and texture; `forced` takes shape and colour from the withheld pairs."""
    pair = (bits.choose(world.shapes), bits.choose(world.colours))
    if forced:
        pair = bits.choose(sorted(withheld(world)))
    return (*pair, bits.choose(world.sizes), bits.weighted(world.textures, world.texture_weights))


def _put(
    world: WorldConfig,
    bits: RawBits,
    look: tuple[str, str, str, str],
    centre: tuple[float, float],
) -> Thing:
    x, y = centre[0] + bits.sixteenths(world.jitter), centre[1] + bits.sixteenths(world.jitter)
    return Thing(*look, x, y, SIZES[look[2]])


def _scatter(bits: RawBits, look: tuple[str, str, str, str]) -> Thing:
    """A thing anywhere in the image, two pixels or more from its edge."""
    radius = SIZES[look[2]]
    reach = int(16 * (SIZE / 2 - radius - 2))
    return Thing(
        *look, SIZE / 2 + bits.sixteenths(reach), SIZE / 2 + bits.sixteenths(reach), radius
    )
