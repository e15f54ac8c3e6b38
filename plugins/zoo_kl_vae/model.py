"""Latent diffusion's autoencoder, on diffusers' `AutoencoderKL`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from zoo_core.adapters.weights import read_json, safetensors_files
from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError
from zoo_core.interfaces.vae import VAE, Moments
from zoo_kl_vae.config import KLVAEConfig


@final
class KLVAE(VAE):
    """Holds an `AutoencoderKL`; the encoder's log variance is clamped to -30..20 as there."""

    def __init__(self, config: KLVAEConfig, autoencoder: AutoencoderKL) -> None:
        super().__init__(config)
        # Any: diffusers' lazy imports hide its models' types.
        self.autoencoder: Any = autoencoder

    def encode(self, images: Tensor) -> Moments:
        """See `VAE.encode`. Raises `ConfigError` when a side is no multiple of the downsampling."""
        factor = self.config.downsampling
        height, width = images.shape[-2:]
        if height % factor or width % factor:
            raise ConfigError(
                f"Images of {height} x {width} pixels do not fit the autoencoder; sides must be multiples "
                f"of {factor}."
            )
        posterior = self.autoencoder.encode(images).latent_dist
        return Moments(posterior.mean, posterior.logvar)  # each [B, C, H/f, W/f]

    def decode(self, latents: Tensor) -> Tensor:
        """See `VAE.decode`."""
        return self.autoencoder.decode(latents, return_dict=False)[0]  # [B, 3, f*H, f*W]


def build(config: KLVAEConfig) -> KLVAE:
    """An autoencoder of the configured architecture, with fresh weights or those of `config.weights`.

    Raises `ConfigError` when the folder is missing, has no safetensors, or is of another architecture.
    """
    if not config.weights:
        return KLVAE(config, AutoencoderKL(**_architecture(config)))
    return KLVAE(config, _load(config, locate(config.weights)))


def _architecture(config: KLVAEConfig) -> dict[str, Any]:
    """diffusers' arguments."""
    levels = len(config.block_out_channels)
    return {
        "block_out_channels": list(config.block_out_channels),
        "layers_per_block": config.layers_per_block,
        "norm_num_groups": config.norm_groups,
        "latent_channels": config.latent_channels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


def _load(config: KLVAEConfig, folder: Path) -> AutoencoderKL:
    stored = read_json(folder / "config.json")
    safetensors_files(folder, ["diffusion_pytorch_model.safetensors"])
    # The file may leave out what is diffusers' default.
    stated = {"layers_per_block": 1, "norm_num_groups": 32, "latent_channels": 4, **stored}
    names = {"norm_num_groups": "norm_groups"}
    wrong = {
        names.get(key, key): stated.get(key)
        for key, value in _architecture(config).items()
        if stated.get(key) != value
    }
    scale = stored.get("scaling_factor", config.scaling_factor)
    if abs(scale - config.scaling_factor) > 1e-6 * scale:
        wrong["scaling_factor"] = scale
    if wrong:
        fix = ", ".join(f"{key} = {value}" for key, value in wrong.items())
        raise ConfigError(
            f"KLVAEConfig: the weights in {folder} are of another architecture; set {fix}.",
            key=next(iter(wrong)),
        )
    # diffusers' own reader knows the older names of the attention's tensors.
    autoencoder, report = AutoencoderKL.from_pretrained(
        folder,
        use_safetensors=True,
        local_files_only=True,
        low_cpu_mem_usage=False,
        torch_dtype=torch.float32,
        output_loading_info=True,
    )
    problems = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if problems:
        raise ConfigError(
            f"{folder}: '{problems[0]}' is missing, unknown or of another shape ({len(problems)} tensors are)."
        )
    return autoencoder
