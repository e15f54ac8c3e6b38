"""The tiny CLIP: open_clip's `CLIP` with a small image tower and a vocabulary of the world's words."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file

from zoo_shapes.captions import vocabulary

WEIGHTS = Path(__file__).parent / "weights" / "tiny_clip"
CONFIG_FILE = "open_clip_config.json"
MODEL_FILE = "open_clip_model.safetensors"
MERGES_FILE = "bpe_shapes.txt.gz"
CONTEXT = 32  # tokens, the start and the end token included
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # of pixels in [0, 1]


def model_config(vocabulary_size: int) -> dict[str, Any]:
    """The arguments of open_clip's `CLIP` (1.5 M parameters), as `open_clip_config.json` has them."""
    return {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": 64,
            "patch_size": 8,
            "width": 128,
            "layers": 3,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": vocabulary_size,
            "width": 128,
            "heads": 4,
            "layers": 4,
        },
    }


def learn_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Byte-pair merges after which each of the words (letters a to z) is one token.

    The usual greedy rule: merge the pair that is most frequent over the words, the first in
    alphabetical order among equals, until every word is whole.
    """
    spelled = [[*word[:-1], f"{word[-1]}</w>"] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for parts in spelled for pair in pairwise(parts))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [_merge(parts, best) for parts in spelled]


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            out.append(pair[0] + pair[1])
            at += 2
        else:
            out.append(parts[at])
            at += 1
    return out


def write_merges(path: Path) -> None:
    """Write the merges of the caption vocabulary in the format that `SimpleTokenizer` reads.

    That is gzip'ed text, a header and then a merge a line. The bytes do not depend on the time.
    """
    lines = ["#version: 0.2 (words of the small world)"]
    lines += [" ".join(merge) for merge in learn_merges(vocabulary())]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def load_tokenizer(folder: Path = WEIGHTS) -> SimpleTokenizer:
    """open_clip's tokenizer over the world's words; other words fall back to pieces and bytes.

    Called on a list of B texts it gives int64 [B, 32]. Raises FileNotFoundError without merges.
    """
    path = folder / MERGES_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"no vocabulary at {path}; make it with `python -m zoo_shapes.train_clip`"
        )
    return SimpleTokenizer(bpe_path=str(path), context_length=CONTEXT)


def load_clip(folder: Path = WEIGHTS) -> CLIP:
    """The trained model in evaluation mode, float32 on the CPU.

    Raises FileNotFoundError where the folder has no weights.
    """
    weights = folder / MODEL_FILE
    if not weights.is_file():
        raise FileNotFoundError(
            f"no CLIP weights at {weights}; make them with `python -m zoo_shapes.train_clip`"
        )
    config = json.loads((folder / CONFIG_FILE).read_text())
    model = CLIP(**config["model_cfg"])
    model.load_state_dict(load_file(weights))
    return model.eval().requires_grad_(False)


def preprocess(images: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [B, 64, 64, 3] to the image tower's float32 [B, 3, 64, 64]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return (pixels - mean) / std


@torch.no_grad()
def image_features(model: CLIP, images: NDArray[np.uint8]) -> torch.Tensor:
    """Unit embeddings float32 [B, 128] of images uint8 [B, 64, 64, 3]."""
    return model.encode_image(preprocess(images), normalize=True)


@torch.no_grad()
def text_features(model: CLIP, tokenizer: SimpleTokenizer, texts: Sequence[str]) -> torch.Tensor:
    """Unit embeddings float32 [B, 128] of texts."""
    return model.encode_text(tokenizer(list(texts)), normalize=True)


def retrieval(
    model: CLIP,
    tokenizer: SimpleTokenizer,
    images: NDArray[np.uint8],
    texts: Sequence[str],
) -> tuple[float, float]:
    """Top-1 accuracy in [0, 1] of text by image and of image by text, among all given.

    Text i belongs to image i; another text of the same words counts as right too.
    """
    scores = image_features(model, images) @ text_features(model, tokenizer, texts).T
    same = torch.tensor([[a == b for b in texts] for a in texts])
    rows = torch.arange(len(texts))
    by_image = same[rows, scores.argmax(1)].float().mean()
    by_text = same[scores.argmax(0), rows].float().mean()
    return by_image.item(), by_text.item()
