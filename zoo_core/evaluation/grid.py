"""Grids of images with their prompts underneath."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CELL = 160
_TEXT = 44
_GAP = 8
_LETTERS = 27


def save_grid(
    path: Path, images: Sequence[np.ndarray], captions: Sequence[str], columns: int | None = None
) -> None:
    """Write a PNG of images uint8 [H, W, 3], each enlarged to a cell with its caption below it."""
    assert len(images) == len(captions), "one caption an image"
    columns = columns or max(1, math.ceil(math.sqrt(len(images))))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new(
        "RGB", (columns * (_CELL + _GAP) + _GAP, rows * (_CELL + _TEXT + _GAP) + _GAP), "white"
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = _GAP + place % columns * (_CELL + _GAP)
        top = _GAP + place // columns * (_CELL + _TEXT + _GAP)
        # Small images keep their hard pixels; large ones are smoothed down.
        method = Image.Resampling.NEAREST if image.shape[0] <= _CELL else Image.Resampling.LANCZOS
        sheet.paste(Image.fromarray(image).resize((_CELL, _CELL), method), (left, top))
        draw.rectangle((left - 1, top - 1, left + _CELL, top + _CELL), outline="#cccccc")
        words = textwrap.fill(caption, _LETTERS, max_lines=3, placeholder=" ...")
        draw.text((left, top + _CELL + 2), words, fill="#333333", font=font, spacing=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
