"""Image files: read with limits, written without loss, and folders of real ones."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from zoo_core.errors import ConfigError
from zoo_core.interfaces.images import ImageSource

SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".bmp", ".ppm")
"""Endings of the files that count as images, in small letters."""

MAX_PIXELS = 64_000_000
"""A file that claims more is refused before it is decoded: a few bytes can ask for gigabytes."""

KEPT_SUFFIX = ".webp"
"""How generated images are kept: lossless WebP at its fastest setting. Measured with Pillow 13 on 16
crops of a photograph at 256 x 256: 81 KiB an image in 7 ms, where PNG takes 113 KiB in 12 ms at level 1
and 109 KiB in 34 ms at level 6; slower settings of WebP save 10 % more for six times the time. Reading
takes about as long for both."""

_FORMATS = ("PNG", "WEBP", "JPEG", "BMP", "PPM")


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image of a file: uint8 [H, W, 3], RGB.

    Grey images become RGB, a palette is looked up, transparency is dropped; a rotation noted in the
    file's metadata is not applied, as in the reference evaluators. Raises `ConfigError` naming the
    file when it is empty, cut off, no image of a known format, or larger than `MAX_PIXELS`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({(error.strerror or '').lower()}).") from None
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """As `read_image`, of a file's content; `name` is for messages."""
    if not data:
        raise ConfigError(f"{name}: empty file, not an image.")
    try:
        with warnings.catch_warnings():
            # Pillow's own warning comes at another size; ours is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise ConfigError(
                f"{name}: {image.width} x {image.height} pixels; more than {MAX_PIXELS:,} are refused."
            )
        return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError:
        known = ", ".join(_FORMATS)
        raise ConfigError(f"{name}: not an image (known formats: {known}).") from None
    except Image.DecompressionBombError:  # far more: Pillow has not even told the size
        raise ConfigError(f"{name}: more than {MAX_PIXELS:,} pixels are refused.") from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        # Pillow tells of damage by all of these: a cut file, a broken checksum, a wrong header.
        raise ConfigError(f"{name}: damaged image ({str(error).rstrip('.')}).") from None


def encode_image(image: NDArray[np.uint8]) -> bytes:
    """The content of a file of `KEPT_SUFFIX` that holds exactly the image uint8 [H, W, 3]."""
    assert image.dtype == np.uint8, image.dtype
    assert image.shape == (*image.shape[:2], 3), image.shape
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


def find_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name. Raises `ConfigError` when it is no folder or has none."""
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}. Expected a folder of images.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError(f"{folder}: no images in it ({', '.join(SUFFIXES)}).")
    return found


def file_stem(prompt_id: str) -> str:
    """A file name without ending for a prompt: the id itself where it can be one.

    Other ids, and those that differ from a plain one in capitals only on some systems, get a digest.
    """
    if re.fullmatch(r"[a-z0-9_][a-z0-9._-]{0,99}", prompt_id):
        return prompt_id
    slug = re.sub(r"[^a-z0-9_-]+", "-", prompt_id.lower()).strip("-")[:48] or "prompt"
    return f"{slug}-{hashlib.blake2b(prompt_id.encode(), digest_size=6).hexdigest()}"


class FolderImages(ImageSource):
    """Real images in files, in the order given. Read one at a time, each time anew."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._fingerprint: str | None = None

    @classmethod
    def of(cls, folder: Path) -> FolderImages:
        """All images directly in a folder, by name. Raises `ConfigError` as `find_images` does."""
        return cls(find_images(folder))

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The images uint8 [H, W, 3]. Raises `ConfigError` naming a file that is no image."""
        return (read_image(path) for path in self._paths)

    def fingerprint(self) -> str:
        """Of the files' content in their order; names and places do not count."""
        if self._fingerprint is None:
            total = hashlib.blake2b(digest_size=16)
            for path in self._paths:
                try:
                    with path.open("rb") as file:
                        total.update(hashlib.file_digest(file, "sha256").digest())
                except OSError as error:
                    reason = (error.strerror or "").lower()
                    raise ConfigError(f"{path}: cannot be read ({reason}).") from None
            self._fingerprint = total.hexdigest()
        return self._fingerprint
