"""open_clip's models of two towers, for scorers: embeddings of one image or one text at a time.

Weights are read from a file of the published format straight into a float32 model. open_clip's own
loader of OpenAI's weights is not used: it rounds most of them to half precision on the way.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final
from weakref import WeakValueDictionary

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor, nn

from zoo_core.adapters.pinned import PinnedFile, load_state
from zoo_core.adapters.precision import full_precision
from zoo_core.adapters.state_dict import fill
from zoo_core.adapters.weights import read_json
from zoo_core.errors import ConfigError, did_you_mean
from zoo_core.interfaces.prompts import Prompt

CONFIG_FILE = "open_clip_config.json"
#: Of CLIP's training images, by channel; pixels are in [0, 1].
MEAN, DEVIATION = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
#: Resizing the shorter side makes the longer one grow with it, and memory with that.
MAX_ASPECT = 64

#: OpenAI's weights as the hub has them for open_clip, in float32. The architectures are those with
#: QuickGELU; with the exact GELU the same weights give other embeddings.
VIT_L_14 = PinnedFile(
    name="OpenAI CLIP ViT-L/14",
    file="open_clip_model.safetensors",
    licence="Apache-2.0 by its model card, MIT by OpenAI's repository",
    repo="timm/vit_large_patch14_clip_224.openai",
    revision="18d0535469bb561bf468d76c1d73aa35156c922b",
    sha256="9ce2e8a8ebfff3793d7d375ad6d3c35cb9aebf3de7ace0fc7308accab7cd207e",
    size=1_710_517_724,
)
VIT_B_32 = PinnedFile(
    name="OpenAI CLIP ViT-B/32",
    file="open_clip_model.safetensors",
    licence="Apache-2.0 by its model card, MIT by OpenAI's repository",
    repo="timm/vit_base_patch32_clip_224.openai",
    revision="a6f597a30f7b82c51704746581f9a4e41421e878",
    sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
    size=605_143_284,
)


@dataclass(frozen=True)
class Preprocessing:
    """How a model's image tower is fed: Pillow's antialiased resize, then the normalisation.

    resize: ``"shortest"`` brings the shorter side to `size` and keeps the middle of the longer one,
    ``"longest"`` brings the longer side to it and pads, ``"squash"`` ignores the aspect.
    """

    size: int = 224
    resize: str = "shortest"
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = MEAN
    deviation: tuple[float, ...] = DEVIATION

    def __call__(self, image: NDArray[np.uint8]) -> Tensor:
        """float32 [3, S, S] of an image uint8 [H, W, 3]."""
        return _transform(self)(Image.fromarray(image))


@lru_cache(maxsize=8)
def _transform(preprocessing: Preprocessing) -> Any:
    return open_clip.image_transform(
        preprocessing.size,
        is_train=False,
        mean=preprocessing.mean,
        std=preprocessing.deviation,
        resize_mode=preprocessing.resize,
        interpolation=preprocessing.interpolation,
    )


@dataclass(frozen=True)
class Architecture:
    """What to build before the weights come.

    name: for the protocol. settings: the arguments of open_clip's `CLIP`. vocabulary: merges of the
    byte-pair encoding (``.txt.gz``), None for CLIP's own.
    """

    name: str
    settings: Mapping[str, Any]
    preprocessing: Preprocessing
    vocabulary: Path | None = None


def known_architecture(name: str) -> Architecture:
    """An architecture of open_clip's own list, with CLIP's vocabulary and preprocessing.

    Raises `ConfigError` with the nearest names when there is none.
    """
    settings = open_clip.get_model_config(name)
    if settings is None:
        raise ConfigError(
            f"open_clip knows no model '{name}'. {did_you_mean(name, open_clip.list_models())}"
        )
    return Architecture(name, settings, Preprocessing(size=settings["vision_cfg"]["image_size"]))


def stored_architecture(folder: Path) -> Architecture:
    """The architecture that a folder's ``open_clip_config.json`` describes.

    A ``*.txt.gz`` beside it is the vocabulary. Raises `ConfigError` when the file is missing, does not
    parse, or has settings that are not understood.
    """
    file = folder / CONFIG_FILE
    stored = read_json(file)
    settings, seen = stored.get("model_cfg", {}), stored.get("preprocess_cfg", {})
    if "embed_dim" not in settings or not all(
        isinstance(settings.get(key), dict) for key in ("vision_cfg", "text_cfg")
    ):
        raise ConfigError(
            f"{file}: 'model_cfg' must have embed_dim, and tables vision_cfg and text_cfg."
        )
    unknown = settings.keys() - inspect.signature(CLIP).parameters.keys()
    if unknown or "hf_model_name" in settings["text_cfg"]:
        what = f"'{min(unknown)}'" if unknown else "'hf_model_name'"
        raise ConfigError(f"{file}: model_cfg sets {what}; only open_clip's own CLIP is built.")
    vocabularies = sorted(folder.glob("*.txt.gz"))
    if len(vocabularies) > 1:
        raise ConfigError(
            f"{folder} has several vocabularies ({', '.join(v.name for v in vocabularies)}); keep the one "
            f"that belongs to the model."
        )
    return Architecture(
        folder.name,
        settings,
        _preprocessing(seen, settings, file),
        vocabularies[0] if vocabularies else None,
    )


def _preprocessing(
    seen: Mapping[str, Any], settings: Mapping[str, Any], file: Path
) -> Preprocessing:
    size = seen.get("size", settings["vision_cfg"]["image_size"])
    if isinstance(size, list):
        if len(set(size)) != 1:
            raise ConfigError(f"{file}: preprocess_cfg.size is {size}; only squares are read.")
        size = size[0]
    found = Preprocessing(
        size=size,
        resize=seen.get("resize_mode", "shortest"),
        interpolation=seen.get("interpolation", "bicubic"),
        mean=tuple(seen.get("mean", MEAN)),
        deviation=tuple(seen.get("std", DEVIATION)),
    )
    for value, key, known in (
        (found.resize, "resize_mode", ("shortest", "longest", "squash")),
        (found.interpolation, "interpolation", ("bicubic", "bilinear")),
    ):
        if value not in known:
            raise ConfigError(
                f"{file}: preprocess_cfg.{key} is '{value}'; expected {' or '.join(known)}."
            )
    return found


@final
class CLIPEmbedder:
    """Embeds one image or one text a forward pass, in float32 whatever the training around it does.

    One at a time, because the last bits of a matrix product depend on how many rows it has: so an
    embedding does not change with the batch an image happens to be in, nor with the number of processes.
    """

    def __init__(self, model: CLIP, tokenizer: SimpleTokenizer, device: torch.device) -> None:
        self.model = model.eval().requires_grad_(False).to(device)
        self.tokenizer = tokenizer
        self.device = device

    def image(self, pixels: Tensor) -> NDArray[np.float64]:
        """The unit embedding, float64 [D], of preprocessed pixels [3, S, S]."""
        with full_precision(self.device):
            return _unit(self.model.encode_image(pixels[None].to(self.device, torch.float32)))

    def text(self, text: str) -> NDArray[np.float64]:
        """The unit embedding, float64 [D], of a text; what is beyond the context length is cut off.

        As in CLIP, the last of the tokens kept is then replaced by the end token.
        """
        with full_precision(self.device):
            return _unit(self.model.encode_text(self.tokenizer([text]).to(self.device)))


def _unit(embedding: Tensor) -> NDArray[np.float64]:
    vector = embedding[0].double().cpu().numpy()
    return vector / np.linalg.norm(vector)


_loaded: WeakValueDictionary[tuple[Any, ...], CLIPEmbedder] = WeakValueDictionary()


def load_embedder(architecture: Architecture, file: Path, under: str | None = None) -> CLIPEmbedder:
    """The architecture with the weights of a file; scorers that name the same file share one model.

    under: the key of the checkpoint that the tensors lie under. The model is on the accelerator where
    there is one. Raises `ConfigError` when a tensor is missing, unknown or of another shape.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # A file that is written anew is another one.
    stamp = (file.resolve(), file.stat().st_mtime_ns, under, str(device))
    key = (*stamp, architecture.vocabulary, json.dumps(architecture.settings, sort_keys=True))
    if (found := _loaded.get(key)) is not None:
        return found
    model = _empty(architecture)
    fill(model, load_state(file, under), str(file))
    embedder = CLIPEmbedder(model, _tokenizer(architecture, model), device)
    _loaded[key] = embedder
    return embedder


