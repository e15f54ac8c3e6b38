"""The reader: ground truth, damage, controls near chance, and images that are no scenes."""

from __future__ import annotations

import numpy as np
import pytest

from zoo_shapes.measure import (
    accuracy,
    alignment,
    blank_images,
    blurred,
    noise_images,
    read_all,
    scenes_with_questions,
    with_noise,
)
from zoo_shapes.questions import chance_level
from zoo_shapes.reader import ask, read, score
from zoo_shapes.render import render
from zoo_shapes.scene import Scene, Thing
from zoo_shapes.world import (
    BACKGROUNDS,
    COLOURS,
    DEFAULT,
    HARD,
    SHAPES,
    SIMPLE,
    SIZES,
    WIDE,
    WorldConfig,
)

SCENES = 250
TRUE, IMAGES, ASKED = scenes_with_questions(DEFAULT, "heldout", SCENES)


@pytest.mark.parametrize("split", ["train", "heldout", "composition"])
@pytest.mark.parametrize("world", [SIMPLE, DEFAULT], ids=lambda world: world.name)
def test_ground_truth_renders_score_almost_one(world: WorldConfig, split: str) -> None:
    scenes, images, asked = scenes_with_questions(world, split, SCENES)
    views = read_all(images)  # the default world's reader knows the simple world's names too
    assert alignment(asked, views) >= 0.99
    assert min(accuracy(scenes, views).values()) >= 0.99


def test_ground_truth_of_the_hard_world_scores_almost_one() -> None:
    scenes, images, asked = scenes_with_questions(HARD, "heldout", SCENES)
    views = read_all(images, HARD)
    assert alignment(asked, views) >= 0.99
    assert min(accuracy(scenes, views).values()) >= 0.98


@pytest.mark.parametrize(
    "damaged",
    [
        lambda images: with_noise(images, 0.05),
        lambda images: with_noise(images, 0.1),
        lambda images: blurred(images, 1.0),
        lambda images: with_noise(blurred(images, 1.0), 0.05),
        lambda images: np.clip(images * 0.9 + 12.0, 0, 255).astype(np.uint8),
    ],
    ids=["noise 0.05", "noise 0.1", "blur 1", "blur 1, noise 0.05", "less contrast"],
)
def test_damage_is_survived(damaged) -> None:
    views = read_all(damaged(IMAGES))
    assert alignment(ASKED, views) >= 0.98
    assert min(accuracy(TRUE, views).values()) >= 0.97


@pytest.mark.parametrize("world", [SIMPLE, DEFAULT, HARD], ids=lambda world: world.name)
def test_blank_noise_and_shuffled_score_near_chance(world: WorldConfig) -> None:
    _, images, asked = scenes_with_questions(world, "heldout", SCENES)
    chance = chance_level([question for some in asked for question in some])
    assert chance <= 0.40
    shuffled = [*asked[7:], *asked[:7]]
    for scored in (
        alignment(asked, read_all(blank_images(SCENES), world)),
        alignment(asked, read_all(noise_images(SCENES), world)),
        alignment(shuffled, read_all(images, world)),
    ):
        assert 0.15 < scored <= chance + 0.05


def test_always_the_first_choice_scores_near_chance() -> None:
    """With yes/no questions, that is always yes."""
    every = [question for some in ASKED for question in some]
    first = sum(question["choices"][0] == question["answer"] for question in every) / len(every)
    assert first == pytest.approx(chance_level(every), abs=0.03)


def test_what_is_no_scene_is_read_without_things() -> None:
    for image in (*blank_images(8), *noise_images(8)):
        assert read(image).things == ()
    rng = np.random.default_rng(0)
    blobs = rng.normal(0, 1, (20, 4, 4, 3)).repeat(16, 1).repeat(16, 2) * 80 + 128
    for image in np.clip(blobs, 0, 255).astype(np.uint8):
        assert len(read(image).things) <= 16  # whatever it finds, it does not fail


def test_position_is_read_within_half_a_pixel() -> None:
    for scene, view in zip(TRUE, read_all(IMAGES), strict=True):
        for thing in scene.things:
            away = min(np.hypot(seen.x - thing.x, seen.y - thing.y) for seen in view.things)
            assert away < 0.75


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_read_anywhere_in_both_sizes_and_all_colours(shape: str) -> None:
    rng = np.random.default_rng(SHAPES.index(shape))
    for size, radius in SIZES.items():
        for colour in COLOURS:
            x, y = rng.uniform(radius + 1, 63 - radius, 2).tolist()
            thing = Thing(shape, colour, size, "solid", x, y, radius)
            (seen,) = read(render(Scene("single", (thing,), "gray")), WIDE).things
            assert (seen.shape, seen.size, seen.colour) == (shape, size, colour)


def test_things_that_touch_are_told_apart() -> None:
    """Generated images have them, though no scene does."""
    things = (
        Thing("circle", "red", "large", "solid", 20.0, 32.0, 12.0),
        Thing("circle", "red", "large", "solid", 43.5, 32.0, 12.0),
    )
    assert len(read(render(Scene("count", things, "white"))).things) == 2


def test_ask_and_score_agree() -> None:
    image, some = IMAGES[0], ASKED[0]
    right = [ask(question, image) == question["answer"] for question in some]
    assert score(some, read(image)) == sum(right) / len(right)
    with pytest.raises(ValueError, match="this one is empty"):
        score([], read(image))


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"float64 \[64, 64, 3\]; it reads uint8"):
        read(IMAGES[0].astype(np.float64))
    with pytest.raises(ValueError, match=r"uint8 \[32, 64, 3\]; it reads uint8"):
        read(IMAGES[0][:32])


def test_background_is_read_behind_things_at_the_border() -> None:
    thing = Thing("square", "red", "large", "solid", 10.0, 10.0, 12.0)
    for name in ("white", "gray", "black"):
        assert read(render(Scene("single", (thing,), name))).background == name
    assert set(DEFAULT.backgrounds) < set(BACKGROUNDS)
