"""An exact reader of scenes by analysis by synthesis.

The background is the median of the border; what differs from it is split into connected components;
each component is explained by the rendered candidate (shape, size, texture, colour, place) with the
least squared error. Image and candidates are smoothed alike, which makes noise and blur harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zoo_shapes.programs import View, parse
from zoo_shapes.render import masks
from zoo_shapes.world import BACKGROUNDS, COLOURS, DEFAULT, SIZE, SIZES, WorldConfig

SMOOTHING = 0.7  # pixels, deviation of the Gaussian on image and candidates
CONTRAST = 45.0  # levels of 255, Euclidean over RGB, from which a pixel belongs to a thing
MIN_AREA = 24  # pixels; the smallest thing, a small cross, covers about 65
MIN_CONFIDENCE = 0.5  # share of a component's energy that its candidate must explain
_REACH = 15  # pixels from a crop's middle to its edge
_SIDE = 2 * _REACH + 1
_OFFSETS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # pixels, of candidates around a component's middle
_WIDEST = 2 * max(SIZES.values()) + 4  # pixels; a wider component is two things that touch
_MAX_EROSION = 8  # pixels from either side of a neck between things that touch
_BORDER = 2  # pixels

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ReadThing:
    """A thing as read. `x` and `y` are its centre in pixels, right and down.

    `confidence` in [0, 1] is the share of the component's squared deviation from the background
    that the rendered candidate explains.
    """

    shape: str
    colour: str
    size: str
    texture: str
    x: float
    y: float
    confidence: float


@dataclass(frozen=True)
class ReadScene:
    """What an image shows: its things, from top left to bottom right, and its background."""

    things: tuple[ReadThing, ...]
    background: str


def read(image: NDArray[np.uint8], world: WorldConfig = DEFAULT) -> ReadScene:
    """Read an image, uint8 [64, 64, 3], with the names of `world`.

    Any image is accepted: components that no candidate explains are left out, so a blank image has
    no things and noise few or none. Raises ValueError for another shape or dtype.
    """
    if image.shape != (SIZE, SIZE, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"the reader got {image.dtype} {list(image.shape)}; it reads uint8 [{SIZE}, {SIZE}, 3]"
        )
    smooth = ndimage.gaussian_filter(
        image.astype(np.float32), (SMOOTHING, SMOOTHING, 0), mode="nearest"
    )
    ground = _border_median(smooth)
    palette = np.array([BACKGROUNDS[name] for name in world.backgrounds], dtype=np.float32)
    background = world.backgrounds[int(((palette - ground) ** 2).sum(1).argmin())]
    deviation = smooth - ground
    labels, count = _components(np.sqrt((deviation**2).sum(2)) > CONTRAST)
    things = _explain(deviation, ground, labels, count, world) if count else []
    things.sort(key=lambda thing: (round(thing.y / 16), thing.x))
    return ReadScene(tuple(things), background)


def answer(question: str, choices: Sequence[str], view: View) -> str:
    """The answer to a question's text on a scene, one of `choices`.

    "" where the text is none of this world's questions, where the scene does not tell (it has no
    such thing, or several that differ), or where the answer is none of the choices.
    """
    program = parse(question)
    if program is None:
        return ""
    found = program.evaluate(view)
    return found if found in choices else ""


def ask(question: Mapping[str, Any], image: NDArray[np.uint8], world: WorldConfig = DEFAULT) -> str:
    """The answer to a question in TIFA's format on an image; see `read` and `answer`."""
    return answer(question["question"], question["choices"], read(image, world))


def score(asked: Sequence[Mapping[str, Any]], view: View) -> float:
    """The share in [0, 1] of questions answered as expected. Raises ValueError for none."""
    if not asked:
        raise ValueError("a score is of a set of questions, and this one is empty")
    right = [answer(q["question"], q["choices"], view) == q["answer"] for q in asked]
    return sum(right) / len(right)


def _border_median(image: Floats) -> Floats:
    edges = [image[:_BORDER], image[-_BORDER:], image[:, :_BORDER], image[:, -_BORDER:]]
    return np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)


