"""Record what torchmetrics' CLIPScore and OpenAI's own code give on seeded random weights.

torchmetrics 1.9 does not run with transformers 5, so it needs an environment of its own, with this
project and:

    pip install --no-deps torchmetrics==1.9.0 lightning-utilities clip-anytorch==2.6.0 \
        transformers==4.57.6 huggingface_hub==0.36.0 tokenizers==0.22.1

`python plugins/zoo_clip_score/tests/record_reference.py` writes ``clip_reference.json`` beside this file.
The package clip-anytorch is OpenAI's code in a package. The weights are the same numbers on all sides,
put into a Hugging Face `CLIPModel` for torchmetrics.

torchmetrics is run in two ways. "as shipped" is what its users get. In it the token ids of a long prompt
are cut without putting the end token last, which OpenAI's code does; and Hugging Face's crop of an odd
margin is a pixel off OpenAI's. "alike" has OpenAI's pixels and the tokenizer's own truncation.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

import clip
import clip.clip
import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.functional.multimodal import clip_score
from torchmetrics.functional.multimodal.clip_score import _clip_score_update
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from zoo_core.testing.seeded import seeded_picture, seeded_state

LONG = (
    "a wide photograph of seven tall lighthouses on a rocky coast at dusk, waves breaking below, gulls above, "
    "a red fishing boat with two lanterns near the pier, soft fog over the hills, an old stone bridge leading "
    "to a small village with warm windows, a woman in a yellow coat walking two grey dogs along the sand, "
    "and far away a white ship with three masts under heavy clouds, painted in oil in the manner of Turner"
)
#: Prompt, height, width.
CASES: list[tuple[str, int, int]] = [
    ("a red circle above a blue square", 224, 224),
    (LONG, 200, 300),
    (LONG + ", high resolution", 200, 300),
    ("Two cats, sleeping; it's 5 o'clock.", 513, 200),
    ("Ein Caf\u00e9 in Z\u00fcrich \u2014 \u6771\u4eac na\u00efve &amp; bold", 31, 47),
    ("a photo of a dog", 512, 512),
    ("a photo of a dog", 97, 640),
    ("x", 1, 1),
    ("THE SAME AGAIN", 333, 225),
]
PREFIX = "A photo depicts "
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
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2},
}


def main() -> None:
    full = open_clip.get_model_config("ViT-L-14-quickgelu")
    packages = ("torchmetrics", "transformers", "clip-anytorch", "torch", "torchvision", "pillow")
    record: dict[str, Any] = {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "cases": CASES,
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = _tokenizer(Path(folder))
        for size, settings in (("reduced", REDUCED), ("full", full)):
            model = _openai(settings)
            shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
            state = seeded_state(shapes)
            model.load_state_dict(state)
            entry: dict[str, Any] = {
                "architecture": settings,
                "parameters": sum(p.numel() for p in model.parameters()),
                "shapes": shapes if size == "reduced" else None,
                "openai": _openai_cosines(model, ""),
                "openai_prefixed": _openai_cosines(model, PREFIX),
            }
            del model
            entry.update(_torchmetrics(settings, state, tokenizer))
            record["sizes"][size] = entry
            print(size, json.dumps(entry["openai"]), json.dumps(entry["alike"]), flush=True)
    target = Path(__file__).with_name("clip_reference.json")
    target.write_text(json.dumps(record, indent=1) + "\n")


def _openai(settings: dict[str, Any]) -> Any:
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


_preprocess = clip.clip._transform(224)


@torch.no_grad()
def _openai_cosines(model: Any, prefix: str) -> list[float]:
    found = []
    for place, (prompt, _, _) in enumerate(CASES):
        seen = model.encode_image(_preprocess(_picture(place))[None])
        read = model.encode_text(clip.tokenize([prefix + prompt], truncate=True))
        found.append(torch.cosine_similarity(seen, read).item())
    return found


def _torchmetrics(settings: dict[str, Any], state: dict[str, Tensor], tokenizer: Any) -> dict:
    model = _hugging_face(settings, state)
    processor = CLIPProcessor(CLIPImageProcessor(), tokenizer)
    entry: dict[str, Any] = {"alike": [], "as_shipped": [], "public": [], "same_crop": []}
    with torch.no_grad():
        for place, (prompt, _, _) in enumerate(CASES):
            image = _picture(place)
            tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            alike = _Alike(tokenizer, _preprocess(image)[None])
            entry["alike"].append(_cosine(tensor, prompt, model, alike))
            entry["as_shipped"].append(_cosine(tensor, prompt, model, processor))
            score = clip_score(tensor, prompt, model_name_or_path=lambda: (model, processor))
            entry["public"].append(score.item())
            own = processor(images=[tensor], return_tensors="pt")["pixel_values"]
            entry["same_crop"].append(bool((own - _preprocess(image)[None]).abs().max() < 1e-5))
    return entry


def _cosine(image: Tensor, prompt: str, model: Any, processor: Any) -> float:
    """torchmetrics' figure without its clamp at zero, as a cosine."""
    return _clip_score_update([image], [prompt], model, processor)[0].item() / 100


