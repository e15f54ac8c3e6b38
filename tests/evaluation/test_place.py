"""Where an evaluation is kept, and which images go when."""

import json

import pytest

from zoo_core.evaluation.image_store import IMAGES
from zoo_core.evaluation.place import ABOUT, Place

DRAWING = {"sampling": {"guidance": 4.0}}
PROMPTS = {"set": "a", "hash": "1"}


def fill(place: Place, drawing=DRAWING, prompts=PROMPTS, chunk: int = 8):
    folder = place.open(drawing, prompts, chunk)
    (folder / IMAGES).mkdir(exist_ok=True)
    (folder / IMAGES / "p.webp").write_bytes(b"x")
    (folder / "tables").mkdir(exist_ok=True)
    return folder


def has_images(folder) -> bool:
    return (folder / IMAGES / "p.webp").exists()


def test_the_folder_depends_on_everything_images_depend_on(tmp_path):
    folders = [
        Place(tmp_path, 400, "w1").open(DRAWING, PROMPTS, 8),
        Place(tmp_path, 800, "w1").open(DRAWING, PROMPTS, 8),
        Place(tmp_path, 400, "w2").open(DRAWING, PROMPTS, 8),
        Place(tmp_path, 400, "w1").open({"sampling": {"guidance": 7.5}}, PROMPTS, 8),
        Place(tmp_path, 400, "w1").open(DRAWING, {"set": "a", "hash": "2"}, 8),
        Place(tmp_path, 400, "w1").open(DRAWING, PROMPTS, 4),
    ]
    assert len(set(folders)) == len(folders)
    assert Place(tmp_path, 400, "w1").open(DRAWING, PROMPTS, 8) == folders[0]
    about = json.loads((folders[0] / ABOUT).read_text())
    assert (about["step"], about["weights_hash"], about["drawing"]) == (400, "w1", DRAWING)


@pytest.mark.parametrize(("keep", "stays"), [("newest", False), ("all", True)])
def test_a_milestones_images_go_with_the_next(tmp_path, keep, stays):
    first = fill(Place(tmp_path, 400, "w1", milestone=True))
    later = Place(tmp_path, 800, "w2", milestone=True)
    second = fill(later)
    removed = later.retire_others(second, keep)
    assert has_images(first) is stays
    assert has_images(second)
    assert (first / "tables").is_dir()
    assert removed == ([] if stays else [first])


def test_images_that_a_person_asked_for_stay(tmp_path):
    asked = fill(Place(tmp_path, 200, "w0"))
    adopted = fill(Place(tmp_path, 400, "w1", milestone=True))
    assert Place(tmp_path, 400, "w1").open(DRAWING, PROMPTS, 8) == adopted
    # Training coming by again does not take them back.
    assert Place(tmp_path, 400, "w1", milestone=True).open(DRAWING, PROMPTS, 8) == adopted
    later = Place(tmp_path, 800, "w2", milestone=True)
    later.retire_others(fill(later), "newest")
    assert has_images(asked)
    assert has_images(adopted)


@pytest.mark.parametrize("milestone", [True, False])
def test_images_of_superseded_weights_go_in_any_case(tmp_path, milestone):
    old = fill(Place(tmp_path, 400, "before", milestone=milestone))
    now = Place(tmp_path, 400, "after", milestone=True)
    now.retire_others(fill(now), "all")
    assert not has_images(old)


def test_folders_of_others_are_left_alone(tmp_path):
    stranger = tmp_path / "evaluations" / "step-mine"
    (stranger / IMAGES).mkdir(parents=True)
    (stranger / IMAGES / "p.webp").write_bytes(b"x")
    place = Place(tmp_path, 400, "w", milestone=True)
    place.retire_others(fill(place), "newest")
    assert has_images(stranger)
