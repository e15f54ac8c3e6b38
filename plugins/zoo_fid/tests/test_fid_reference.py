"""Agreement with torch-fidelity 0.4.0, clean-fid 0.1.35 and scipy's sqrtm, and that other settings disagree.

``record_reference.py`` made the recorded figures from the recipe in ``seeded_inception.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from zoo_fid import inception_features
from zoo_fid.distance import frechet_distance
from zoo_fid.inception_features import InceptionFeatures
from zoo_fid.resize import pillow_bicubic, tensorflow_bilinear
from zoo_fid.statistics import FeatureStatistics, StreamingStatistics

#: Of the largest feature, which is some tens: a few units in the last place of float32.
FEATURES = 1e-6
DISTANCE = 1e-6


@pytest.fixture(scope="module")
def extractors(extractor: InceptionFeatures) -> dict[str, InceptionFeatures]:
    told = {"sha256": "0" * 64}
    return {"fid": extractor, "clean-fid": InceptionFeatures("clean-fid", extractor.network, told)}


@pytest.fixture(scope="module")
def images(recipe: ModuleType) -> list[np.ndarray]:
    """Both sets of pictures, 8 each."""
    return [*recipe.pictures(0), *recipe.pictures(1)]


@pytest.fixture(scope="module")
def ours(
    extractors: dict[str, InceptionFeatures], images: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """Features float32 [16, 2048] of both sets of pictures."""
    return {variant: found.features(images) for variant, found in extractors.items()}


def statistics(features: np.ndarray) -> FeatureStatistics:
    collected = StreamingStatistics(features.shape[1])
    collected.add(features)
    return collected.result()


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    ("variant", "reference"), [("fid", "torch_fidelity"), ("clean-fid", "clean_fid")]
)
def test_features_are_the_references(variant, reference, ours, recorded):
    expected = recorded[reference]
    assert difference(ours[variant], expected) < FEATURES
    if variant == "fid":  # not much further from the reference than that is from its own float64
        own_error = float(recorded["torch_fidelity.own_error"])
        assert 0 < np.abs(ours[variant] - expected).max() < 3 * own_error
    # The scale is visible: not a network of vanishing or exploding signals, in which all is equal.
    assert 10 < expected.max() < 1000
    assert expected.std(axis=0).mean() > 0.1


@pytest.mark.parametrize(
    ("variant", "reference"), [("fid", "torch_fidelity"), ("clean-fid", "clean_fid")]
)
def test_the_distance_of_pictures_is_the_references(variant, reference, ours, recorded):
    first, second = ours[variant][:8], ours[variant][8:]
    found = frechet_distance(statistics(first), statistics(second)).distance
    assert found == pytest.approx(float(recorded[f"{reference}.distance"]), rel=DISTANCE)


@pytest.mark.parametrize("name", ["many", "few", "mixed"])
@pytest.mark.parametrize("reference", ["torch_fidelity", "torch_fidelity_fp64", "sqrtm"])
def test_the_distance_of_features_is_the_references(name, reference, recipe, recorded):
    sizes = {entry[0]: entry[1:] for entry in recipe.FEATURES}[name]
    first = statistics(recipe.features(f"{name}.first", sizes[0], sizes[2]))
    second = statistics(recipe.features(f"{name}.second", sizes[1], sizes[2]))
    found = frechet_distance(first, second).distance
    assert found == pytest.approx(float(recorded[f"{name}.{reference}"]), rel=DISTANCE)


# --- Other settings, which the tests above would refuse -----------------------------------------------


def half_pixel(image: np.ndarray) -> Tensor:
    """The bilinear resize of today's libraries: pixel centres at halves."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.interpolate(x, (299, 299), mode="bilinear", align_corners=False)


def aligned_corners(image: np.ndarray) -> Tensor:
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.interpolate(x, (299, 299), mode="bilinear", align_corners=True)


