"""Kept images: reused when whole, drawn again when anything is wrong with them."""

import numpy as np
import pytest

from zoo_core.errors import RunError
from zoo_core.evaluation.image_files import encode_image
from zoo_core.evaluation.image_store import (
    DRAWN,
    ImageStore,
    StoredImages,
    chunk_key,
    chunks_of,
)
from zoo_core.interfaces.prompts import Prompt

PROMPTS = [Prompt(f"p{number}", f"picture {number}") for number in range(7)]
CHUNKS = chunks_of(PROMPTS, 3)


def image(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture
def store(tmp_path):
    """A store with the first two of three chunks."""
    store = ImageStore(tmp_path / "here")
    for chunk in CHUNKS[:2]:
        store.add(chunk, [encode_image(image(int(p.id[1:]))) for p in chunk], {"torch": "2.11"})
    return store


def finished(store: ImageStore) -> list[bool]:
    found = store.finished(CHUNKS)
    return [chunk_key(chunk) in found for chunk in CHUNKS]


def test_chunks_are_in_order_and_the_last_is_shorter():
    assert [[prompt.id for prompt in chunk] for chunk in CHUNKS] == [
        ["p0", "p1", "p2"],
        ["p3", "p4", "p5"],
        ["p6"],
    ]


def test_what_was_added_is_there_and_read_to_the_bit(store):
    assert finished(store) == [True, True, False]
    lines = store.finished(CHUNKS)
    digests = {name: d for line in lines.values() for name, (_, d) in line["images"].items()}
    images = StoredImages(store, digests).read(PROMPTS[:6])
    assert all(np.array_equal(found, image(number)) for number, found in enumerate(images))
    assert all(line["libraries"] == {"torch": "2.11"} for line in lines.values())


def test_a_store_that_was_never_written_has_nothing(tmp_path):
    assert ImageStore(tmp_path / "nowhere").finished(CHUNKS) == {}


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty", "longer"])
def test_a_damaged_image_unfinishes_its_chunk_and_no_other(store, damage):
    path = store.path("p4")
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[:-7])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "longer":
        path.write_bytes(bytes(data) + b"x")
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    assert finished(store) == [True, False, False]


def test_images_whose_line_was_never_written_do_not_count(store):
    path = store.folder / DRAWN
    path.write_bytes(path.read_bytes()[:-9])  # killed in the middle of the second line
    assert finished(store) == [True, False, False]
    store.add(CHUNKS[1], [encode_image(image(n)) for n in (3, 4, 5)], {})
    assert finished(store) == [True, True, False]


def test_other_texts_or_other_neighbours_are_other_chunks(store):
    retold = tuple(Prompt(prompt.id, prompt.text + "!") for prompt in CHUNKS[0])
    assert store.finished([retold]) == {}
    assert store.finished([CHUNKS[0][:2]]) == {}
    assert chunk_key(CHUNKS[0]) != chunk_key(CHUNKS[0][::-1])


def test_an_image_changed_while_in_use_is_noticed(store):
    lines = store.finished(CHUNKS)
    digests = {name: d for line in lines.values() for name, (_, d) in line["images"].items()}
    images = StoredImages(store, digests)
    store.path("p1").write_bytes(encode_image(image(99)))
    with pytest.raises(RunError, match=r"p1\.webp: changed while it was in use"):
        images.read(PROMPTS[:2])
    store.path("p1").unlink()
    with pytest.raises(RunError, match="cannot be read"):
        images.read(PROMPTS[:2])


def test_a_full_disk_is_told_with_the_folder(store, monkeypatch):
    from pathlib import Path

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="images: cannot be written, the disk is full"):
        store.add(CHUNKS[2], [encode_image(image(6))], {})
    monkeypatch.undo()
    assert finished(store) == [True, True, False]
