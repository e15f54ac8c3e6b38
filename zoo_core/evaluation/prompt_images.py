"""Images that belong to prompts: drawn by a run, or somebody's folder."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo_core.errors import ConfigError
from zoo_core.evaluation.image_files import find_images, read_image
from zoo_core.interfaces.prompts import Prompt

_SHOWN = 5


class PromptImages(ABC):
    """One image a prompt, read when asked for."""

    @abstractmethod
    def digest(self, prompt: Prompt) -> str:
        """A hexadecimal digest of the image's file, by which its results are known again."""

    @abstractmethod
    def read(self, prompts: Sequence[Prompt]) -> list[NDArray[np.uint8]]:
        """The images uint8 [H, W, 3] in the prompts' order."""


class FolderByPrompt(PromptImages):
    """The images of a folder, matched by name: the file's stem is the prompt's id.

    known: ids that images may have besides those of `prompts`. Raises `ConfigError` naming prompts
    without an image, images without a prompt, and two images of one prompt.
    """

    def __init__(
        self, folder: Path, prompts: Sequence[Prompt], known: Collection[str] = ()
    ) -> None:
        by_stem: dict[str, list[Path]] = defaultdict(list)
        found = find_images(folder)
        for path in found:
            by_stem[path.stem].append(path)
        for stem, paths in by_stem.items():
            if len(paths) > 1:
                names = " and ".join(path.name for path in paths)
                raise ConfigError(f"{folder}: two images for the prompt '{stem}': {names}.")
        ids = {prompt.id for prompt in prompts} | set(known)
        missing = [prompt.id for prompt in prompts if prompt.id not in by_stem]
        extra = [stem for stem in by_stem if stem not in ids]
        if missing and len(missing) == len(prompts):
            raise ConfigError(
                f"{folder}: no image belongs to any prompt. Images are matched by name: the file of "
                f"prompt '{prompts[0].id}' would be {prompts[0].id}.png; found {found[0].name}."
            )
        if missing:
            raise ConfigError(
                f"{folder}: {_count(missing, 'prompt')} without an image: {_some(missing)}. Add them as "
                "ID.png, or leave these prompts out of the prompt file."
            )
        if extra:
            raise ConfigError(
                f"{folder}: {_count(extra, 'image')} without a prompt: {_some(extra)}. Remove them, or "
                "add their prompts to the prompt file."
            )
        self._paths = {prompt.id: by_stem[prompt.id][0] for prompt in prompts}
        self._digests: dict[str, str] = {}

    def digest(self, prompt: Prompt) -> str:
        if prompt.id not in self._digests:
            try:
                with self._paths[prompt.id].open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()[:24]
            except OSError as error:
                reason = (error.strerror or "").lower()
                raise ConfigError(f"{self._paths[prompt.id]}: cannot be read ({reason}).") from None
            self._digests[prompt.id] = found
        return self._digests[prompt.id]

    def fingerprint(self, prompts: Sequence[Prompt]) -> str:
        """A digest of the images of these prompts."""
        total = hashlib.blake2b(digest_size=8)
        for prompt in sorted(prompts, key=lambda prompt: prompt.id):
            total.update(repr((prompt.id, self.digest(prompt))).encode())
        return total.hexdigest()

    def read(self, prompts: Sequence[Prompt]) -> list[NDArray[np.uint8]]:
        """Raises `ConfigError` naming a file that is no image."""
        return [read_image(self._paths[prompt.id]) for prompt in prompts]


def check_prompts(prompts: Sequence[Prompt], name: str) -> None:
    """Raise `ConfigError` for a set without prompts or with one id twice."""
    if not prompts:
        raise ConfigError(f"The prompt set '{name}' is empty.")
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise ConfigError(f"The prompt set '{name}' has the id '{prompt.id}' twice.")
        seen.add(prompt.id)


def _count(names: Sequence[str], word: str) -> str:
    return f"1 {word}" if len(names) == 1 else f"{len(names)} {word}s"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
