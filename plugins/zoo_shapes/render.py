"""From scenes to pixels: signed distances with an edge one pixel wide.

Only additions, multiplications, square roots, minima and maxima of doubles are used, all of which
IEEE 754 fixes exactly, so the same scene has the same bytes on every machine.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core.errors import ConfigError
from zoo_shapes.scene import Scene
from zoo_shapes.world import BACKGROUNDS, COLOURS, SHAPES, SIZE, TEXTURES

DARK = 0.5  # brightness of a texture's dark parts
_PERIOD = 6.0  # pixels, of stripes and dots
_SLOPE = math.sqrt(1.7**2 + 1.0)  # length of the normal (1.7, -1) of the triangle's side
_ROOT3_HALF = math.sqrt(3.0) / 2.0

Array = NDArray[np.floating[Any]]


def render(scene: Scene, size: int = SIZE) -> NDArray[np.uint8]:
    """The scene's image, uint8 [size, size, 3], sRGB.

    size: 64, or a whole multiple of it, at which the same scene is drawn finer. Raises `ConfigError` for
    any other.
    """
    scale, rest = divmod(size, SIZE)
    if rest or scale < 1:
        fits = max(SIZE, (size + SIZE // 2) // SIZE * SIZE)
        raise ConfigError(
            f"scenes are drawn at {SIZE} x {SIZE} pixels and whole multiples of that, not at {size}; "
            f"data.resolution={fits} would fit.",
            key="resolution",
        )
    image = np.empty((size, size, 3))
    image[:] = BACKGROUNDS[scene.background]
    for thing in scene.things:
        reach = thing.radius + 1.0
        left, right = _span(thing.x - reach, thing.x + reach, scale)
        top, bottom = _span(thing.y - reach, thing.y + reach, scale)
        x = (np.arange(left, right) + 0.5) / scale - thing.x
        y = ((np.arange(top, bottom) + 0.5) / scale - thing.y)[:, None]
        cover, light = masks(thing.shape, thing.texture, thing.radius, x, y, scale)
        patch = image[top:bottom, left:right]
        ink = light[..., None] * np.array(COLOURS[thing.colour], dtype=np.float64)
        patch += cover[..., None] * (ink - patch)
    return np.rint(image).astype(np.uint8)


def _span(low: float, high: float, scale: int) -> tuple[int, int]:
    """First pixel and end of an interval given in pixels of the 64 x 64 image, cut to the image."""
    return max(0, math.floor(low) * scale), min(SIZE, math.ceil(high)) * scale


def masks(
    shape: str, texture: str, radius: float, x: Array, y: Array, scale: int = 1
) -> tuple[Array, Array]:
    """Coverage in [0, 1] and brightness in [0.5, 1] at pixel centres, both float64 [H, W].

    `x` [W] and `y` [H, 1] are pixel centres relative to the thing's centre and `radius` is its size, in
    pixels of the 64 x 64 image, of which one drawn pixel is 1 / `scale`.
    """
    cover = _edge(_distance(shape, radius, x, y), scale)
    return cover, _brightness(texture, x, y, scale) + np.zeros_like(cover)


def _edge(distance: Array, scale: int) -> Array:
    """Coverage of a drawn pixel whose centre lies `distance` outside an edge one such pixel wide."""
    return np.minimum(np.maximum(0.5 - scale * distance, 0.0), 1.0)


def _distance(shape: str, r: float, x: Array, y: Array) -> Array:
    """Pixels from the outline, negative inside; each shape fits the square of half side `r`."""
    ax, ay = np.abs(x), np.abs(y)
    if shape == "circle":
        return np.sqrt(x * x + y * y) - r
    if shape == "ring":
        return np.abs(np.sqrt(x * x + y * y) - 0.75 * r) - 0.25 * r
    if shape == "square":
        return np.maximum(ax, ay) - 0.86 * r
    if shape == "diamond":
        return (ax + ay - r) * math.sqrt(0.5)
    if shape == "cross":
        across = np.maximum(ax - r, ay - 0.35 * r)
        return np.minimum(across, np.maximum(ax - 0.35 * r, ay - r))
    if shape == "triangle":
        return np.maximum((1.7 * ax - (y + 0.9 * r)) / _SLOPE, y - 0.8 * r)
    if shape == "star":  # two triangles, as a hexagram
        up = np.maximum(_ROOT3_HALF * ax - 0.5 * (y + r), y - 0.5 * r)
        return np.minimum(up, np.maximum(_ROOT3_HALF * ax + 0.5 * (y - r), -y - 0.5 * r))
    raise ValueError(f"there is no shape {shape!r}; use one of {list(SHAPES)}")


def _brightness(texture: str, x: Array, y: Array, scale: int) -> Array:
    if texture == "solid":
        return np.ones(1)
    if texture == "striped":  # a bright band lies on the centre
        v = np.abs(y - _PERIOD * np.floor(y / _PERIOD + 0.5))
        return DARK + (1.0 - DARK) * _edge(v - _PERIOD / 4, scale)
    if texture == "dotted":  # a dark dot lies on the centre
        u = x - _PERIOD * np.floor(x / _PERIOD + 0.5)
        v = y - _PERIOD * np.floor(y / _PERIOD + 0.5)
        return 1.0 - (1.0 - DARK) * _edge(np.sqrt(u * u + v * v) - 1.9, scale)
    raise ValueError(f"there is no texture {texture!r}; use one of {list(TEXTURES)}")
