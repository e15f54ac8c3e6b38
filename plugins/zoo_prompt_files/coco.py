"""COCO's captions (Lin et al. 2014, Chen et al. 2015): a selection that anybody can repeat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from zoo_core.errors import ConfigError
from zoo_core.evaluation.image_files import FolderImages
from zoo_core.interfaces.images import ImageSource
from zoo_core.interfaces.prompts import Prompt, PromptSet
from zoo_core.stream.bits import bits, integers
from zoo_prompt_files.config import CocoConfig
from zoo_prompt_files.lines import fingerprint, numbered_lines, read_bytes

_IMAGE = "coco-image"
_CAPTION = "coco-caption"


class _Image(msgspec.Struct, frozen=True):
    id: int
    file_name: str


class _Annotation(msgspec.Struct, frozen=True):
    id: int
    image_id: int
    caption: str


class _File(msgspec.Struct, frozen=True):
    images: list[_Image]
    annotations: list[_Annotation]


@dataclass(frozen=True)
class Annotations:
    """An annotation file: file names of images, and annotations, each by id."""

    path: Path
    images: Mapping[int, str]
    captions: Mapping[int, _Annotation]


def build(config: CocoConfig) -> CocoCaptions:
    """The selected captions. Raises `ConfigError` naming the file and what is wrong in it."""
    annotations = read_annotations(Path(config.path).expanduser())
    if config.selection:
        ids = read_selection(Path(config.selection).expanduser(), annotations)
    else:
        ids = select(annotations, config.count, config.seed)
    folder = Path(config.images).expanduser() if config.images else None
    return CocoCaptions(annotations, ids, folder)


class CocoCaptions(PromptSet):
    """Captions as prompts; a prompt's id is its annotation's, its image the real one to compare with."""

    def __init__(self, annotations: Annotations, ids: Sequence[int], folder: Path | None) -> None:
        self._annotations = annotations
        self._ids = tuple(ids)
        self._folder = folder
        # Some captions end with line breaks or hold double blanks.
        self._prompts = tuple(
            Prompt(str(number), " ".join(annotations.captions[number].caption.split()))
            for number in self._ids
        )

    def __len__(self) -> int:
        return len(self._prompts)

    def prompts(self, limit: int | None = None) -> Sequence[Prompt]:
        return self._prompts[:limit]

    def fingerprint(self) -> str:
        return fingerprint(self._prompts)

    def references(self, limit: int | None = None) -> ImageSource | None:
        """The images of the first captions; None without ``prompts.images``.

        Raises `ConfigError` naming the first image that is not in the folder.
        """
        if self._folder is None:
            return None
        paths = []
        for number in self._ids[:limit]:
            name = self._annotations.images[self._annotations.captions[number].image_id]
            path = self._folder / name
            if not path.is_file():
                raise ConfigError(
                    f"{path}: no such image, and {self._annotations.path.name} has a caption of it. "
                    "Point prompts.images at the folder of COCO's images."
                )
            paths.append(path)
        return FolderImages(paths)


def read_annotations(path: Path) -> Annotations:
    """COCO's caption annotations. Raises `ConfigError` for another file, or ids that do not match."""
    try:
        content = msgspec.json.decode(read_bytes(path), type=_File)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{path}: not COCO's caption annotations ({error}); expected 'images' with id and file_name, "
            "and 'annotations' with id, image_id and caption, as in captions_val2014.json."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON ({error}).") from None
    images: dict[int, str] = {}
    for image in content.images:
        place = PurePosixPath(image.file_name)
        if place.is_absolute() or ".." in place.parts or not image.file_name:
            raise ConfigError(f"{path}: image {image.id} has the file name '{image.file_name}'.")
        if image.id in images:
            raise ConfigError(f"{path}: two images have the id {image.id}.")
        images[image.id] = image.file_name
    captions: dict[int, _Annotation] = {}
    for annotation in content.annotations:
        if annotation.id in captions:
            raise ConfigError(f"{path}: two annotations have the id {annotation.id}.")
        if annotation.image_id not in images:
            raise ConfigError(
                f"{path}: annotation {annotation.id} is of image {annotation.image_id}, which is not there."
            )
        if annotation.id < 0 or annotation.image_id < 0 or not annotation.caption.strip():
            raise ConfigError(
                f"{path}: annotation {annotation.id} has a negative id or no caption."
            )
        captions[annotation.id] = annotation
    return Annotations(path, images, captions)


def select(annotations: Annotations, count: int, seed: int) -> list[int]:
    """Annotation ids of `count` different images, in the order of their prompts.

    Images are put in the order of a random word each, a function of (seed, image id), and of each one
    caption is taken, by another draw of the same. So the selection does not depend on the order of
    the file, and a smaller one is the beginning of a larger. Raises `ConfigError` when there are
    fewer images with a caption.
    """
    by_image: dict[int, list[int]] = defaultdict(list)
    for annotation in annotations.captions.values():
        by_image[annotation.image_id].append(annotation.id)
    if len(by_image) < count:
        raise ConfigError(
            f"{annotations.path}: {len(by_image)} images with captions, fewer than the {count} asked for. "
            f"Lower it: --set prompts.count={len(by_image)}."
        )
    images = sorted(by_image)
    words = bits(seed, _IMAGE, images, 1)[:, 0].tolist()
    chosen = [image for _, image in sorted(zip(words, images, strict=True))[:count]]
    return [
        sorted(by_image[image])[int(integers(seed, _CAPTION, [image], len(by_image[image]))[0, 0])]
        for image in chosen
    ]


def read_selection(path: Path, annotations: Annotations) -> list[int]:
    """Annotation ids of a file, one a line; lines that begin with # are notes.

    Raises `ConfigError` for what is no id, an id twice, and one that the annotations do not have.
    """
    ids: list[int] = []
    first_at: dict[int, int] = {}
    for number, text in numbered_lines(path):
        if text.startswith("#"):
            continue
        if not text.isdigit():
            raise ConfigError(f"{path}:{number}: '{text[:40]}' is no annotation id.")
        found = int(text)
        if found in first_at:
            raise ConfigError(f"{path}:{number}: the id {found} is on line {first_at[found]} too.")
        if found not in annotations.captions:
            raise ConfigError(f"{path}:{number}: {annotations.path} has no annotation {found}.")
        first_at[found] = number
        ids.append(found)
    if not ids:
        raise ConfigError(f"{path}: no annotation ids in it.")
    return ids
