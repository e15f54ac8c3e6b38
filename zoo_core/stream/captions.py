"""Which caption a sample is trained on, and whether it is dropped.

The study's data recipe: alternative text, and with probability 1/2 one of five synthetic captions at
random instead, which beat always taking the best of them (Li et al. 2024, Table 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from zoo_core.interfaces.dataset import Caption
from zoo_core.stream.bits import bits, to_integers, to_uniform, uniform
from zoo_core.stream.purposes import CAPTION_CHOICE, CAPTION_DROP
from zoo_core.stream.settings import CaptionSettings

TOP = 5
"""How many of the best synthetic captions `random-synthetic` chooses among."""


@dataclass(frozen=True)
class Choice:
    """The caption of one sample.

    text: what the text encoder is given; empty when dropped or when the sample has no caption.
    position: the chosen caption's place in the sample's captions, dropped or not; -1 without any.
    dropped: replaced by the empty caption for classifier-free guidance.
    """

    text: str
    position: int
    dropped: bool


def choose_captions(
    seed: int,
    indices: ArrayLike,
    captions: Sequence[Sequence[Caption]],
    settings: CaptionSettings,
) -> list[Choice]:
    """The caption of each global sample: n choices for n indices and their n lists of captions.

    A sample without a synthetic caption keeps its alternative text, one without alternative text
    takes a synthetic one. Several alternative texts are equally likely. Whether a sample turns to
    synthetic captions, and whether it drops its caption, does not depend on the captions it has.
    """
    words = bits(seed, CAPTION_CHOICE, indices, 2)  # [n, 2]: synthetic or not, which of them
    assert len(words) == len(captions), "one list of captions a sample"
    synthetic = to_uniform(words[:, 0]) < settings.probability  # [n]
    dropped = uniform(seed, CAPTION_DROP, indices)[:, 0] < settings.drop  # [n]
    choices = []
    for row, offered in enumerate(captions):
        pool = _pool(offered, settings, bool(synthetic[row]))
        if not pool:
            choices.append(Choice("", -1, bool(dropped[row])))
            continue
        position = pool[int(to_integers(words[row, 1:], len(pool))[0])]
        text = "" if dropped[row] else offered[position].text
        choices.append(Choice(text, position, bool(dropped[row])))
    return choices


def _pool(offered: Sequence[Caption], settings: CaptionSettings, synthetic: bool) -> list[int]:
    """Positions to choose among; synthetic captions come by falling confidence."""
    originals = [place for place, item in enumerate(offered) if item.source == "alt"]
    written = [place for place, item in enumerate(offered) if item.source == "synthetic"]
    written = written[: 1 if settings.policy == "top-synthetic" else TOP]
    if settings.policy == "alt" or not synthetic:
        return originals or written
    return written or originals
