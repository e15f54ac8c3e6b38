"""The protocol of a score: all that the figure depends on besides the weights that are scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

from zoo_core.recipe import Recipe
from zoo_core.schema import flatten, to_dict

DRAWING_LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch", "numpy")
SCORING_LIBRARIES = ("torch", "numpy", "pillow")

SEED_RULE = "unit normal by Philox from (seed, prompt id)"
"""How the noise of an image is found (`zoo_core.stream.bits.prompt_noise`)."""

#: What a person calls the entries of a protocol; others are named by their dotted key.
_WORDS = {
    "prompts.set": "prompt set",
    "prompts.hash": "content of the prompt set",
    "prompts.count": "number of prompts",
    "drawing.sampling.scheduler": "sampler",
    "drawing.sampling.steps": "denoising steps",
    "drawing.sampling.guidance": "guidance",
    "drawing.sampling.seed": "seed",
    "drawing.noise": "seed rule",
    "drawing.resolution": "resolution",
    "drawing.weights": "kind of weights",
    "drawing.precision": "precision",
    "drawing.images": "origin of the images",
    "metric.name": "metric",
    "metric.variant": "variant of the metric",
    "metric.preprocessing": "preprocessing",
    "references": "real images",
}


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The installed versions of those libraries that are there."""
    found = {}
    for library in libraries:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def drawing_protocol(recipe: Recipe, weights: str) -> dict[str, Any]:
    """All that images depend on besides prompts, backbone and library versions.

    weights: ``raw``, those of training, or ``ema``, their average. The batch size is left out: it
    moves an image by rounding at most.
    """
    sampling = {
        key: value for key, value in to_dict(recipe.sampling).items() if key != "batch_size"
    }
    return {
        "sampling": sampling,
        "noise": SEED_RULE,
        "diffusion": to_dict(recipe.diffusion),
        "resolution": recipe.data.resolution,
        "weights": weights,
        "precision": recipe.training.precision,
    }


def protocol(
    drawing: Mapping[str, Any],
    prompts: Mapping[str, Any],
    metric: Mapping[str, Any],
    references: str | None,
    libraries: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The ingredients of one score as plain values; two scores compare only when these are equal.

    drawing: `drawing_protocol`, or where the images came from. prompts: set, hash and count. metric:
    its name and `Metric.protocol`. references: fingerprint of the real images, if any. libraries:
    versions for drawing and for scoring.
    """
    ingredients: dict[str, Any] = {
        "prompts": dict(prompts),
        "drawing": dict(drawing),
        "metric": dict(metric),
        "libraries": {name: dict(found) for name, found in libraries.items()},
    }
    if references is not None:
        ingredients["references"] = references
    return ingredients


def fingerprint(ingredients: Mapping[str, Any]) -> str:
    """A digest of a protocol's ingredients: 16 hexadecimal digits."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def compare_protocols(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What differs between the ingredients of two scores, one phrase each; none when they agree.

    For example ``guidance 7.5 against 4.0``. The weights that were scored are no ingredient.
    """
    first, second = flatten(dict(a)), flatten(dict(b))
    keys = [key for key in [*_WORDS, *first, *second] if key in first or key in second]
    return [
        f"{_words(key)} {_value(first, key)} against {_value(second, key)}"
        for key in dict.fromkeys(keys)
        if first.get(key) != second.get(key)
    ]


def protocol_warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for every metric whose scores among the rows were taken under several protocols.

    rows: with ``metric``, ``step`` and ``ingredients``, as in ``scores.jsonl``. Each further protocol is
    compared with the metric's first.
    """
    sentences = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        mine = [row for row in rows if row["metric"] == metric]
        told: set[str] = set()
        for row in mine[1:]:
            differences = compare_protocols(mine[0]["ingredients"], row["ingredients"])
            sentence = "; ".join(differences)
            if differences and sentence not in told:
                told.add(sentence)
                sentences.append(
                    f"Scores of {metric} at steps {mine[0]['step']} and {row['step']} do not compare: "
                    f"{sentence}."
                )
    return sentences


def _words(key: str) -> str:
    section, _, rest = key.partition(".")
    use, _, library = rest.partition(".")
    if section == "libraries" and library:
        return f"version of {library} ({use})"
    return _WORDS.get(key, key)


def _value(table: Mapping[str, Any], key: str) -> str:
    return str(table[key]) if key in table else "nothing"
