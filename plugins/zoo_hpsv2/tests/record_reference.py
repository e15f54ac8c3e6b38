"""Record what the package `hpsv2` 1.2.0 gives on seeded random weights.

It needs an environment of its own, with this project and:

    pip install --no-deps hpsv2==1.2.0 clint args braceexpand webdataset

and, since that wheel lacks its vocabulary, open_clip's copy of the same file put into it:

    cp .../open_clip/bpe_simple_vocab_16e6.txt.gz .../hpsv2/src/open_clip/

`python plugins/zoo_hpsv2/tests/record_reference.py` writes ``hpsv2_reference.json`` beside this file: the
scores that the package's own `score` gives, for a reduced model and for ViT-H/14 at its full size (10 GB
of memory). ``antialias`` false is what torchvision before 0.17 did with tensors by default.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from hpsv2 import img_score
from hpsv2.src.open_clip import add_model_config, create_model_and_transforms, get_model_config
from hpsv2.src.open_clip import transform as reference_transform
from PIL import Image

from zoo_core.testing.seeded import seeded_picture, seeded_state

LONG = (
    "a wide photograph of seven tall lighthouses on a rocky coast at dusk, waves breaking below, gulls above, "
    "a red fishing boat with two lanterns near the pier, soft fog over the hills, an old stone bridge leading "
    "to a small village with warm windows, a woman in a yellow coat walking two grey dogs along the sand, "
    "and far away a white ship with three masts under heavy clouds, painted in oil in the manner of Turner"
)
#: Prompt, height, width. One prompt is beyond the 77 tokens; another differs from it beyond them alone.
CASES: list[tuple[str, int, int]] = [
    ("a red circle above a blue square", 224, 224),
    (LONG, 200, 300),
    (LONG + ", high resolution", 200, 300),
    ("Two cats, sleeping; it's 5 o'clock.", 513, 200),
    (
        "Ein Caf\u00e9 in Z\u00fcrich \u2014 \u6771\u4eac \U0001f388 na\u00efve &amp; <b>bold</b>",
        31,
        47,
    ),
    ("a photo of a dog", 512, 512),
    ("a photo of a dog", 97, 640),
    ("x", 1, 1),
    ("THE SAME AGAIN", 333, 225),
]
REDUCED = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 96, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}


def main() -> None:
    here = Path(__file__).parent
    record: dict[str, Any] = {
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("hpsv2", "torch", "torchvision", "pillow")
        },
        "cases": CASES,
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "reduced.json").write_text(json.dumps(REDUCED))
        add_model_config(folder / "reduced.json")
        for size, model_name in (("reduced", "reduced"), ("full", "ViT-H-14")):
            model, shapes = _reference(model_name)
            checkpoint = folder / f"{size}.pt"
            torch.save({"state_dict": seeded_state(shapes, half=True), "epoch": 1}, checkpoint)
            record["sizes"][size] = {
                "architecture": get_model_config(model_name),
                "parameters": sum(p.numel() for p in model.parameters()),
                "shapes": shapes if size == "reduced" else None,
                "antialias": _scores(checkpoint),
            }
            print(size, record["sizes"][size]["antialias"], flush=True)
            if size == "reduced":
                published = reference_transform.F.resize
                reference_transform.F.resize = functools.partial(published, antialias=False)
                record["sizes"][size]["no-antialias"] = _scores(checkpoint)
                reference_transform.F.resize = published
    (here / "hpsv2_reference.json").write_text(json.dumps(record, indent=1) + "\n")


def _reference(name: str) -> tuple[Any, dict[str, list[int]]]:
    """The package's model put where its `score` looks for it, and its tensors' shapes."""
    model, _, preprocess = create_model_and_transforms(
        name,
        None,
        precision="amp",
        device="cpu",
        light_augmentation=True,
        aug_cfg={},
        output_dict=True,
        with_score_predictor=False,
        with_region_predictor=False,
    )
    img_score.model_dict.update(model=model, preprocess_val=preprocess)
    return model, {key: list(value.shape) for key, value in model.state_dict().items()}


def _scores(checkpoint: Path) -> list[float]:
    return [
        float(img_score.score(Image.fromarray(_picture(place)), prompt, cp=str(checkpoint))[0])
        for place, (prompt, _, _) in enumerate(CASES)
    ]


def _picture(place: int) -> Any:
    _, height, width = CASES[place]
    return seeded_picture(height, width, seed=place)


if __name__ == "__main__":
    main()
