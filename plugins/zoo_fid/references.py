"""Statistics of the real images' features, computed once for a set of images and an extractor."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image as PillowImage

from zoo_core.catalog.cache import cache_folder
from zoo_core.errors import ConfigError, RunError
from zoo_core.interfaces.images import ImageSource
from zoo_core.runs.durable import write_atomic
from zoo_fid.extractor import FeatureExtractor, Image
from zoo_fid.statistics import FeatureStatistics, StreamingStatistics

_FORMAT = 1  # of the cached file and of the computation; another number makes new files
_PORTION = 64  # images in memory at a time
_LIBRARIES = ("torch", "pillow")  # that features depend on, besides what the extractor names


def reference_statistics(
    references: ImageSource, extractor: FeatureExtractor, size: tuple[int, int] | None
) -> FeatureStatistics:
    """Mean and covariance of the real images' features.

    size: height and width that every image is resized to first (Pillow, bicubic, antialiased, both
    sides to fit, rounded to bytes), or None to leave them. They are kept under ``$ZOO_CACHE/frechet``
    in a file named after the images' content, the size, the extractor and the library versions; a damaged
    file is made again, and one that cannot be written is a warning. Raises `ConfigError` for a set of fewer than two
    images.
    """
    if len(references) < 2:
        raise ConfigError(
            f"{extractor.name} compares with real images and needs at least 2 of them; the set has "
            f"{len(references)}."
        )
    path = cache_folder() / "frechet" / f"{_key(references, extractor, size)}.npz"
    if (found := _read(path)) is not None:
        return found
    collected = StreamingStatistics(extractor.dimensions)
    images = _resized(references, size)
    while portion := list(islice(images, _PORTION)):
        collected.add(finite(extractor.features(portion), extractor, "a real image"))
    statistics = collected.result()
    try:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **statistics.arrays())
        write_atomic(path, buffer.getvalue())
    except RunError as error:
        warnings.warn(
            f"The features of the real images will be computed again next time: {error}",
            stacklevel=2,
        )
    return statistics


def resized(image: Image, size: tuple[int, int]) -> Image:
    """An image uint8 [H, W, 3] at another height and width; unchanged where it has them already."""
    height, width = size
    if image.shape[:2] == size:
        return image
    fitted = PillowImage.fromarray(image).resize((width, height), PillowImage.Resampling.BICUBIC)
    return np.asarray(fitted)


def finite(
    features: np.ndarray[Any, np.dtype[np.float32]], extractor: FeatureExtractor, what: str
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The features [N, D]. Raises `ConfigError` when one is not finite; `what` they are of."""
    if not np.isfinite(features).all():
        raise ConfigError(
            f"{extractor.name}: the features of {what} are not finite; the weights file is damaged or of "
            f"another model."
        )
    return features


def _resized(references: ImageSource, size: tuple[int, int] | None) -> Iterator[Image]:
    return (image if size is None else resized(image, size) for image in references)


def _key(references: ImageSource, extractor: FeatureExtractor, size: tuple[int, int] | None) -> str:
    parts = {
        "format": _FORMAT,
        "images": references.fingerprint(),
        "size": size,
        "extractor": extractor.protocol(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _read(path: Path) -> FeatureStatistics | None:
    """What the file holds; None when there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return FeatureStatistics.from_arrays({name: stored[name] for name in stored.files})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
