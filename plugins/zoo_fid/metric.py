"""The Frechet distance between the features of generated and of real images."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from zoo_core.errors import ConfigError
from zoo_core.evaluation.spread import bootstrap_interval
from zoo_core.interfaces.images import ImageSource
from zoo_core.interfaces.metric import Metric, Need, Score
from zoo_core.interfaces.prompts import Prompt
from zoo_fid.distance import frechet_distance, influence, one_blas_thread
from zoo_fid.extractor import FeatureExtractor
from zoo_fid.references import finite, reference_statistics
from zoo_fid.statistics import Array, FeatureStatistics, StreamingStatistics

#: With fewer images than this a score says how much that raises it.
FEW = 2048
_BLOCK = 1024  # rows turned into float64 at a time

Row = Mapping[str, Any]


class FewImagesWarning(UserWarning):
    """A distance over so few images that their number shows in it."""


@final
class FrechetDistance(Metric):
    """Heusel et al. 2017 (arXiv 1706.08500), equation 6, over the features of an extractor.

    Features are float32, all else is double precision. The value is that of a finite number of images,
    which is too high by about a constant over the number (Chong and Forsyth 2020, arXiv 1911.07023):
    only scores over equally many images compare.
    """

    def __init__(self, extractor: FeatureExtractor, references: str) -> None:
        self._extractor = extractor
        self._at_generated_size = references == "generated-size"
        self._references: ImageSource | None = None
        self._statistics: dict[tuple[int, int] | None, FeatureStatistics] = {}

    @property
    def name(self) -> str:
        return self._extractor.name

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"references"})

    def use_references(self, references: ImageSource) -> None:
        self._references = references
        self._statistics.clear()

    def score_images(
        self, prompts: Sequence[Prompt], images: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """One row an image: prompt, height and width, features float32 [D].

        Raises `ConfigError` naming the prompt of an image whose features are not finite.
        """
        assert len(prompts) == len(images), "one image a prompt"
        for image in images:
            assert image.dtype == np.uint8, f"images are uint8, not {image.dtype}"
            assert image.shape[2:] == (3,), f"images are [H, W, 3], not {image.shape}"
        rows = []
        features = self._extractor.features(images)
        for prompt, image, vector in zip(prompts, images, features, strict=True):
            finite(vector, self._extractor, f"the image of prompt '{prompt.id}'")
            height, width = image.shape[:2]
            row = {"prompt": prompt.id, "height": height, "width": width, "features": vector}
            rows.append(row)
        return rows

    def summarize(self, rows: Sequence[Row]) -> Score:
        """The distance to the real images, with standard error and interval over prompts.

        Both come from each image's influence on the distance (`zoo_fid.distance.influence`), since
        drawing images twice would itself raise a distance. `details`: number of `images` and of
        `references`, `mean_term` and `covariance_term` whose sum is the value; and below 2048 images
        `half`, the distance of half as many (mean of both halves), and `extrapolated`, 2 value - half,
        what the law bias ~ 1 / images leaves of it. Rows may come in any order. Raises `ConfigError`
        for fewer than two images, and for images of several sizes that real ones are to be resized to.
        """
        if len(rows) < 2:
            raise ConfigError(
                f"{self.name} compares the spread of features and needs at least 2 images; there "
                f"{'is 1' if rows else 'are none'}."
            )
        ordered = sorted(rows, key=lambda row: (row["prompt"], row["features"].tobytes()))
        with one_blas_thread():
            real = self._real(ordered)
            own = self._collect(ordered)
            terms = frechet_distance(own, real)
            details = {
                "images": float(len(ordered)),
                "references": float(real.count),
                "mean_term": terms.mean,
                "covariance_term": terms.covariance,
            }
            if len(ordered) < FEW:
                details |= self._of_few(ordered, real, terms.distance)
            figures = influence(_blocks(ordered), own, real)
        by_prompt: dict[str, list[float]] = defaultdict(list)
        for row, figure in zip(ordered, figures, strict=True):
            by_prompt[row["prompt"]].append(terms.distance + float(figure))
        values = [math.fsum(parts) / len(parts) for parts in by_prompt.values()]
        if len(values) < 2:
            return Score(self.name, terms.distance, None, len(values), details)
        stderr = float(np.std(values, ddof=1)) / math.sqrt(len(values))
        interval = bootstrap_interval(values)
        return Score(self.name, terms.distance, stderr, len(values), details, interval)

    def protocol(self) -> dict[str, Any]:
        told = self._extractor.protocol()
        libraries = ("scipy", *told.pop("scorer_libraries", {}))
        fit = "resized to the generated size, Pillow bicubic, antialiased, both sides to fit"
        return {
            **told,
            "references": fit if self._at_generated_size else "at their own size",
            "precision": "features fp32, distance fp64",
            "scorer_libraries": {name: metadata.version(name) for name in libraries},
        }

    def _real(self, rows: Sequence[Row]) -> FeatureStatistics:
        assert self._references is not None, f"{self.name} was given no real images"
        size = self._size(rows) if self._at_generated_size else None
        if size not in self._statistics:
            found = reference_statistics(self._references, self._extractor, size)
            self._statistics[size] = found
        return self._statistics[size]

    def _size(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Height and width of the generated images."""
        sizes = sorted({(int(row["height"]), int(row["width"])) for row in rows})
        if len(sizes) > 1:
            listed = " and ".join(f"{width} x {height}" for height, width in sizes[:2])
            raise ConfigError(
                f"{self.name} resizes the real images to the size of the generated ones, and these have "
                f"{len(sizes)} sizes ({listed} among them). Score images of one size, or leave the real "
                f'ones at theirs with references = "as-is".',
                key="references",
            )
        return sizes[0]

    def _collect(self, rows: Sequence[Row]) -> FeatureStatistics:
        collected = StreamingStatistics(self._extractor.dimensions)
        for block in _blocks(rows):
            collected.add(block)
        return collected.result()

    def _of_few(
        self, rows: Sequence[Row], real: FeatureStatistics, value: float
    ) -> dict[str, float]:
        """What the small number of images does to the value: figures, and a warning in words."""
        warnings.warn(
            f"{self.name} over {len(rows)} images is too high: the bias falls as one over their number and "
            f"shows below {FEW}. Compare it only with scores over as many images; 'extrapolated' among its "
            f"details is an estimate without this bias.",
            FewImagesWarning,
            stacklevel=3,
        )
        halves = [rows[0::2], rows[1::2]]
        if min(len(half) for half in halves) < 2:
            return {}
        distances = [frechet_distance(self._collect(half), real).distance for half in halves]
        half = math.fsum(distances) / 2
        return {"half": half, "extrapolated": 2 * value - half}


def _blocks(rows: Sequence[Row]) -> Iterator[Array]:
    """Features float64 [up to 1024, D], in the rows' order."""
    for start in range(0, len(rows), _BLOCK):
        block: NDArray[np.float32] = np.stack([r["features"] for r in rows[start : start + _BLOCK]])
        yield block.astype(np.float64)
