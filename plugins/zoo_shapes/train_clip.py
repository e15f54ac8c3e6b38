"""Train the tiny CLIP: `python -m zoo_shapes.train_clip [--out FOLDER] [--steps N]`.

The symmetric contrastive loss on scenes of the default world and one of their six captions, with
equal captions in a batch counted as matches of each other's images.
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
from open_clip.model import CLIP
from safetensors.torch import save_file

from zoo_shapes.bits import RawBits
from zoo_shapes.captions import captions, prompt
from zoo_shapes.clip import (
    CONFIG_FILE,
    MEAN,
    MERGES_FILE,
    MODEL_FILE,
    STD,
    WEIGHTS,
    load_tokenizer,
    model_config,
    preprocess,
    retrieval,
    write_merges,
)
from zoo_shapes.render import render
from zoo_shapes.scene import draw
from zoo_shapes.world import DEFAULT

WARMUP = 100  # steps
WEIGHT_DECAY = 0.05
PIXEL_NOISE = 0.1  # deviation of the noise on images scaled to [-1, 1]; generated images have some
MAX_LOGIT_SCALE = math.log(100.0)
_PURPOSE = 18  # of the counter space in `RawBits`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    record = train(options.out, options.steps, options.batch, options.lr, options.seed)
    (options.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record))


def train(out: Path, steps: int, batch: int, lr: float, seed: int) -> dict[str, Any]:
    """Train from scratch, save to `out`, and return the recipe and the last losses."""
    out.mkdir(parents=True, exist_ok=True)
    write_merges(out / MERGES_FILE)
    tokenizer = load_tokenizer(out)
    config = model_config(tokenizer.vocab_size)
    model = CLIP(**config)
    decayed = [weight for weight in model.parameters() if weight.ndim >= 2]
    plain = [weight for weight in model.parameters() if weight.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
        lr=lr,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    recent = math.log(batch)
    started = time.monotonic()
    model.train()
    for step in range(steps):
        images, texts = training_pairs(seed, step * batch, batch)
        pixels = preprocess(images)
        pixels = pixels + PIXEL_NOISE * torch.rand(len(pixels), 1, 1, 1) * torch.randn_like(pixels)
        loss = contrastive_loss(model, pixels, tokenizer(texts), texts)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient is not finite at step {step}; lower --lr")
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0.0, MAX_LOGIT_SCALE)
        recent = 0.95 * recent + 0.05 * loss.item()
        if step % 100 == 99 or step + 1 == steps:
            model.eval()
            found = retrieval(model, tokenizer, *heldout_pairs(seed, 256))
            model.train()
            seconds = time.monotonic() - started
            shown = f"step {step + 1} loss {recent:.4f} top-1 of 256 {found[0]:.3f} {found[1]:.3f}"
            print(f"{shown} scale {model.logit_scale.exp().item():.1f} {seconds:.0f}s", flush=True)
            _save(model, config, out)
    return {
        "steps": steps,
        "batch": batch,
        "peak_lr": lr,
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "train_loss": round(recent, 4),
    }


def training_pairs(seed: int, first: int, count: int) -> tuple[np.ndarray, list[str]]:
    """Images uint8 [count, 64, 64, 3] from index `first`, each with one of its six captions."""
    images, texts = [], []
    for index in range(first, first + count):
        scene = draw(DEFAULT, seed, "train", index)
        images.append(render(scene))
        texts.append(RawBits(seed, _PURPOSE, index).choose(captions(scene, index, seed)).text)
    return np.stack(images), texts


def heldout_pairs(seed: int, count: int) -> tuple[np.ndarray, list[str]]:
    """The first held-out scenes and their prompts."""
    scenes = [draw(DEFAULT, seed, "heldout", index) for index in range(count)]
    return np.stack([render(scene) for scene in scenes]), [prompt(scene) for scene in scenes]


def contrastive_loss(
    model: CLIP, pixels: torch.Tensor, tokens: torch.Tensor, texts: list[str]
) -> torch.Tensor:
    """CLIP's loss, with each row's target spread over the texts that are equal to its own."""
    image = model.encode_image(pixels, normalize=True)  # [B, D]
    text = model.encode_text(tokens, normalize=True)  # [B, D]
    logits = model.logit_scale.exp() * image @ text.T  # [B, B]
    numbers = {words: number for number, words in enumerate(dict.fromkeys(texts))}
    which = torch.tensor([numbers[words] for words in texts])
    target = (which[:, None] == which).float()
    target = target / target.sum(1, keepdim=True)  # [B, B], symmetric
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def _save(model: CLIP, config: dict[str, Any], out: Path) -> None:
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, out / MODEL_FILE)
    stored = {
        "model_cfg": config,
        "preprocess_cfg": {
            "size": [64, 64],
            "mode": "RGB",
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bilinear",
            "resize_mode": "squash",
        },
    }
    (out / CONFIG_FILE).write_text(json.dumps(stored, indent=2) + "\n")


if __name__ == "__main__":
    main()
