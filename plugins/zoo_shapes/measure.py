"""Measure the reader and the shipped weights: `python -m zoo_shapes.measure [--scenes N]`.

Prints a JSON object with the accuracy of the reader on clean and damaged scenes, the controls that
must score near chance, and the quality of the autoencoder and the CLIP model on held-out scenes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zoo_shapes.captions import prompt
from zoo_shapes.questions import Question, chance_level, questions
from zoo_shapes.reader import ReadScene, read, score
from zoo_shapes.render import render
from zoo_shapes.scene import Scene, draw
from zoo_shapes.world import DEFAULT, HARD, SIMPLE, WorldConfig

Images = NDArray[np.uint8]

ATTRIBUTES = ("shape", "colour", "size", "texture")
NEAR = 8.0  # pixels; a thing read farther away is not the one that was drawn


def scenes_with_questions(
    world: WorldConfig, split: str, count: int, seed: int = 0
) -> tuple[list[Scene], Images, list[list[Question]]]:
    """The first scenes of a split, their images uint8 [count, 64, 64, 3], and their questions."""
    scenes = [draw(world, seed, split, index) for index in range(count)]
    images = np.stack([render(scene) for scene in scenes])
    asked = [
        questions(scene, f"{world.name}-{split}-{at}", world) for at, scene in enumerate(scenes)
    ]
    return scenes, images, asked


def with_noise(images: Images, deviation: float, seed: int = 0) -> Images:
    """Images with Gaussian noise of the given deviation on the scale [0, 1], rounded and clipped."""
    noise = np.random.default_rng(seed).normal(0.0, 255.0 * deviation, images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def blurred(images: Images, deviation: float) -> Images:
    """Images under a Gaussian blur of the given deviation in pixels."""
    smooth = ndimage.gaussian_filter(images.astype(np.float32), (0, deviation, deviation, 0))
    return np.rint(smooth).astype(np.uint8)


def blank_images(count: int, seed: int = 0) -> Images:
    """Plain images of random levels of gray, uint8 [count, 64, 64, 3]."""
    levels = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 1))
    return np.broadcast_to(levels, (count, 64, 64, 3)).astype(np.uint8)


def noise_images(count: int, seed: int = 0) -> Images:
    """Images of uniform noise, uint8 [count, 64, 64, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3)).astype(np.uint8)


def read_all(images: Images, world: WorldConfig = DEFAULT) -> list[ReadScene]:
    """Each image read with the world's names."""
    return [read(image, world) for image in images]


def alignment(asked: Sequence[Sequence[Question]], views: Sequence[ReadScene]) -> float:
    """The mean over scenes of the share of questions answered as expected, in [0, 1]."""
    return float(np.mean([score(some, view) for some, view in zip(asked, views, strict=True)]))


def accuracy(scenes: Sequence[Scene], views: Sequence[ReadScene]) -> dict[str, float]:
    """Shares in [0, 1] of scenes with the right count and background, and of things read right.

    A thing's attribute is right if the thing read nearest to it, within 8 pixels, has it.
    """
    right = dict.fromkeys(("count", "background", *ATTRIBUTES), 0)
    total = 0
    for scene, view in zip(scenes, views, strict=True):
        right["count"] += len(scene.things) == len(view.things)
        right["background"] += scene.background == view.background
        for thing in scene.things:
            total += 1
            away = [np.hypot(seen.x - thing.x, seen.y - thing.y) for seen in view.things]
            if not away or min(away) > NEAR:
                continue
            nearest = view.things[int(np.argmin(away))]
            for name in ATTRIBUTES:
                right[name] += getattr(thing, name) == getattr(nearest, name)
    return {
        name: round(value / (total if name in ATTRIBUTES else len(scenes)), 4)
        for name, value in right.items()
    }


