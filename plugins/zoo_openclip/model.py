"""OpenCLIP's text tower: penultimate states after the final norm, without a mask."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import open_clip
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import QuickGELU, TextTransformer
from torch import Tensor, nn

from zoo_core.adapters.weights import load_part, read_json, safetensors_files
from zoo_core.catalog.resource import locate
from zoo_core.errors import ConfigError, did_you_mean
from zoo_core.interfaces.text_encoder import TextEncoder, TextStates
from zoo_openclip.config import OpenCLIPConfig

_FILES = ("open_clip_model.safetensors", "model.safetensors")


@final
class OpenCLIPTextEncoder(TextEncoder):
    """Holds a `TextTransformer` and its tokenizer; the image tower is never built.

    States are the last but one layer's output after the final LayerNorm, as in Stable Diffusion 2.
    All tokens count: CLIP was trained without a padding mask, and its padding carries meaning.
    """

    def __init__(
        self, config: OpenCLIPConfig, tower: TextTransformer, tokenizer: SimpleTokenizer
    ) -> None:
        super().__init__(config)
        self.tower = tower
        self.tokenizer = tokenizer

    def encode(self, captions: Sequence[str]) -> TextStates:
        """See `TextEncoder.encode`. Captions are lower-cased by OpenCLIP's tokenizer."""
        ids = self.tokenizer(list(captions), context_length=self.config.tokens)
        return self.encode_ids(ids.to(self.tower.positional_embedding.device))

    def encode_ids(self, ids: Tensor) -> TextStates:
        """States [B, L, D] of token ids [B, L] int64, L = `config.tokens`."""
        layers = len(self.tower.transformer.resblocks)
        output = self.tower.forward_intermediates(
            ids,
            indices=[layers - 2],
            stop_early=True,
            normalize_intermediates=True,
            intermediates_only=True,
            output_fmt="NLC",
        )
        return TextStates(output["text_intermediates"][0])  # [B, L, D]


def build(config: OpenCLIPConfig) -> OpenCLIPTextEncoder:
    """A text encoder with fresh weights, or those of the folder `config.weights`.

    Raises `ConfigError` when open_clip does not know the model, when the architecture has another
    width or length than configured, or when weights or vocabulary do not fit it.
    """
    folder = locate(config.weights) if config.weights else None
    settings, source = _settings(config, folder)
    text = dict(settings["text_cfg"])
    for key, configured, key_there in (
        ("width", config.width, "width"),
        ("tokens", config.tokens, "context_length"),
    ):
        if text[key_there] != configured:
            raise ConfigError(
                f"OpenCLIPConfig: {key} is {configured}, but {source} has {text[key_there]}; set {key} = "
                f"{text[key_there]}.",
                key=key,
            )
    tokenizer_arguments = text.pop("tokenizer_kwargs", {})
    tower = _tower(settings, text, source)
    tokenizer = _tokenizer(folder, config.tokens, tokenizer_arguments)
    if tokenizer.vocab_size != tower.vocab_size:
        raise ConfigError(
            f"{source} has {tower.vocab_size} tokens, its vocabulary {tokenizer.vocab_size}; the folder of "
            f"weights needs the *.txt.gz of merges that the model was trained with."
        )
    if folder is not None:
        # A CLIP model has its text tower's tensors at the top, a model of two towers under "text.".
        load_part(tower, safetensors_files(folder, _FILES), prefixes=("", "text."))
    return OpenCLIPTextEncoder(config, tower, tokenizer)


def _settings(config: OpenCLIPConfig, folder: Path | None) -> tuple[dict[str, Any], str]:
    """open_clip's model configuration with all text settings, and where it comes from."""
    if folder is not None and (folder / "open_clip_config.json").is_file():
        stored = read_json(folder / "open_clip_config.json")
        settings, source = stored.get("model_cfg", stored), f"{folder / 'open_clip_config.json'}"
    else:
        settings, source = open_clip.get_model_config(config.model), f"open_clip's {config.model}"
    if settings is None:
        hint = did_you_mean(config.model, open_clip.list_models())
        raise ConfigError(
            f"OpenCLIPConfig: open_clip knows no model '{config.model}'. {hint}", key="model"
        )
    if "text_cfg" not in settings or "embed_dim" not in settings:
        raise ConfigError(f"{source} is no model configuration: it lacks text_cfg or embed_dim.")
    return {
        **settings,
        "text_cfg": {"context_length": 77, "width": 512, **settings["text_cfg"]},
    }, source


def _tower(settings: dict[str, Any], text: dict[str, Any], source: str) -> TextTransformer:
    known = inspect.signature(TextTransformer).parameters
    unknown = [key for key in text if key not in known]
    if unknown:
        raise ConfigError(f"{source} sets text_cfg.{unknown[0]}, which this family does not build.")
    return TextTransformer(
        **text,
        output_dim=settings["embed_dim"],
        act_layer=QuickGELU if settings.get("quick_gelu", False) else nn.GELU,
    )


def _tokenizer(folder: Path | None, tokens: int, arguments: dict[str, Any]) -> SimpleTokenizer:
    vocabularies = sorted(folder.glob("*.txt.gz")) if folder is not None else []
    if len(vocabularies) > 1:
        listed = ", ".join(path.name for path in vocabularies)
        raise ConfigError(
            f"{folder} has several vocabularies ({listed}); keep the one that belongs to the model."
        )
    if vocabularies:
        arguments = {**arguments, "bpe_path": str(vocabularies[0])}
    return SimpleTokenizer(context_length=tokens, **arguments)
