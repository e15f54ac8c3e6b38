"""Which caption a sample is trained on, and whether it is dropped.

The study's data recipe: alternative text, and with probability 1/2 one of five synthetic captions at
random instead, which beat always taking the best of them (Li et al. 2024, Table 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from zoo_core.interfaces.dataset import Caption
from zoo_core.recipe.sections import CaptionSettings
from zoo_core.stream.bits import bits, to_integers, to_uniform, uniform
from zoo_core.stream.purposes import CAPTION_CHOICE, CAPTION_DROP

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

    The policy ``settings.policy`` is `alt` (originals only), `random-synthetic` (with probability
    ``probability`` one of the five best synthetic captions) or `top-synthetic` (with that
    probability the best one). A sample without a synthetic caption keeps its alternative text, one
    without alternative text takes a synthetic one. Several alternative texts are equally likely.
    Whether a sample turns to synthetic captions, and whether it drops its caption, does not depend
    on the captions it has.
    """
    words = bits(seed, CAPTION_CHOICE, indices, 2)  # [n, 2]: synthetic or not, which of them
    assert len(words) == len(captions), "one list of captions a sample"
    synthetic = to_uniform(words[:, 0]) < settings.probability  # [n]
    dropped = uniform(seed, CAPTION_DROP, indices)[:, 0] < settings.drop  # [n]
    pools = [
        _pool(offered, settings, bool(turned))
        for offered, turned in zip(captions, synthetic, strict=True)
    ]
    places = to_integers(words[:, 1], [max(1, len(pool)) for pool in pools])  # [n]
    choices = []
    for offered, pool, place, drop in zip(captions, pools, places, dropped, strict=True):
        position = pool[place] if pool else -1
        text = "" if drop or not pool else offered[position].text
        choices.append(Choice(text, position, bool(drop)))
    return choices


def _pool(offered: Sequence[Caption], settings: CaptionSettings, synthetic: bool) -> list[int]:
    """Positions to choose among; synthetic captions come by falling confidence."""
    originals = [place for place, item in enumerate(offered) if item.source == "alt"]
    written = [place for place, item in enumerate(offered) if item.source == "synthetic"]
    written = written[: 1 if settings.policy == "top-synthetic" else TOP]
    if settings.policy == "alt" or not synthetic:
        return originals or written
    return written or originals
