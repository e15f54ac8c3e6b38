"""BLIP-VQA's published files, and reading them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import BlipConfig, BlipForQuestionAnswering

from zoo_blip_vqa.config import BlipVQAConfig
from zoo_core.adapters.pinned import PinnedFile, load_state, locate_pinned
from zoo_core.adapters.state_dict import WithoutDraws, fill
from zoo_core.adapters.weights import read_json
from zoo_core.adapters.wordpiece import locate_bert_vocabulary
from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError

#: Hashes of the weights are not confirmed, so that of the file found is recorded.
REPOSITORIES = {
    "base": "Salesforce/blip-vqa-base",
    "capfilt-large": "Salesforce/blip-vqa-capfilt-large",
}
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
#: Buffers of row numbers in files of older versions of transformers.
_UNUSED = (".position_ids",)


@dataclass(frozen=True)
class Files:
    """The files of one model; `pinned` describes the weights."""

    pinned: PinnedFile
    weights: Path
    architecture: Path
    vocabulary: Path


def find(config: BlipVQAConfig) -> Files:
    """The files that the settings name. Raises `ConfigError` saying which is missing and where from."""
    repository = REPOSITORIES[config.model]
    pinned = PinnedFile(
        name=repository.split("/")[1],
        file=_WEIGHTS[0],
        licence="BSD-3-Clause",
        repo=repository,
        size=1_540_000_000,
    )
    if config.weights:
        # Folders of older versions of transformers hold the restricted pickle instead.
        here = [name for name in _WEIGHTS if (locate(config.weights) / name).is_file()]
        pinned = replace(pinned, file=here[0] if here else _WEIGHTS[0])
    pinned = pinned.expecting(config.sha256)
    architecture = replace(pinned, file="config.json", sha256=None, size=None)
    return Files(
        pinned,
        locate_pinned(pinned, config.weights),
        locate_pinned(architecture, config.weights),
        locate_bert_vocabulary(config.vocabulary),
    )


def read_model(files: Files) -> BlipForQuestionAnswering:
    """The model on the CPU, every tensor accounted for. Raises `ConfigError` for files that do not fit."""
    state = load_state(files.weights)  # before the model, since a wrong file should not take long
    with WithoutDraws():
        model = BlipForQuestionAnswering(_architecture(files.architecture))
    fill(model, state, str(files.weights), ignore=_UNUSED)
    return model.eval().requires_grad_(False)


def _architecture(path: Path) -> BlipConfig:
    stored: dict[str, Any] = read_json(path)
    if stored.get("model_type") != "blip" or not isinstance(stored.get("text_config"), dict):
        raise ConfigError(
            f'{path} describes no BLIP model: it lacks model_type "blip" or text_config.'
        )
    try:
        return BlipConfig.from_dict(stored)
    except (TypeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path} is no usable configuration of BLIP: {first}") from None
