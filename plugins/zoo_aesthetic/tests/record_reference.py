"""Record what the published aesthetic predictor gives on seeded random weights.

It needs an environment of its own, with this project and:

    pip install --no-deps clip-anytorch==2.6.0 simple-aesthetics-predictor==0.1.2 \
        transformers==4.57.6 huggingface_hub==0.36.0 tokenizers==0.22.1

`python plugins/zoo_aesthetic/tests/record_reference.py` writes ``aesthetic_reference.json`` beside this
file. The steps are those of the predictor's repository: OpenAI's preprocessing and image tower (the
package clip-anytorch is OpenAI's code), numpy's normalisation, and the network, here as the package
simple-aesthetics-predictor defines it, filled by the published names.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import clip
import clip.clip
import numpy as np
import open_clip
import torch
from aesthetics_predictor import AestheticsPredictorV2Linear
from PIL import Image
from transformers.models.clip.configuration_clip import CLIPVisionConfig

from zoo_core.testing.seeded import seeded_picture, seeded_state

#: Height, width.
CASES = [(224, 224), (200, 300), (513, 200), (31, 47), (512, 512), (97, 640), (1, 1), (333, 225)]
REDUCED: dict[str, Any] = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 224,
        "layers": 2,
        "width": 128,
        "head_width": 64,
        "patch_size": 32,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 1},
}
#: A unit embedding's entries are small; the first layer makes up for some of it, so that images differ
#: in the first digit, as they do by the published weights.
GAIN = 4


def main() -> None:
    packages = ("clip-anytorch", "simple-aesthetics-predictor", "torch", "torchvision", "pillow")
    record: dict[str, Any] = {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "cases": CASES,
        "gain": GAIN,
        "sizes": {},
    }
    for size, settings in (
        ("reduced", REDUCED),
        ("full", open_clip.get_model_config("ViT-L-14-quickgelu")),
    ):
        tower = _tower(settings)
        tower.load_state_dict(seeded_state({n: v.shape for n, v in tower.state_dict().items()}))
        head, shapes = _head(settings["embed_dim"])
        record["sizes"][size] = {
            "architecture": settings,
            "predictor_shapes": shapes,
            "scores": [_score(tower, head, place) for place in range(len(CASES))],
        }
        print(size, record["sizes"][size]["scores"], flush=True)
    target = Path(__file__).with_name("aesthetic_reference.json")
    target.write_text(json.dumps(record, indent=1) + "\n")


def _tower(settings: dict[str, Any]) -> Any:
    vision, text = settings["vision_cfg"], settings["text_cfg"]
    return clip.model.CLIP(
        settings["embed_dim"],
        vision["image_size"],
        vision["layers"],
        vision["width"],
        vision["patch_size"],
        text["context_length"],
        text["vocab_size"],
        text["width"],
        text["heads"],
        text["layers"],
    ).eval()


def _head(width: int) -> tuple[Any, dict[str, list[int]]]:
    """The package's network, and the shapes of the published file's tensors."""
    config = CLIPVisionConfig(projection_dim=width, num_hidden_layers=1)
    layers = AestheticsPredictorV2Linear(config).eval().layers
    shapes = {f"layers.{name}": list(value.shape) for name, value in layers.state_dict().items()}
    state = seeded_state(shapes)
    state["layers.0.weight"] *= GAIN
    layers.load_state_dict({name.removeprefix("layers."): value for name, value in state.items()})
    return layers, shapes


@torch.no_grad()
def _score(tower: Any, head: Any, place: int) -> float:
    height, width = CASES[place]
    image = Image.fromarray(seeded_picture(height, width, seed=place))
    embedding = tower.encode_image(clip.clip._transform(224)(image)[None]).numpy()
    unit = embedding / np.linalg.norm(embedding, axis=-1, keepdims=True)
    return head(torch.from_numpy(unit)).item()


if __name__ == "__main__":
    main()
