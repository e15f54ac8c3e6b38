"""The protocol of a score: everything besides the weights that the figure depends on."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from typing import Any

from zoo_core.interfaces.metric import Metric
from zoo_core.interfaces.prompts import PromptSet
from zoo_core.recipe import Recipe
from zoo_core.schema import to_dict

_LIBRARIES = ("torch", "diffusers", "numpy")


def protocol(recipe: Recipe, prompts: PromptSet, count: int, metric: Metric) -> dict[str, Any]:
    """The ingredients of one score as plain values; two scores compare only when these are equal."""
    sampling = {
        key: value for key, value in to_dict(recipe.sampling).items() if key != "batch_size"
    }
    return {
        "prompts": {
            "set": recipe.slots["prompts"].name,
            "hash": prompts.fingerprint(),
            "count": count,
        },
        "sampling": sampling,
        "diffusion": to_dict(recipe.diffusion),
        "resolution": recipe.data.resolution,
        "weights": "raw",
        "precision": recipe.training.precision,
        "metric": {"name": metric.name, **metric.protocol()},
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }


def fingerprint(ingredients: dict[str, Any]) -> str:
    """A digest of a protocol's ingredients."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
