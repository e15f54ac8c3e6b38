"""A folder of images matched with prompts, and every way in which they do not match."""

import numpy as np
import pytest
from PIL import Image

from zoo_core.errors import ConfigError
from zoo_core.evaluation.prompt_images import FolderByPrompt, check_prompts
from zoo_core.interfaces.prompts import Prompt

PROMPTS = [Prompt(name, f"picture of {name}") for name in ("b", "a", "c")]


def save(folder, *names: str) -> None:
    for number, name in enumerate(names):
        Image.fromarray(np.full((4, 4 + number, 3), 9 * number, np.uint8)).save(folder / name)


def test_images_come_in_the_prompts_order(tmp_path):
    save(tmp_path, "a.png", "b.webp", "c.bmp")
    found = FolderByPrompt(tmp_path, PROMPTS)
    assert [image.shape[1] for image in found.read(PROMPTS)] == [5, 4, 6]
    assert found.digest(PROMPTS[0]) != found.digest(PROMPTS[1])
    assert found.fingerprint(PROMPTS) == found.fingerprint(PROMPTS[::-1])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["a.png", "b.png"], "1 prompt without an image: c"),
        (["a.png"], "2 prompts without an image: b, c"),
        (["a.png", "b.png", "c.png", "d.png"], "1 image without a prompt: d"),
        (["a.png", "b.png", "c.png", "c.jpg"], "two images for the prompt 'c': c.jpg and c.png"),
        (["1.png", "2.png"], "no image belongs to any prompt.*b.png; found 1.png"),
    ],
)
def test_what_does_not_match_is_named(tmp_path, files, words):
    save(tmp_path, *files)
    with pytest.raises(ConfigError, match=words):
        FolderByPrompt(tmp_path, PROMPTS)


def test_images_of_prompts_beyond_the_limit_are_no_strangers(tmp_path):
    save(tmp_path, "a.png", "b.png", "c.png")
    FolderByPrompt(tmp_path, PROMPTS[:1], known={"a", "b", "c"})
    with pytest.raises(ConfigError, match="without a prompt"):
        FolderByPrompt(tmp_path, PROMPTS[:1])


def test_a_long_list_is_cut(tmp_path):
    save(tmp_path, "x0.png")
    prompts = [Prompt(f"x{number}", "x") for number in range(9)]
    with pytest.raises(ConfigError, match=r"8 prompts .* x1, x2, x3, x4, x5 and 3 more"):
        FolderByPrompt(tmp_path, prompts)


def test_ids_are_unique_and_there_are_some():
    with pytest.raises(ConfigError, match="'mine' has the id 'a' twice"):
        check_prompts([*PROMPTS, Prompt("a", "again")], "mine")
    with pytest.raises(ConfigError, match="'mine' is empty"):
        check_prompts([], "mine")
