"""The tiny autoencoder: diffusers' `AutoencoderKL`, 64 x 64 pixels to 4 x 8 x 8 latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from zoo_core.adapters.pixels import to_images, to_pixels

WEIGHTS = Path(__file__).parent / "weights" / "tiny_vae"
CHANNELS = (16, 32, 64, 64)  # widths at 64, 32, 16 and 8 pixels
LATENT_CHANNELS = 4


def build_vae() -> Any:
    """A freshly initialised tiny `AutoencoderKL` (0.98 M parameters, factor 8)."""
    levels = len(CHANNELS)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=64,
    )


def load_vae(path: Path = WEIGHTS) -> Any:
    """The trained autoencoder from a diffusers folder, in evaluation mode, float32 on the CPU.

    `config.scaling_factor` is one over the deviation of all latent values together. Raises
    FileNotFoundError where the folder has no weights.
    """
    if not (path / "diffusion_pytorch_model.safetensors").is_file():
        raise FileNotFoundError(
            f"no autoencoder weights in {path}; make them with `python -m zoo_shapes.train_vae`"
        )
    model = AutoencoderKL.from_pretrained(str(path), torch_dtype=torch.float32)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def reconstruct(
    vae: Any, images: NDArray[np.uint8], seed: int | None = None, batch: int = 64
) -> NDArray[np.uint8]:
    """Images through the autoencoder and back, uint8 [B, 64, 64, 3].

    With a `seed` the latents are sampled from the posterior, otherwise they are its mode.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    out = []
    for start in range(0, len(images), batch):
        posterior = vae.encode(to_pixels(images[start : start + batch])).latent_dist
        latents = posterior.mode() if generator is None else posterior.sample(generator)
        out.append(to_images(vae.decode(latents).sample))
    return np.concatenate(out)
