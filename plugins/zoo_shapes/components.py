"""The small world behind the core's interfaces: dataset, prompt sets, question answering."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import metadata

import numpy as np

from zoo_core.interfaces.dataset import Caption, Dataset, Sample
from zoo_core.interfaces.images import ImageSource
from zoo_core.interfaces.prompts import Prompt, PromptSet, Question
from zoo_core.interfaces.vqa import VQA
from zoo_shapes import captions as writing
from zoo_shapes import reader
from zoo_shapes.config import ShapesConfig, ShapesPromptsConfig, ShapesReaderConfig
from zoo_shapes.dependencies import parents
from zoo_shapes.questions import questions
from zoo_shapes.render import render
from zoo_shapes.scene import Scene, draw
from zoo_shapes.world import SIZE, WORLDS

_FIRST = 16  # scenes whose pixels and captions stand for all in a fingerprint


class ShapesDataset(Dataset):
    """Training scenes as images uint8 [R, R, 3] with one alt text and five synthetic captions."""

    def __init__(self, config: ShapesConfig) -> None:
        self.config = config
        self.world = WORLDS[config.world]

    def __len__(self) -> int:
        return self.config.samples

    def __getitem__(self, index: int) -> Sample:
        scene = self._scene(index)
        image = render(scene, self.config.resolution)
        return Sample(f"shapes-{index:06d}", image, self._captions(scene, index))

    def captions(self, index: int) -> tuple[Caption, ...]:
        return self._captions(self._scene(index), index)

    def fingerprint(self) -> str:
        """Of the settings and of the first scenes as rendered and captioned by this version."""
        total = hashlib.blake2b(repr(self.config).encode(), digest_size=16)
        for index in range(min(_FIRST, len(self))):
            sample = self[index]
            assert sample.image is not None
            total.update(sample.image.tobytes())
            total.update(repr(sample.captions).encode())
        return total.hexdigest()

    def _scene(self, index: int) -> Scene:
        if not 0 <= index < len(self):
            raise IndexError(f"the shapes dataset has samples 0 to {len(self) - 1}, not {index}")
        return draw(self.world, self.config.seed, "train", index)

    def _captions(self, scene: Scene, index: int) -> tuple[Caption, ...]:
        return tuple(
            Caption(item.text, "alt" if item.source == "alt" else "synthetic", item.confidence)
            for item in writing.captions(scene, index, self.config.seed)
        )


class ShapesPrompts(PromptSet):
    """Scenes that no training index draws, each with its complete caption and its questions."""

    def __init__(self, config: ShapesPromptsConfig) -> None:
        self.config = config
        self.world = WORLDS[config.world]

    def __len__(self) -> int:
        return self.config.count

    def scene(self, index: int) -> Scene:
        """The scene that prompt `index` describes, for ground-truth renders."""
        return draw(self.world, self.config.seed, self.config.split, index)

    @lru_cache(maxsize=8)  # noqa: B019 - a prompt set lives as long as its process
    def prompts(self, limit: int | None = None) -> Sequence[Prompt]:
        count = len(self) if limit is None else min(limit, len(self))
        return tuple(self._prompt(index) for index in range(count))

    def fingerprint(self) -> str:
        total = hashlib.blake2b(digest_size=16)
        for prompt in self.prompts():
            total.update(repr(prompt).encode())
        return total.hexdigest()

    def references(self, limit: int | None = None) -> ShapesRenders:
        """The ground truth: the prompts' own scenes, rendered."""
        count = len(self) if limit is None else min(limit, len(self))
        scenes = [self.scene(index) for index in range(count)]
        return ShapesRenders(scenes, self.config.resolution)

    def _prompt(self, index: int) -> Prompt:
        scene = self.scene(index)
        name = f"{self.config.world}-{self.config.split}-{index:05d}"
        items = questions(scene, name, self.world)
        asked = tuple(
            Question(
                question=item["question"],
                choices=tuple(item["choices"]),
                answer=item["answer"],
                element_type=item["element_type"],
                element=item["element"],
                parents=presupposed,
            )
            for item, presupposed in zip(items, parents(items), strict=True)
        )
        return Prompt(name, writing.prompt(scene), asked)


class ShapesRenders(ImageSource):
    """Scenes as images uint8 [R, R, 3], rendered when asked for."""

    def __init__(self, scenes: Sequence[Scene], resolution: int) -> None:
        self._scenes = tuple(scenes)
        self._resolution = resolution

    def __len__(self) -> int:
        return len(self._scenes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (render(scene, self._resolution) for scene in self._scenes)

    def fingerprint(self) -> str:
        """Of all scenes and of the first ones as this version renders them."""
        total = hashlib.blake2b(repr((self._scenes, self._resolution)).encode(), digest_size=16)
        for scene in self._scenes[:_FIRST]:
            total.update(render(scene, self._resolution).tobytes())
        return total.hexdigest()


class ShapesReader(VQA):
    """Answers by reading the scene: analysis by synthesis, no learned weights."""

    def __init__(self, config: ShapesReaderConfig) -> None:
        self.config = config
        self.world = WORLDS[config.world]

    def answer(self, image: np.ndarray, questions: Sequence[Question]) -> list[str]:
        view = reader.read(_at_native_size(image), self.world)
        return [reader.answer(item.question, item.choices, view) for item in questions]

    def fingerprint(self) -> str:
        version = metadata.version("t2i-backbone-zoo")
        return json.dumps({"reader": version, "world": self.config.world})


def _at_native_size(image: np.ndarray) -> np.ndarray:
    """Images of a whole multiple of the world's size, averaged down to it; uint8 [64, 64, 3]."""
    factor, rest = divmod(image.shape[0], SIZE)
    if rest or image.shape[0] != image.shape[1] or factor < 1:
        raise ValueError(
            f"the shapes reader reads square images of {SIZE}, {2 * SIZE}, ... pixels, not "
            f"{image.shape[1]} x {image.shape[0]}; set data.resolution to a multiple of {SIZE}"
        )
    if factor == 1:
        return image
    blocks = image.reshape(SIZE, factor, SIZE, factor, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)
