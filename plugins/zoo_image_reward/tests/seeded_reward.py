"""ImageReward checkpoints of random weights, the same on every machine, and inputs to score.

Used by the tests and by ``record_reference.py``, which runs with other versions of the libraries;
so it needs only numpy, torch and Pillow, and takes every random number from raw bits.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image


@dataclass(frozen=True)
class Sizes:
    """The widths and depths that a checkpoint's shapes follow from; heads are 64 channels wide."""

    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    vocabulary: int = 30524
    positions: int = 512
    patches: int = 14 * 14
    patch: int = 16
    projection: int = 256


FULL = Sizes(vision_width=1024, vision_layers=24, text_width=768, text_layers=12)
REDUCED = Sizes(vision_width=128, vision_layers=3, text_width=64, text_layers=2)


def published_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in a checkpoint of the published format."""
    width, text = sizes.vision_width, sizes.text_width
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs)
        shapes[f"{name}.bias"] = (outputs,)

    def norm(name: str, channels: int) -> None:
        shapes[f"{name}.weight"] = (channels,)
        shapes[f"{name}.bias"] = (channels,)

    vision = "blip.visual_encoder"
    shapes[f"{vision}.cls_token"] = (1, 1, width)
    shapes[f"{vision}.pos_embed"] = (1, sizes.patches + 1, width)
    shapes[f"{vision}.patch_embed.proj.weight"] = (width, 3, sizes.patch, sizes.patch)
    shapes[f"{vision}.patch_embed.proj.bias"] = (width,)
    for layer in range(sizes.vision_layers):
        block = f"{vision}.blocks.{layer}"
        norm(f"{block}.norm1", width)
        linear(f"{block}.attn.qkv", width, 3 * width)
        linear(f"{block}.attn.proj", width, width)
        norm(f"{block}.norm2", width)
        linear(f"{block}.mlp.fc1", width, 4 * width)
        linear(f"{block}.mlp.fc2", 4 * width, width)
    norm(f"{vision}.norm", width)

    encoder = "blip.text_encoder"
    shapes[f"{encoder}.embeddings.position_ids"] = (1, sizes.positions)
    shapes[f"{encoder}.embeddings.word_embeddings.weight"] = (sizes.vocabulary, text)
    shapes[f"{encoder}.embeddings.position_embeddings.weight"] = (sizes.positions, text)
    norm(f"{encoder}.embeddings.LayerNorm", text)
    for layer in range(sizes.text_layers):
        block = f"{encoder}.encoder.layer.{layer}"
        for attention, source in (("attention", text), ("crossattention", width)):
            linear(f"{block}.{attention}.self.query", text, text)
            linear(f"{block}.{attention}.self.key", source, text)
            linear(f"{block}.{attention}.self.value", source, text)
            linear(f"{block}.{attention}.output.dense", text, text)
            norm(f"{block}.{attention}.output.LayerNorm", text)
        linear(f"{block}.intermediate.dense", text, 4 * text)
        linear(f"{block}.output.dense", 4 * text, text)
        norm(f"{block}.output.LayerNorm", text)

    linear("blip.vision_proj", width, sizes.projection)
    linear("blip.text_proj", text, sizes.projection)
    for place, (inputs, outputs) in zip(
        (0, 2, 4, 6, 7), ((text, 1024), (1024, 128), (128, 64), (64, 16), (16, 1)), strict=True
    ):
        linear(f"mlp.layers.{place}", inputs, outputs)
    return shapes


def seeded_checkpoint(sizes: Sizes) -> dict[str, torch.Tensor]:
    """A checkpoint whose signals keep a scale near one through all layers."""
    return {name: seeded(name, shape) for name, shape in published_shapes(sizes).items()}


def seeded(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor that is a function of its name: float32, uniform, or int64 for the positions."""
    if name.endswith("position_ids"):
        return torch.arange(shape[1]).expand(shape).clone()
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    generator = np.random.Philox(key=int.from_bytes(digest, "little"))
    count = math.prod(shape)
    words = generator.random_raw((count + 1) // 2).astype("<u8").view("<u4")[:count]
    # 24 bits are a float32 exactly; the scale of sqrt(12) makes the deviation one.
    unit = ((words >> 8).astype(np.float32) - np.float32(2**23)) * np.float32(2**-24 * 12**0.5)
    tensor = torch.from_numpy(unit.reshape(shape))
    normalised = any(part in name for part in ("norm", "LayerNorm"))
    if name.endswith("bias"):
        return tensor * 0.1
    if normalised:
        return 1 + tensor * 0.1
    if "embeddings" in name:
        # Small enough for the epsilon of the LayerNorm after it to be seen.
        return tensor * 0.05
    if name.endswith(("cls_token", "pos_embed")):
        return tensor * 0.5
    return tensor / math.prod(shape[1:]) ** 0.5


def checksum(state: dict[str, torch.Tensor]) -> str:
    """A digest of names, shapes and of the values' bits."""
    total = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        total.update(f"{name}{tuple(tensor.shape)}".encode())
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


def image(width: int, height: int, seed: int) -> Image.Image:
    """A picture of smooth waves with hard edges: RGB, made of whole numbers alone."""
    x = np.arange(width, dtype=np.int64)[None, :, None]
    y = np.arange(height, dtype=np.int64)[:, None, None]
    channel = np.arange(3, dtype=np.int64)[None, None, :]
    waves = (x * (3 + seed) + y * (5 - channel) + (x * y) // (7 + seed + channel)) % 511
    edges = ((x // 16 + y // 24 + seed) % 3 == 0) * 90
    pixels = np.abs(waves - 255) * 165 // 255 + edges
    return Image.fromarray(pixels.astype(np.uint8))


LONG = (
    "a wide photograph of seven tall lighthouses on a rocky coast at dusk, waves breaking below, "
    "gulls above, a red fishing boat with two lanterns near the pier, soft fog over the hills, "
    "and an old stone bridge leading to a small village with warm windows"
)
CASES: list[tuple[str, tuple[int, int, int]]] = [
    ("a red circle above a blue square", (224, 224, 0)),
    (LONG, (300, 200, 1)),
    ("Two cats, sleeping.", (200, 513, 2)),
    ("", (96, 64, 3)),
    ("Ein Café in Zürich — 東京 🎈 naïve [SEP] token", (47, 31, 4)),
    (LONG.replace("photograph", "painting"), (512, 512, 5)),
]
