"""The ground truth of the small world's prompts, as real images to compare with."""

import numpy as np
import pytest

from zoo_shapes.components import ShapesPrompts
from zoo_shapes.config import ShapesPromptsConfig
from zoo_shapes.render import render


def prompts(**settings) -> ShapesPrompts:
    return ShapesPrompts(ShapesPromptsConfig(count=12, **settings))


@pytest.mark.parametrize("resolution", [64, 128])
def test_they_are_the_prompts_own_scenes_in_order(resolution):
    source = prompts(resolution=resolution)
    images = list(source.references())
    assert len(source.references()) == len(images) == len(source) == 12
    for index, image in enumerate(images):
        assert image.dtype == np.uint8
        assert image.shape == (resolution, resolution, 3)
        assert np.array_equal(image, render(source.scene(index), resolution))


def test_a_limit_takes_the_first_and_no_more_than_there_are():
    source = prompts()
    few = list(source.references(3))
    assert len(few) == len(source.references(3)) == 3
    assert np.array_equal(few[2], list(source.references())[2])
    assert len(source.references(99)) == 12


def test_the_fingerprint_tells_sets_apart():
    source = prompts()
    found = [
        source.references().fingerprint(),
        source.references(11).fingerprint(),
        prompts(resolution=128).references().fingerprint(),
        prompts(seed=1).references().fingerprint(),
        prompts(split="composition").references().fingerprint(),
    ]
    assert len(set(found)) == len(found)
    assert prompts().references().fingerprint() == found[0]


def test_the_prompts_do_not_depend_on_the_references_size():
    assert prompts(resolution=128).fingerprint() == prompts().fingerprint()
