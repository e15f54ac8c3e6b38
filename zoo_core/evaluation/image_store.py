"""Generated images on the disk: whole or not there, checked before use, drawn once.

A store is a folder of an evaluation::

    drawn.jsonl     a line for every finished chunk: its key, and of each image prompt, size and hash
    images/         one lossless file a prompt, named by the prompt's id

A chunk is a fixed list of prompts that are drawn together, since the last bits of an image depend on
the shape of the batch it was drawn in. Files are renamed into place before their line is written; a
line whose files are missing, cut off or changed counts as if it were not there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core.errors import RunError
from zoo_core.evaluation.image_files import KEPT_SUFFIX, decode_image, file_stem
from zoo_core.evaluation.prompt_images import PromptImages
from zoo_core.interfaces.prompts import Prompt
from zoo_core.runs.durable import TEMPORARY, cannot_write
from zoo_core.runs.logs import LogWriter, read_log

DRAWN = "drawn.jsonl"
IMAGES = "images"

Chunk = tuple[Prompt, ...]


def chunks_of(prompts: Sequence[Prompt], size: int) -> list[Chunk]:
    """The prompts in order, `size` at a time, the last chunk shorter."""
    return [tuple(prompts[start : start + size]) for start in range(0, len(prompts), size)]


def chunk_key(chunk: Chunk) -> str:
    """A digest of the prompts drawn together: ids and texts, in order."""
    total = hashlib.blake2b(digest_size=12)
    for prompt in chunk:
        total.update(repr((prompt.id, prompt.text)).encode())
    return total.hexdigest()


def digest_of(data: bytes) -> str:
    """The hash by which a file is known again."""
    return hashlib.blake2b(data, digest_size=12).hexdigest()


class ImageStore:
    """The images of one checkpoint under one drawing protocol. One process writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finished(self, chunks: Sequence[Chunk]) -> dict[str, dict[str, Any]]:
        """Of the chunks given, those that are there whole, as their lines by key. Reads every file."""
        wanted = {chunk_key(chunk) for chunk in chunks}
        lines = {row["chunk"]: row for row in read_log(self.folder / DRAWN).rows}
        return {key: line for key, line in lines.items() if key in wanted and self._is_whole(line)}

    def add(
        self, chunk: Chunk, encoded: Sequence[bytes], libraries: Mapping[str, str]
    ) -> dict[str, Any]:
        """Keep a chunk's images (contents of files, in the prompts' order); returns its line.

        libraries: versions of what drew them. Raises `RunError` when the disk is full or the like.
        """
        assert len(chunk) == len(encoded), "one image a prompt"
        folder = self.folder / IMAGES
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for prompt, data in zip(chunk, encoded, strict=True):
                path = self.path(prompt.id)
                temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
                # Not synced one by one: after a power cut the hash tells, and the image is drawn again.
                temporary.write_bytes(data)
                temporary.replace(path)
        except OSError as error:
            raise RunError(cannot_write(folder, error)) from None
        line = {
            "chunk": chunk_key(chunk),
            "libraries": dict(libraries),
            "images": {
                prompt.id: [len(data), digest_of(data)]
                for prompt, data in zip(chunk, encoded, strict=True)
            },
        }
        with LogWriter(self.folder / DRAWN, attempt=1) as log:
            log.append(line)
        return line

    def path(self, prompt_id: str) -> Path:
        """The file of a prompt's image."""
        return self.folder / IMAGES / f"{file_stem(prompt_id)}{KEPT_SUFFIX}"

    def _is_whole(self, line: Mapping[str, Any]) -> bool:
        for prompt_id, (size, digest) in line["images"].items():
            try:
                data = self.path(prompt_id).read_bytes()
            except FileNotFoundError:
                return False
            if len(data) != size or digest_of(data) != digest:
                return False
        return True


class StoredImages(PromptImages):
    """Images of a store by prompt, for reading in any process that sees the folder.

    digests: of each image's file, by prompt id.
    """

    def __init__(self, store: ImageStore, digests: Mapping[str, str]) -> None:
        self._store = store
        self._digests = digests

    def digest(self, prompt: Prompt) -> str:
        return self._digests[prompt.id]

    def read(self, prompts: Sequence[Prompt]) -> list[NDArray[np.uint8]]:
        """Raises `RunError` for an image that was changed since it was looked at."""
        images = []
        for prompt in prompts:
            path = self._store.path(prompt.id)
            try:
                data = path.read_bytes()
            except OSError as error:
                raise RunError(
                    f"{path}: cannot be read ({(error.strerror or '').lower()}). Run again to draw it anew."
                ) from None
            if digest_of(data) != self._digests[prompt.id]:
                raise RunError(f"{path}: changed while it was in use. Run again to draw it anew.")
            images.append(decode_image(data, str(path)))
        return images
