"""A hash of a stretch of the stream, to show that two runs see the same data and randomness."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from zoo_core.interfaces.dataset import Caption
from zoo_core.recipe.sections import CaptionSettings
from zoo_core.stream.bits import as_indices, bits
from zoo_core.stream.captions import choose_captions
from zoo_core.stream.draws import timesteps
from zoo_core.stream.order import dataset_index
from zoo_core.stream.purposes import LATENT, NOISE

_WORDS = 4  # of latent and training noise in the hash: one Philox block each
_BATCH = 1024


class StreamDigest:
    """Adds up a hash of each sample, so that parts may come in any order and from any process.

    A sample's record is its global index, dataset index, chosen caption (place, text, dropped or
    not), timestep, and the first words of its latent and training noise. Its BLAKE2b-256 is added
    modulo 2^256; the index being in the record, the sum still tells one order from another.
    """

    def __init__(
        self,
        seed: int,
        length: int,
        captions: Callable[[int], Sequence[Caption]],
        settings: CaptionSettings,
        timestep_count: int = 1000,
    ) -> None:
        """For a dataset of `length` samples; `captions` gives those of a dataset index."""
        self._seed = seed
        self._length = length
        self._captions = captions
        self._settings = settings
        self._timestep_count = timestep_count
        self._sum = 0

    def add(self, indices: ArrayLike) -> None:
        """Take in these global samples, each of them once in the life of the digest."""
        samples = as_indices(indices)
        members = dataset_index(self._seed, samples, self._length)
        offered = [self._captions(int(member)) for member in members]
        choices = choose_captions(self._seed, samples, offered, self._settings)
        steps = timesteps(self._seed, samples, self._timestep_count)
        latent = bits(self._seed, LATENT, samples, _WORDS)
        noise = bits(self._seed, NOISE, samples, _WORDS)
        for row, choice in enumerate(choices):
            text = choice.text.encode()
            record = struct.pack(
                f"<qqq?q{_WORDS}Q{_WORDS}Q",
                samples[row],
                members[row],
                choice.position,
                choice.dropped,
                steps[row],
                *latent[row],
                *noise[row],
            )
            self._accumulate(hashlib.blake2b(record + text, digest_size=32).digest())

    def merge(self, other: str) -> None:
        """Take in another process's samples, given as its `hexdigest`."""
        self._accumulate(bytes.fromhex(other))

    def hexdigest(self) -> str:
        """64 hexadecimal digits; all zero when no sample was added."""
        return f"{self._sum:064x}"

    def _accumulate(self, digest: bytes) -> None:
        self._sum = (self._sum + int.from_bytes(digest, "big")) % (1 << 256)


def digest(
    seed: int,
    start: int,
    stop: int,
    length: int,
    captions: Callable[[int], Sequence[Caption]],
    settings: CaptionSettings,
    timestep_count: int = 1000,
) -> str:
    """The digest of global samples start..stop-1, as `StreamDigest` defines it."""
    total = StreamDigest(seed, length, captions, settings, timestep_count)
    for first in range(start, stop, _BATCH):
        total.add(range(first, min(first + _BATCH, stop)))
    return total.hexdigest()