def not_resized(image: np.ndarray) -> Tensor:
    """The image at its own size, cut or padded to 299 pixels."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.pad(x, (0, 299 - x.shape[3], 0, 299 - x.shape[2]))


def not_antialiased(image: np.ndarray) -> Tensor:
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.interpolate(x, (299, 299), mode="bicubic", align_corners=False).clamp(0, 255)


def rounded(image: np.ndarray) -> Tensor:
    """Resized as bytes, as most image pipelines do."""
    resized = Image.fromarray(image).resize((299, 299), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float()


def other_channels(resize: Callable[[np.ndarray], Tensor]) -> Callable[[np.ndarray], Tensor]:
    return lambda image: resize(image).flip(1)


WRONG_RESIZE = [
    ("fid", half_pixel),
    ("fid", aligned_corners),
    ("fid", not_resized),
    ("fid", pillow_bicubic),
    ("fid", other_channels(tensorflow_bilinear)),
    ("clean-fid", not_antialiased),
    ("clean-fid", rounded),
    ("clean-fid", not_resized),
    ("clean-fid", tensorflow_bilinear),
]
WRONG_RANGE = {
    "to 1 at both ends": lambda x: x / 127.5 - 1,
    "0 to 1": lambda x: x / 255,
    "not shifted": lambda x: x / 128,
    "ImageNet's": lambda x: (
        (x / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    ),
}
#: A picture to enlarge along one side and shrink along the other, and one to shrink, of each set.
SOME = [2, 4, 10, 12]


def refused(
    extractor: InceptionFeatures,
    images: list[np.ndarray],
    reference: str,
    recorded: dict[str, np.ndarray],
) -> None:
    """Features and distance are both far outside what the tests above allow."""
    found, expected = extractor.features([images[i] for i in SOME]), recorded[reference][SOME]
    assert difference(found, expected) > 100 * FEATURES
    distances = [
        frechet_distance(statistics(x[:2]), statistics(x[2:])).distance for x in (found, expected)
    ]
    assert abs(distances[0] / distances[1] - 1) > 100 * DISTANCE


REFERENCE = {"fid": "torch_fidelity", "clean-fid": "clean_fid"}


@pytest.mark.parametrize(("variant", "resize"), WRONG_RESIZE)
def test_another_resize_is_refused(variant, resize, extractor, images, recorded, monkeypatch):
    monkeypatch.setitem(inception_features._RESIZE, variant, (resize, "another"))
    wrong = InceptionFeatures(variant, extractor.network, {"sha256": "0" * 64})
    refused(wrong, images, REFERENCE[variant], recorded)


@pytest.mark.parametrize("normalized", WRONG_RANGE.values(), ids=WRONG_RANGE.keys())
def test_another_range_is_refused(normalized, extractors, images, recorded, monkeypatch):
    monkeypatch.setattr(inception_features, "normalized", normalized)
    refused(extractors["fid"], images, "torch_fidelity", recorded)


def test_the_right_settings_are_not_refused(extractors, images, recorded):
    """The check of the checks: the very comparison that the wrong settings fail is passed."""
    with pytest.raises(AssertionError):
        refused(extractors["fid"], images, "torch_fidelity", recorded)


@pytest.mark.parametrize("which", range(8))
def test_the_resize_of_tensorflow_is_the_published_formula_bit_by_bit(which, images):
    """Four neighbours, first along the row, then along the column, all in float32."""
    image = images[which]
    size = image.shape[:2]
    x = torch.from_numpy(image).float()
    place = [torch.arange(299, dtype=torch.float32) * torch.tensor(side / 299) for side in size]
    low = [p.long() for p in place]
    high = [(p + 1).clamp_max(side - 1) for p, side in zip(low, size, strict=True)]
    part = [p - q.float() for p, q in zip(place, low, strict=True)]
    corner = {
        (v, h): x[rows][:, columns]
        for v, rows in enumerate((low[0], high[0]))
        for h, columns in enumerate((low[1], high[1]))
    }
    across = part[1][None, :, None]
    above = corner[0, 0] + (corner[0, 1] - corner[0, 0]) * across
    below = corner[1, 0] + (corner[1, 1] - corner[1, 0]) * across
    expected = above + (below - above) * part[0][:, None, None]
    assert torch.equal(tensorflow_bilinear(image)[0].permute(1, 2, 0), expected)