def psnr(images: Images, others: Images) -> float:
    """Mean over images of the peak signal-to-noise ratio, in dB."""
    squared = (images.astype(np.float64) - others) ** 2
    error = np.maximum(squared.mean((1, 2, 3)), 1e-6)
    return float((10.0 * np.log10(255.0**2 / error)).mean())


def measure_reader(world: WorldConfig, count: int) -> dict[str, Any]:
    """The reader on clean and damaged held-out scenes of a world, and its controls."""
    scenes, images, asked = scenes_with_questions(world, "heldout", count)
    out: dict[str, Any] = {
        "scenes": count,
        "questions": sum(map(len, asked)),
        "chance": round(chance_level([question for some in asked for question in some]), 4),
    }
    damages: dict[str, Callable[[], Images]] = {
        "clean": lambda: images,
        "noise 0.05": lambda: with_noise(images, 0.05),
        "noise 0.1": lambda: with_noise(images, 0.1),
        "blur 1 px": lambda: blurred(images, 1.0),
        "blur 1 px, noise 0.05": lambda: with_noise(blurred(images, 1.0), 0.05),
    }
    for name, damaged in damages.items():
        views = read_all(damaged(), world)
        out[name] = {"alignment": round(alignment(asked, views), 4), **accuracy(scenes, views)}
    shuffled = [*asked[count // 2 :], *asked[: count // 2]]
    out["controls"] = {
        "blank": round(alignment(asked, read_all(blank_images(count), world)), 4),
        "noise": round(alignment(asked, read_all(noise_images(count), world)), 4),
        "shuffled captions": round(alignment(shuffled, read_all(images, world)), 4),
    }
    return out


def measure_vae(world: WorldConfig, count: int, folder: Path | None = None) -> dict[str, Any]:
    """Reconstructions of held-out and composition scenes: PSNR and what the reader makes of them."""
    from zoo_shapes.vae import WEIGHTS, load_vae, reconstruct

    vae = load_vae(folder or WEIGHTS)
    out: dict[str, Any] = {"scenes": count}
    for split in ("heldout", "composition"):
        scenes, images, asked = scenes_with_questions(world, split, count)
        for kind, seed in (("mode", None), ("sampled", 0)):
            copies = reconstruct(vae, images, seed)
            views = read_all(copies, world)
            out[f"{split}, {kind}"] = {
                "psnr_db": round(psnr(images, copies), 2),
                "alignment": round(alignment(asked, views), 4),
                **accuracy(scenes, views),
            }
    return out


def measure_clip(count: int, folder: Path | None = None) -> dict[str, Any]:
    """Top-1 retrieval on held-out and composition scenes, image to text and text to image."""
    from zoo_shapes.clip import WEIGHTS, load_clip, load_tokenizer, retrieval

    folder = folder or WEIGHTS
    model, tokenizer = load_clip(folder), load_tokenizer(folder)
    out: dict[str, Any] = {}
    for split in ("heldout", "composition"):
        scenes, images, _ = scenes_with_questions(DEFAULT, split, count)
        texts = [prompt(scene) for scene in scenes]
        for among in (64, 256):
            found = [
                retrieval(model, tokenizer, images[at : at + among], texts[at : at + among])
                for at in range(0, count - among + 1, among)
            ]
            mean = np.mean(found, axis=0)
            out[f"{split}, top-1 of {among}"] = {
                "text of image": round(float(mean[0]), 4),
                "image of text": round(float(mean[1]), 4),
            }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=1024)
    parser.add_argument("--vae", type=Path, help="folder of other autoencoder weights")
    parser.add_argument("--clip", type=Path, help="folder of other CLIP weights")
    options = parser.parse_args()
    worlds = (SIMPLE, DEFAULT, HARD)
    report = {
        "reader": {world.name: measure_reader(world, options.scenes) for world in worlds},
        "vae": {world.name: measure_vae(world, options.scenes, options.vae) for world in worlds},
        "clip": measure_clip(options.scenes, options.clip),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
