"""Seeded weights and pictures are the same everywhere, or recorded references would mean nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from zoo_core.testing.seeded import seeded_picture, seeded_state, seeded_tensor


def digest(array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_the_bits_are_the_recorded_ones():
    assert digest(seeded_tensor("visual.conv1.weight", (5, 3, 2, 2)).numpy()) == "c5d8e0fac874ee76"
    assert digest(seeded_picture(7, 5, seed=3)) == "b9ad59e1f5952d1e"


@pytest.mark.parametrize(
    ("name", "shape", "mean", "deviation"),
    [
        ("a.mlp.c_fc.weight", (300, 100), 0, 0.1),
        ("visual.proj", (400, 100), 0, 0.05),
        ("visual.conv1.weight", (64, 3, 10, 10), 0, 300**-0.5),
        ("a.attn.in_proj_bias", (20000,), 0, 0.1),
        ("a.ln_1.weight", (20000,), 1, 0.1),
        ("token_embedding.weight", (1000, 30), 0, 0.5),
        ("positional_embedding", (200, 100), 0, 0.5),
    ],
)
def test_the_scale_follows_from_the_name(name, shape, mean, deviation):
    values = seeded_tensor(name, shape)
    assert values.shape == shape
    assert values.mean() == pytest.approx(mean, abs=0.05 * deviation)
    assert values.std() == pytest.approx(deviation, rel=0.03)


def test_names_give_different_values_and_scalars_work():
    state = seeded_state({"a.weight": (4, 4), "b.weight": (4, 4), "logit_scale": ()})
    assert not torch.equal(state["a.weight"], state["b.weight"])
    assert state["logit_scale"].shape == ()


def test_half_precision_is_the_rounding_of_the_same_values():
    shapes = {"a.weight": (16, 16)}
    assert torch.equal(
        seeded_state(shapes, half=True)["a.weight"], seeded_state(shapes)["a.weight"].half()
    )
    assert not torch.equal(
        seeded_state(shapes)["a.weight"].half().float(), seeded_state(shapes)["a.weight"]
    )


def test_pictures_use_the_whole_range_and_differ_by_seed():
    picture = seeded_picture(64, 96, seed=1)
    assert (picture.shape, picture.dtype) == ((64, 96, 3), np.uint8)
    assert picture.min() < 20
    assert picture.max() > 220
    assert (picture != seeded_picture(64, 96, seed=2)).mean() > 0.5