def _components(marked: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Labels [64, 64] from 1, without specks, and with wide components split, and their number."""
    labels, count = ndimage.label(marked)
    out = np.zeros((SIZE, SIZE), dtype=np.int32)
    kept = 0
    boxes = ndimage.find_objects(labels)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    for label in range(1, count + 1):
        if areas[label] < MIN_AREA:
            continue
        rows, columns = boxes[label - 1]
        part = labels == label
        wide = max(rows.stop - rows.start, columns.stop - columns.start) > _WIDEST
        for piece in _split(part) if wide else [part]:
            kept += 1
            out[piece] = kept
    return out, kept


def _split(part: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """A component cut at its narrow places: the least erosion that makes two cores or more."""
    core = part
    for _ in range(_MAX_EROSION):
        core = ndimage.binary_erosion(core)
        seeds, count = ndimage.label(core)
        if count >= 2:
            nearest = ndimage.distance_transform_edt(
                seeds == 0, return_distances=False, return_indices=True
            )
            owner = seeds[tuple(nearest)]
            pieces = [part & (owner == seed) for seed in range(1, count + 1)]
            large = [piece for piece in pieces if piece.sum() >= MIN_AREA]
            if len(large) >= 2:
                return large
    return [part]


def _explain(
    deviation: Floats,
    ground: Floats,
    labels: NDArray[np.int32],
    count: int,
    world: WorldConfig,
) -> list[ReadThing]:
    """The best candidate of each component, where it explains enough."""
    bank = _bank(world.shapes, world.sizes, world.textures)
    inks = np.array([COLOURS[name] for name in world.colours], dtype=np.float32)
    corners = _middles(labels, count)
    padded = np.pad(deviation, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)))
    # Pixels beside a component count as its own, so that its soft edge stays out of its neighbour.
    owners = np.where(labels > 0, labels, ndimage.maximum_filter(labels, 5))
    owners = np.pad(owners, _REACH)
    crops = np.empty((count, _SIDE * _SIDE, 3), dtype=np.float32)
    for at, (row, column) in enumerate(corners):
        window = slice(row, row + _SIDE), slice(column, column + _SIDE)
        mine = (owners[window] == at + 1) | (owners[window] == 0)
        crops[at] = (padded[window] * mine[..., None]).reshape(-1, 3)
    energy = (crops**2).sum((1, 2))  # [n]
    error = _errors(bank, crops, ground, inks) + energy[:, None, None]  # [n, K, colours]
    things = []
    for at, (row, column) in enumerate(corners):
        best, colour = np.unravel_index(int(error[at].argmin()), error[at].shape)
        confidence = 1.0 - float(error[at, best, colour] / energy[at])
        if confidence < MIN_CONFIDENCE:
            continue
        shape, size, texture, x, y = bank.names[best]
        things.append(
            ReadThing(
                shape,
                world.colours[int(colour)],
                size,
                texture,
                column + 0.5 + x,
                row + 0.5 + y,
                round(confidence, 4),
            )
        )
    return things


def _middles(labels: NDArray[np.int32], count: int) -> list[tuple[int, int]]:
    """The pixel (row, column) nearest to each component's centre of mass."""
    rows, columns = np.nonzero(labels)
    owners = labels[rows, columns]
    area = np.bincount(owners, minlength=count + 1)[1:]
    row = np.bincount(owners, rows, count + 1)[1:] / area
    column = np.bincount(owners, columns, count + 1)[1:] / area
    return list(
        zip(np.rint(row).astype(int).tolist(), np.rint(column).astype(int).tolist(), strict=True)
    )


@dataclass(frozen=True)
class _Bank:
    """Candidates as flat images: coverage and coverage times brightness, float32 [K, P] each.

    `squares` [K, 3] has their products light * light, light * cover, cover * cover, summed.
    `names` has shape, size, texture and the centre relative to the crop's middle, in pixels.
    """

    light: Floats
    cover: Floats
    squares: Floats
    names: tuple[tuple[str, str, str, float, float], ...]


@lru_cache(maxsize=8)
def _bank(shapes: tuple[str, ...], sizes: tuple[str, ...], textures: tuple[str, ...]) -> _Bank:
    at = np.arange(_SIDE) - float(_REACH)
    covers, lights, names = [], [], []
    for shape in shapes:
        for size in sizes:
            # Components are centred on their centre of mass, which a triangle's centre is not.
            plain, _ = masks(shape, "solid", SIZES[size], at, at[:, None])
            drop = float((plain * at[:, None]).sum() / plain.sum())
            for texture in textures:
                for dx in _OFFSETS:
                    for dy in _OFFSETS:
                        x, y = at - dx, (at - dy + drop)[:, None]
                        cover, light = masks(shape, texture, SIZES[size], x, y)
                        covers.append(ndimage.gaussian_filter(cover, SMOOTHING).ravel())
                        lights.append(ndimage.gaussian_filter(cover * light, SMOOTHING).ravel())
                        names.append((shape, size, texture, dx, dy - drop))
    cover_bank = np.array(covers, dtype=np.float32)
    light_bank = np.array(lights, dtype=np.float32)
    squares = np.stack(
        [
            (light_bank**2).sum(1),
            (light_bank * cover_bank).sum(1),
            (cover_bank**2).sum(1),
        ],
        axis=1,
    )
    return _Bank(light_bank, cover_bank, squares, tuple(names))


def _errors(bank: _Bank, crops: Floats, ground: Floats, inks: Floats) -> Floats:
    """Squared error of each candidate less the crop's energy, float32 [n, K, colours].

    A candidate deviates from the background by light * ink - cover * ground at each pixel, so its
    squared error is a quadratic form of which only the products with the crops depend on the image.
    """
    n = len(crops)
    flat = crops.transpose(1, 0, 2).reshape(-1, 3 * n)  # [P, 3n]
    with_light = (bank.light @ flat).reshape(-1, n, 3) @ inks.T  # [K, n, colours]
    with_cover = (bank.cover @ flat).reshape(-1, n, 3) @ ground  # [K, n]
    forms = np.stack([(inks**2).sum(1), -2 * inks @ ground, np.full(len(inks), ground @ ground)])
    own = bank.squares @ forms  # [K, colours]
    error = own[:, None] - 2.0 * (with_light - with_cover[..., None])
    return error.transpose(1, 0, 2).astype(np.float32)
