"""Lengths in steps or in images: ``500`` is steps, ``"8Mi"`` is images.

Studies that change the batch keep the number of images. A length in images becomes whole steps when the
recipe is resolved, after all layers are merged, so that it follows the batch size of the last layer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from zoo_core.errors import ConfigError
from zoo_core.recipe.blame import origin_of, typed
from zoo_core.recipe.sections import TrainingSettings

#: Dotted keys that hold a length, each with the least number of steps it may be.
LENGTHS = {
    "training.steps": 1,
    "training.checkpoint_every": 1,
    "training.log_every": 1,
    "evaluation.every": 1,
    "optimizer.warmup_steps": 0,
}
FORMS = 'an integer of steps, or images such as "8Mi", "512Ki", "1.5M", "51.2K" or "51200 images"'

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
}
_TEXT = re.compile(
    r" *(\d{1,18}(?:_\d{1,18})*(?:\.\d{1,18})?) *([kmg]i?)? *(images?)? *", re.IGNORECASE | re.ASCII
)
#: Global sample indices are 64-bit integers.
_MOST = 2**63 - 1


@dataclass(frozen=True)
class Images:
    """A number of images, and how it was written."""

    count: Fraction
    text: str

    def steps(self, batch_size: int, least: int = 1) -> int:
        """Whole updates of `batch_size` samples that see at least so many images."""
        return max(least, -(-self.count // batch_size))


def parse_images(text: str) -> Images | None:
    """The number of images a text means; None when it has none of the forms, or counts too far.

    A number needs a unit or the word ``images``: a bare one in quotes could mean either. Units are K, M
    and G (powers of 1000) and Ki, Mi and Gi (powers of 1024), in capitals or not.
    """
    match = _TEXT.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    count = Fraction(match[1].replace("_", "")) * _UNITS[(match[2] or "").lower()]
    return Images(count, text) if count <= _MOST else None


def written_lengths(table: dict[str, Any]) -> dict[str, Images]:
    """The lengths that a merged recipe gives as text, by dotted key.

    Raises `ConfigError` with the key for a text that is no number of images, or none at all where at
    least one step is needed.
    """
    found = {}
    for dotted, least in LENGTHS.items():
        section, key = dotted.split(".")
        values = table.get(section)
        text = values.get(key) if isinstance(values, dict) else None
        if not isinstance(text, str):
            continue
        images = parse_images(text)
        if images is None:
            raise ConfigError(f"{section}: key '{key}' is {text!r}: expected {FORMS}.", dotted)
        if least and not images.count:
            raise ConfigError(f"{section}: key '{key}' is {text!r}: expected more than 0.", dotted)
        found[dotted] = images
    return found


def put_lengths_in_steps(table: dict[str, Any], origins: dict[str, str]) -> None:
    """Replace lengths written in images by steps; their origins keep what was written."""
    try:
        written = written_lengths(table)
    except ConfigError as error:
        where = origin_of(origins, error.key or "")
        raise ConfigError(f"{where}: {error}", error.key) from None
    if not written:
        return
    training = table.get("training", {})
    if isinstance(training, dict):
        training = {key: it for key, it in training.items() if f"training.{key}" not in written}
    settings = typed(training, TrainingSettings, "training", origins)
    assert isinstance(settings, TrainingSettings)
    for dotted, images in written.items():
        section, key = dotted.split(".")
        table[section][key] = images.steps(settings.batch_size, LENGTHS[dotted])
        origins[dotted] += f', "{images.text.strip()}" at batch {settings.batch_size}'