def _empty(architecture: Architecture) -> CLIP:
    """The model with weights yet to be filled in; drawing them at random takes half a minute for ViT-H."""
    with torch.device("meta"):
        model = CLIP(**architecture.settings)
    model.to_empty(device="cpu")
    kept = model.state_dict().keys()
    derived = [name for name, _ in model.named_buffers() if name not in kept]
    if derived != ["attn_mask"]:
        raise ConfigError(
            f"The architecture {architecture.name} has buffers that no file holds ({', '.join(derived)}); "
            f"only open_clip's own vision transformers are built."
        )
    length = model.context_length
    model.attn_mask = nn.Transformer.generate_square_subsequent_mask(length)
    return model


def _tokenizer(architecture: Architecture, model: CLIP) -> SimpleTokenizer:
    where = {} if architecture.vocabulary is None else {"bpe_path": str(architecture.vocabulary)}
    tokenizer = SimpleTokenizer(context_length=model.context_length, **where)
    if tokenizer.vocab_size != model.vocab_size:
        raise ConfigError(
            f"The architecture {architecture.name} has {model.vocab_size} tokens, its vocabulary "
            f"{tokenizer.vocab_size}; the folder of weights needs the *.txt.gz of merges that the model was "
            f"trained with."
        )
    return tokenizer


def check_image(prompt: Prompt, image: NDArray[np.uint8]) -> None:
    """Raise `ConfigError` naming the prompt when its image, uint8 [H, W, 3], cannot be preprocessed."""
    assert image.dtype == np.uint8, f"images are uint8, not {image.dtype}"
    assert image.shape[2:] == (3,), f"images are [H, W, 3], not {image.shape}"
    height, width = image.shape[:2]
    if min(height, width) == 0 or max(height, width) > MAX_ASPECT * min(height, width):
        raise ConfigError(
            f"The image of prompt '{prompt.id}' is {width} x {height} pixels; one side may be at most "
            f"{MAX_ASPECT} times the other."
        )


def check_text(prompt: Prompt) -> None:
    """Raise `ConfigError` naming the prompt when it has no text to compare an image with."""
    if not prompt.text.strip():
        raise ConfigError(
            f"Prompt '{prompt.id}' is empty; an image cannot be compared with it. Give it a text, or "
            f"leave it and its image out."
        )