class _Alike:
    """A processor that gives torchmetrics OpenAI's pixels and lets the tokenizer cut long prompts."""

    def __init__(self, tokenizer: Any, pixels: Tensor) -> None:
        self.tokenizer = tokenizer
        self.pixels = pixels

    def __call__(self, text: Any = None, images: Any = None, **_: Any) -> dict[str, Any]:
        if images is not None:
            return {"pixel_values": self.pixels}
        return self.tokenizer(text, return_tensors="pt", truncation=True, max_length=77)


def _picture(place: int) -> Image.Image:
    _, height, width = CASES[place]
    return Image.fromarray(seeded_picture(height, width, seed=place))


def _tokenizer(folder: Path) -> Any:
    """Hugging Face's tokenizer from the merges that OpenAI's code carries."""
    own = clip.clip._tokenizer
    (folder / "vocab.json").write_text(json.dumps(own.encoder))
    lines = [" ".join(pair) for pair, _ in sorted(own.bpe_ranks.items(), key=lambda item: item[1])]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def _hugging_face(settings: dict[str, Any], state: dict[str, Tensor]) -> CLIPModel:
    vision, text = settings["vision_cfg"], settings["text_cfg"]
    shared = {"hidden_act": "quick_gelu", "projection_dim": settings["embed_dim"]}
    config = CLIPConfig(
        text_config={
            "vocab_size": text["vocab_size"],
            "hidden_size": text["width"],
            "intermediate_size": 4 * text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "bos_token_id": 49406,
            "eos_token_id": 49407,
            **shared,
        },
        vision_config={
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_size": vision["width"],
            "intermediate_size": 4 * vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // 64,
            **shared,
        },
        projection_dim=settings["embed_dim"],
    )
    model = CLIPModel(config).eval()
    missing, unexpected = model.load_state_dict(_renamed(state), strict=False)
    assert not unexpected, unexpected
    assert all(name.endswith("position_ids") for name in missing), missing
    return model


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {
        "logit_scale": state["logit_scale"],
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
        "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
        "text_projection.weight": state["text_projection"].T,
        "visual_projection.weight": state["visual.proj"].T,
    }
    for theirs, ours in (
        ("text_model.final_layer_norm", "ln_final"),
        ("vision_model.pre_layrnorm", "visual.ln_pre"),
        ("vision_model.post_layernorm", "visual.ln_post"),
    ):
        for kind in ("weight", "bias"):
            out[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    parts = (
        ("self_attn.out_proj", "attn.out_proj"),
        ("layer_norm1", "ln_1"),
        ("layer_norm2", "ln_2"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
    )
    for tower, start in (("text_model", ""), ("vision_model", "visual.")):
        blocks = f"{start}transformer.resblocks"
        layers = sum(n.startswith(f"{blocks}.") and n.endswith(".ln_1.bias") for n in state)
        for layer in range(layers):
            theirs, ours = f"{tower}.encoder.layers.{layer}", f"{blocks}.{layer}"
            for kind in ("weight", "bias"):
                stacked = state[f"{ours}.attn.in_proj_{kind}"].chunk(3)
                for letter, piece in zip("qkv", stacked, strict=True):
                    out[f"{theirs}.self_attn.{letter}_proj.{kind}"] = piece
                for name, own in parts:
                    out[f"{theirs}.{name}.{kind}"] = state[f"{ours}.{own}.{kind}"]
    return out


if __name__ == "__main__":
    main()
