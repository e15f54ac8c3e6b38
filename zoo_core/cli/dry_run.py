"""What a training run would be and cost: a recipe file with comments, or JSON. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.cli.accounts import recipe_account
from zoo_core.cli.output import aligned
from zoo_core.cli.quantities import count, scaled
from zoo_core.recipe.layers import LISTS
from zoo_core.schema import flatten, to_dict

if TYPE_CHECKING:
    from zoo_core.account import Account
    from zoo_core.catalog import Catalog
    from zoo_core.recipe import Recipe

DEFAULT = "default"


def as_table(catalog: Catalog, recipe: Recipe, run: Path) -> dict[str, Any]:
    """Everything, for ``--json``: numbers in base units (bytes, MACs, FLOPs)."""
    account = recipe_account(catalog, recipe)
    return {
        "run": str(run),
        "preset": recipe.preset,
        "recipe": recipe.to_table(),
        "built": to_dict(recipe.backbone),
        "origins": recipe.origins,
        "components": recipe.provenance()["components"],
        "account": account_table(account),
        "cost": _cost(recipe, account),
    }


def account_table(account: Account) -> dict[str, int]:
    """An account's figures by name."""
    return {
        "parameters": account.parameters,
        "macs": account.macs,
        "attention_macs": account.attention_macs,
        "middle_attention_macs": account.middle_attention_macs,
        "attention_products": account.attention_products,
        "true_macs": account.true_macs,
        "weight_bytes": account.weight_bytes,
        "training_bytes": account.training_bytes,
    }


def as_lines(catalog: Catalog, recipe: Recipe, run: Path) -> list[str]:
    """A recipe file whose comments tell origins, shapes and cost."""
    account = recipe_account(catalog, recipe)
    lines = [f"# {recipe.name} under the preset '{recipe.preset}', to be trained in {run}"]
    lines += [*_recipe_lines(recipe), "", *_built_lines(recipe), "", *_cost_lines(recipe, account)]
    return lines


def _recipe_lines(recipe: Recipe) -> list[str]:
    """Every setting with its origin. Valid TOML, so that it can be kept and passed to ``--recipe``."""
    table = recipe.to_table()
    lines = [f"preset = {toml_value(table.pop('preset'))}"]
    listed = {kind: table.pop(kind) for kind in LISTS}
    sections = table | {
        f"{kind}.{toml_key(name)}": settings
        for kind, named in listed.items()
        for name, settings in named.items()
    }
    for section, values in sections.items():
        lines += ["", f"[{section}]"]
        rows = [
            [
                f"{key} = {toml_value(value)}",
                f"# {recipe.origins.get(f'{section}.{key}', DEFAULT)}",
            ]
            for key, value in flatten(values).items()
        ]
        lines += aligned(rows, [False, False]) if rows else []
    return lines


def _built_lines(recipe: Recipe) -> list[str]:
    """What the backbone's settings become: reduced, with the shapes of its surroundings."""
    divisor = recipe.scale.width_divisor
    how = f", every width divided by {divisor}" if divisor > 1 else ""
    rows = [
        [key, toml_value(value), recipe.origins.get(f"backbone.{key}", "")]
        for key, value in flatten(to_dict(recipe.backbone)).items()
        if key in ("text_width", "latent_channels", "latent_size")
        or value != recipe.slots["backbone"].settings.get(key, value)
    ]
    return [f"# The backbone as built{how}:", *_comments(aligned(rows, [False, False, False]))]


def _cost(recipe: Recipe, account: Account) -> dict[str, Any]:
    """Estimates in base units: FLOPs, images, bytes."""
    from zoo_core.account.training import storage, training_compute

    training = recipe.training
    compute = training_compute(account, training.batch_size, training.steps)
    return {
        "images_seen": training.batch_size * training.steps,
        "training_gflops": compute.paper_gflops,
        "true_training_gflops": compute.true_gflops,
        "training_bytes": account.training_bytes,
        "checkpoint_bytes": storage(account).checkpoint,
    }


def _cost_lines(recipe: Recipe, account: Account) -> list[str]:
    cost = _cost(recipe, account)
    channels, height, width = recipe.latent_shape
    text = recipe.text_encoder
    account_rows = [
        ["parameters", count(account.parameters)],
        ["MACs, without the attention products", scaled(account.macs, "MACs")],
        ["MACs, all", scaled(account.true_macs, "MACs")],
    ]
    training = recipe.training
    cost_rows = [
        ["images seen", f"{count(cost['images_seen'])} ({training.steps} x {training.batch_size})"],
        ["training compute", f"{cost['training_gflops']:.3g} GFLOPs (3 x 2 x MACs x images)"],
        ["  attention products included", f"{cost['true_training_gflops']:.3g} GFLOPs"],
        ["weights, gradients, AdamW's moments", scaled(cost["training_bytes"], "B")],
        ["a checkpoint on disk", scaled(cost["checkpoint_bytes"], "B")],
    ]
    shape = f"latents {channels} x {height} x {width}, text {text.tokens} x {text.width}"
    return [
        f"# One forward pass at batch 1 ({shape}):",
        *_comments(aligned(account_rows, [False, False])),
        "#",
        "# Training, without the frozen encoders and activations:",
        *_comments(aligned(cost_rows, [False, False])),
    ]


def _comments(lines: list[str]) -> list[str]:
    return [f"#   {line}" for line in lines]


def toml_key(name: str) -> str:
    """A key, quoted where TOML needs it."""
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isalnum() and name.isascii() else json.dumps(name, ensure_ascii=False)


def toml_value(value: Any) -> str:
    """A value on one line. TOML writes strings, numbers, truth values and lists as JSON does."""
    if isinstance(value, dict):
        inside = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{{inside}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
