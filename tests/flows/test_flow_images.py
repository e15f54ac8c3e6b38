"""Scoring a folder of images with prompts, without any run."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from zoo_core.cli.main import cli
from zoo_core.errors import ConfigError
from zoo_core.interfaces.reporter import Reporter
from zoo_core.workflow.score_images import score_images
from zoo_shapes.components import ShapesPrompts
from zoo_shapes.config import ShapesPromptsConfig

READER = ["metric.tifa.vqa=shapes-reader"]
COUNT = 6


@pytest.fixture
def world(tmp_path):
    """A folder of ground-truth images and a file of their prompts with questions."""
    source = ShapesPrompts(ShapesPromptsConfig())
    prompts = source.prompts(COUNT)
    folder = tmp_path / "images"
    folder.mkdir()
    lines = []
    for prompt, image in zip(prompts, source.references(COUNT), strict=True):
        Image.fromarray(image).save(folder / f"{prompt.id}.png")
        questions = [
            {
                "question": q.question,
                "choices": q.choices,
                "answer": q.answer,
                "element_type": q.element_type,
                "element": q.element,
            }
            for q in prompt.questions
        ]
        lines.append({"id": prompt.id, "text": prompt.text, "questions": questions})
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def score(catalog, world, *metrics, **options):
    options = {"assignments": READER, **options}
    prompts = options.pop("prompts", str(world / "prompts.jsonl"))
    return score_images(
        catalog, world / "images", prompts, metrics or ("tifa",), Reporter(), **options
    )


def zoo(*words: object, code: int = 0):
    result = CliRunner().invoke(cli, ["eval", *map(str, words)], prog_name="zoo")
    assert result.exit_code == code, (result.exit_code, result.output)
    assert "Traceback" not in result.output
    return result


def test_ground_truth_scores_one(catalog, world):
    (row,) = score(catalog, world)
    assert (row["metric"], row["value"], row["count"]) == ("tifa[shapes-reader]", 1.0, COUNT)
    assert row["table"] is None
    assert row["ingredients"]["drawing"] == {"images": "given"}
    assert row["ingredients"]["prompts"]["count"] == COUNT
    (row,) = score(catalog, world, limit=2)
    assert row["count"] == 2


def test_the_score_depends_on_the_images(catalog, world):
    (before,) = score(catalog, world)
    names = sorted(path.name for path in (world / "images").iterdir())
    shifted = [(world / "images" / name).read_bytes() for name in names[1:] + names[:1]]
    for name, data in zip(names, shifted, strict=True):
        (world / "images" / name).write_bytes(data)
    (after,) = score(catalog, world)
    assert after["value"] < before["value"]
    assert after["images_hash"] != before["images_hash"]
    assert after["protocol"] == before["protocol"]


def test_with_a_folder_for_results_no_image_is_scored_twice(catalog, world, monkeypatch):
    from zoo_tifa import metric

    out = world / "out"
    (first,) = score(catalog, world, output=out)
    assert (out / first["table"]).is_file()

    def never(*_):
        pytest.fail("scored again")

    monkeypatch.setattr(metric.TIFA, "score_images", never)
    assert score(catalog, world, output=out) == [first]
    assert len((out / "scores.jsonl").read_text().splitlines()) == 1
    monkeypatch.undo()
    path = next((world / "images").iterdir())
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    (other,) = score(catalog, world, output=out)
    assert other["value"] < 1


def test_the_command(world):
    words = ["--images", world / "images", "--prompts", world / "prompts.jsonl", "--metric", "tifa"]
    result = zoo(*words, "--set", READER[0])
    assert [line.split() for line in result.stdout.splitlines()][1][:2] == [
        "tifa[shapes-reader]",
        "1.0000",
    ]
    (row,) = json.loads(zoo(*words, "--set", READER[0], "--json").stdout)
    assert row["value"] == 1.0


def _spoil(world, how: str) -> None:
    folder = world / "images"
    path = sorted(folder.iterdir())[1]
    prompts = world / "prompts.jsonl"
    lines = prompts.read_text().splitlines()
    if how == "cut":
        path.write_bytes(path.read_bytes()[:90])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("no picture")
    elif how == "no image":
        path.unlink()
    elif how == "no prompt":
        (folder / "stranger.png").write_bytes(path.read_bytes())
    elif how == "two images":
        (folder / f"{path.stem}.webp").write_bytes(path.read_bytes())
    elif how == "twice":
        prompts.write_text("\n".join([*lines, lines[0]]))
    elif how == "no questions":
        bare = [{k: v for k, v in json.loads(line).items() if k != "questions"} for line in lines]
        prompts.write_text("\n".join(map(json.dumps, bare)))
    elif how == "no images":
        for file in folder.iterdir():
            file.unlink()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut", "simple-heldout-00001.png: damaged image"),
        ("empty", "simple-heldout-00001.png: empty file"),
        ("text", "simple-heldout-00001.png: not an image"),
        ("no image", "1 prompt without an image: simple-heldout-00001"),
        ("no prompt", "1 image without a prompt: stranger"),
        ("two images", "two images for the prompt 'simple-heldout-00001'"),
        ("twice", "prompts.jsonl:7: the id 'simple-heldout-00000' is that of line 1 too"),
        ("no questions", "asks questions about images"),
        ("no images", "no images in it"),
    ],
)
def test_bad_input_ends_in_one_sentence(world, how, words):
    _spoil(world, how)
    options = ["--images", world / "images", "--prompts", world / "prompts.jsonl"]
    result = zoo(*options, "--metric", "tifa", "--set", READER[0], code=2)
    sentences = [line for line in result.stderr.splitlines() if line.startswith("zoo: ")]
    assert len(sentences) == 1
    assert words in sentences[0]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Name a run's folder"),
        (["runs/x", "--images", "i"], "not both"),
        (["--images", "i", "--metric", "tifa"], "--images needs --prompts"),
        (["--images", "i", "--prompts", "p.txt"], "--images needs --metric"),
        (["--images", "i", "--prompts", "p", "--metric", "m", "--checkpoint", "4"], "about runs"),
        (["--images", "i", "--prompts", "p.txt", "--metric", "tifa"], "neither a file nor"),
        (["runs/x", "--checkpoint", "last"], "neither a step nor 'all'"),
        (["runs/x", "--weights", "other"], "'other' is not one of"),
    ],
)
def test_wrong_words(options, words):
    assert words in zoo(*options, code=2).stderr


def test_settings_are_those_of_the_metrics_asked_for(catalog, world):
    with pytest.raises(ConfigError, match="'clip' is not among the metrics asked for"):
        score(catalog, world, assignments=["metric.clip.model=x"])
    with pytest.raises(ConfigError, match=r"there are prompts\.KEY and metric\.NAME\.KEY"):
        score(catalog, world, assignments=["sampling.steps=3"])
    with pytest.raises(ConfigError, match="'nobody'"):
        score(catalog, world, assignments=["metric.tifa.vqa=nobody"])
    with pytest.raises(ConfigError, match="Did you mean 'tifa"):
        score(catalog, world, "tiffa", assignments=[])
    with pytest.raises(ConfigError, match="No metric"):
        score_images(catalog, world / "images", "x", (), Reporter())


def test_a_metric_that_compares_needs_real_images(catalog, world, make_comparing):
    with pytest.raises(ConfigError, match=r"compares with real images.*--reference DIR"):
        score(catalog, world, make_comparing, assignments=[])
    (row,) = score(catalog, world, make_comparing, assignments=[], reference=world / "images")
    assert row["value"] == COUNT
    assert len(row["ingredients"]["references"]) == 32
    first = next((world / "images").iterdir())
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(world / "other.png")
    other = world / "references"
    other.mkdir()
    (other / "one.png").write_bytes(first.read_bytes())
    (changed,) = score(catalog, world, make_comparing, assignments=[], reference=other)
    assert changed["value"] == 1
    assert changed["protocol"] != row["protocol"]


@pytest.fixture
def make_comparing(catalog, monkeypatch):
    """A metric that counts its real images, under a name of its own."""
    from zoo_core.interfaces.metric import Metric, Score

    class Counting(Metric):
        name = "counting"
        needs = frozenset({"references"})

        def use_references(self, references):
            self.count = sum(1 for _ in references)

        def score_images(self, prompts, images):
            return [{"prompt": prompt.id} for prompt in prompts]

        def summarize(self, rows):
            return Score("counting", float(self.count), None, len(rows))

        def protocol(self):
            return {"variant": "1"}

    from zoo_core.workflow import score_images as module

    real = module.build_named

    def build(catalog, kind, name, settings=None):
        return Counting() if name == "counting" else real(catalog, kind, name, settings)

    monkeypatch.setattr(module, "build_named", build)
    return "counting"
