"""COCO's captions: a selection that can be repeated, its images, and what is wrong with a file."""

import json
import random

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from zoo_core.errors import ConfigError
from zoo_prompt_files.coco import build, read_annotations, read_selection, select
from zoo_prompt_files.config import CocoConfig
from zoo_prompt_files.select import main, selection_text

IMAGES = [{"id": 10 * n, "file_name": f"COCO_{n:03d}.jpg", "width": 640} for n in range(40)]
CAPTIONS = [
    {"id": 1000 + 5 * n + k, "image_id": 10 * n, "caption": f"caption {k} of  image {n}.\n"}
    for n in range(40)
    for k in range(5)
]
#: The first six of seed 0.
GOLDEN = [1141, 1174, 1123, 1150, 1059, 1023]


def write(path, images=IMAGES, annotations=CAPTIONS):
    table = {"info": {"year": 2014}, "images": images, "annotations": annotations, "licenses": []}
    path.write_text(json.dumps(table))
    return path


@pytest.fixture
def annotations(tmp_path):
    return write(tmp_path / "captions_val2014.json")


def test_prompts_are_captions_of_different_images(annotations):
    found = build(CocoConfig(path=str(annotations), count=12))
    prompts = found.prompts()
    assert len(prompts) == len(found) == 12
    by_id = {str(caption["id"]): caption for caption in CAPTIONS}
    assert len({by_id[prompt.id]["image_id"] for prompt in prompts}) == 12
    assert len({int(prompt.id) % 5 for prompt in prompts}) > 1  # not always the first caption
    for prompt in prompts:
        assert prompt.text == " ".join(by_id[prompt.id]["caption"].split())
    assert found.references() is None


def test_the_selection_is_a_function_of_the_seed_and_a_prefix_of_a_larger(annotations, tmp_path):
    table = read_annotations(annotations)
    chosen = select(table, 20, seed=0)
    assert select(table, 7, seed=0) == chosen[:7]
    assert select(table, 20, seed=1) != chosen
    shuffled = random.Random(3)
    other = write(
        tmp_path / "other.json",
        shuffled.sample(IMAGES, len(IMAGES)),
        shuffled.sample(CAPTIONS, len(CAPTIONS)),
    )
    assert select(read_annotations(other), 20, seed=0) == chosen


def test_the_selection_stays_the_same_for_good(annotations):
    assert select(read_annotations(annotations), 6, seed=0) == GOLDEN


def test_every_image_is_about_as_likely(annotations):
    table = read_annotations(annotations)
    counts = dict.fromkeys(range(40), 0)
    for seed in range(200):
        for number in select(table, 10, seed):
            counts[(number - 1000) // 5] += 1
    assert min(counts.values()) >= 25
    assert max(counts.values()) <= 80


def test_a_selection_written_down_is_read_back(annotations, tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text(selection_text(annotations, 9, seed=4))
    table = read_annotations(annotations)
    assert read_selection(path, table) == select(table, 9, seed=4)
    by_file = build(CocoConfig(path=str(annotations), selection=str(path)))
    by_seed = build(CocoConfig(path=str(annotations), count=9, seed=4))
    assert by_file.prompts() == by_seed.prompts()
    assert by_file.fingerprint() == by_seed.fingerprint()
    result = CliRunner().invoke(main, [str(annotations), "--count", "9", "--seed", "4"])
    assert result.output == path.read_text()
    assert "# sha256 " in result.output
    failed = CliRunner().invoke(main, [str(tmp_path / "none.json")])
    assert failed.exit_code == 1
    assert "no such file" in failed.output


def test_references_are_the_images_of_the_prompts(annotations, tmp_path):
    folder = tmp_path / "val2014"
    folder.mkdir()
    for number, entry in enumerate(IMAGES):
        size = (8 + number, 8, 3)
        Image.fromarray(np.full(size, number, np.uint8)).save(folder / entry["file_name"])
    found = build(CocoConfig(path=str(annotations), images=str(folder), count=5))
    heights = [image.shape[0] for image in found.references()]
    of_image = [8 + (int(prompt.id) - 1000) // 5 for prompt in found.prompts()]
    assert heights == of_image
    assert len(found.references(2)) == 2
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match=r"COCO_\d+\.jpg: no such image"):
        found.references()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotations": [{"id": 1, "image_id": 5}]}, "not COCO's caption annotations.*caption"),
        ({"annotations": [{"id": 1, "image_id": 99999, "caption": "x"}]}, "image 99999, which is"),
        ({"annotations": CAPTIONS[:1] * 2}, "two annotations have the id 1000"),
        ({"annotations": [{"id": 1, "image_id": 0, "caption": " "}]}, "no caption"),
        ({"images": IMAGES[:1] * 2}, "two images have the id 0"),
        ({"images": [{"id": 0, "file_name": "../../secret.jpg"}]}, "has the file name"),
        ({"images": [{"id": 0, "file_name": "/etc/x.jpg"}]}, "has the file name"),
    ],
)
def test_faults_of_an_annotation_file(tmp_path, change, words):
    path = write(tmp_path / "bad.json", **change)
    with pytest.raises(ConfigError, match=words):
        read_annotations(path)


def test_other_files_are_refused(tmp_path, annotations):
    other = tmp_path / "questions.json"
    other.write_text('[{"id": "drawbench_0"}]')
    with pytest.raises(ConfigError, match="not COCO's caption annotations"):
        read_annotations(other)
    other.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        read_annotations(other)
    with pytest.raises(ConfigError, match=r"40 images .* --set prompts\.count=40"):
        build(CocoConfig(path=str(annotations)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# note\n1000\nten\n", ":3: 'ten' is no annotation id"),
        ("1000\n1001\n1000\n", ":3: the id 1000 is on line 1 too"),
        ("999999\n", ":1: .* has no annotation 999999"),
        ("# nothing\n", "no annotation ids"),
    ],
)
def test_faults_of_a_selection_file(tmp_path, annotations, text, words):
    path = tmp_path / "ids.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_selection(path, read_annotations(annotations))
