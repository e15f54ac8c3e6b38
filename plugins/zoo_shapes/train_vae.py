"""Train the tiny autoencoder: `python -m zoo_shapes.train_vae [--out FOLDER] [--steps N]`.

L1 and L2 on pixels, heavier on the things and around them, and a KL term that keeps the latents near
a unit Gaussian. Half of the training images are of the default world, half of the wide one.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from zoo_core.adapters.pixels import to_pixels
from zoo_shapes.render import render
from zoo_shapes.scene import draw
from zoo_shapes.vae import WEIGHTS, build_vae
from zoo_shapes.world import DEFAULT, WIDE

KL_WEIGHT = 3e-4  # a latent value, against the mean pixel loss
THING_WEIGHT = 5.0  # of a pixel on a thing or beside it, against one of plain background
LATENT_NOISE = 0.1  # deviation of the noise added to half of the latents: a forgiving decoder
WARMUP = 100  # steps
STATISTICS_SCENES = 2048  # scenes that the scaling factor is measured on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    vae = build_vae()
    record = train(vae, options.steps, options.batch, options.lr, options.seed, options.out)
    (options.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record))


def train(vae: Any, steps: int, batch: int, lr: float, seed: int, out: Path) -> dict[str, Any]:
    """Train in place, save to `out` in diffusers' format, and return the recipe and last losses."""
    optimizer = torch.optim.AdamW(vae.parameters(), lr=lr, weight_decay=1e-4, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    recent: dict[str, float] = {}
    started = time.monotonic()
    vae.train()
    for step in range(steps):
        loss, parts = losses(vae, training_images(seed, step * batch, batch))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient is not finite at step {step}; lower --lr")
        optimizer.step()
        schedule.step()
        for name, value in parts.items():
            recent[name] = 0.98 * recent.get(name, value) + 0.02 * value
        if step % 100 == 99 or step + 1 == steps:
            shown = " ".join(f"{name} {value:.5f}" for name, value in recent.items())
            print(f"step {step + 1} {shown} {time.monotonic() - started:.0f}s", flush=True)
        if step % 1000 == 999 or step + 1 == steps:
            save(vae, out, seed)
    return {
        "steps": steps,
        "batch": batch,
        "peak_lr": lr,
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        **{f"train_{name}": round(value, 6) for name, value in recent.items()},
    }


def training_images(seed: int, first: int, count: int) -> torch.Tensor:
    """Images `first` to `first + count`, by turns of the default and the wide world."""
    worlds = (DEFAULT, WIDE)
    scenes = [draw(worlds[at % 2], seed, "train", at) for at in range(first, first + count)]
    return to_pixels(np.stack([render(scene) for scene in scenes]))


def losses(vae: Any, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """The training loss of a batch [B, 3, 64, 64], and its parts as numbers."""
    posterior = vae.encode(images).latent_dist
    latents = posterior.sample()
    noisy = latents[::2] + LATENT_NOISE * torch.randn_like(latents[::2])
    latents = torch.cat([noisy, latents[1::2]])
    images = torch.cat([images[::2], images[1::2]])
    error = vae.decode(latents).sample - images
    thing = (images != images[:, :, :1, :1]).any(1, keepdim=True).float()
    weight = 1.0 + (THING_WEIGHT - 1.0) * F.max_pool2d(thing, 5, stride=1, padding=2)
    weight = weight / weight.mean()
    pixels = (weight * (error.abs() + error.square())).mean()
    kl = posterior.kl().mean() / latents[0].numel()
    loss = pixels + KL_WEIGHT * kl
    parts = {"pixels": pixels.item(), "mse": error.square().mean().item(), "kl": kl.item()}
    return loss, parts


@torch.no_grad()
def save(vae: Any, out: Path, seed: int) -> None:
    """Set the scaling factor (one for all channels, as latent diffusion does) and save to `out`."""
    vae.eval()
    images = [
        to_pixels(np.stack([render(draw(DEFAULT, seed, "train", at + i)) for i in range(64)]))
        for at in range(0, STATISTICS_SCENES, 64)
    ]
    latents = torch.cat([vae.encode(part).latent_dist.sample() for part in images])
    vae.register_to_config(scaling_factor=round(1.0 / latents.std().item(), 5))
    vae.save_pretrained(str(out), safe_serialization=True)
    vae.train()


if __name__ == "__main__":
    main()
