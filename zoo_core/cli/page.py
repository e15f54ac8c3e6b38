"""What `zoo show` knows about one name, as tables and numbers in base units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo_core.catalog.origin import locate
from zoo_core.cli.accounts import PUBLISHED, PUBLISHED_TOKENS, published_account, recipe_account
from zoo_core.cli.dry_run import account_table
from zoo_core.recipe import merge, preset_layers, resolve_recipe
from zoo_core.schema import describe, flatten, to_dict

if TYPE_CHECKING:
    from zoo_core.account import Account
    from zoo_core.catalog import Catalog, Variant


def preset_page(catalog: Catalog, name: str) -> dict[str, Any]:
    """A preset: its values, those of the presets it extends included, and where each stands."""
    preset = catalog.preset(name)
    values, origins = merge(preset_layers(catalog, name))
    return {
        "name": preset.name,
        "kind": "preset",
        "summary": preset.summary,
        "provider": preset.provider,
        "defined": preset.origin,
        "extends": preset.extends,
        "settings": [
            {"name": key, "value": value, "from": origins[key], "description": ""}
            for key, value in flatten(values).items()
        ],
    }


def component_page(
    catalog: Catalog, kind: str, name: str, preset: str | None = None
) -> dict[str, Any]:
    """A component: settings, provider, definition; of a backbone also its account.

    preset: settings and account as this preset builds the backbone, instead of its own settings and
        the account at the published tables' setting.
    """
    variant = catalog.find(kind, name)
    family = catalog.family(kind, variant.family)
    code = locate(family.component.target)
    page: dict[str, Any] = {
        "name": variant.name,
        "kind": kind,
        "summary": variant.summary or family.component.summary,
        "provider": variant.provider,
        "defined": catalog.describe_origin(variant) if variant.file.name else code,
        "family": family.component.name,
        "plugin": {
            "name": family.plugin.name,
            "distribution": family.plugin.distribution,
            "version": family.plugin.version,
            "api": family.plugin.api,
        },
        "target": family.component.target,
        "code": code,
        "reference": variant.reference,
    }
    sources = dict.fromkeys(variant.settings, f"variant {variant.name}")
    if preset is None:
        config = catalog.configure(variant)
        if kind == "backbone":
            page["setting"] = {**PUBLISHED, "text_tokens": PUBLISHED_TOKENS}
            account = published_account(catalog, variant)
            page["account"] = account_table(account)
            page["comparison"] = compare(account, variant)
    else:
        recipe = resolve_recipe(catalog, name, preset, need_dataset=False)
        config = recipe.backbone
        page["preset"] = preset
        page["setting"] = {
            "latent_channels": config.latent_channels,
            "latent_size": config.latent_size,
            "text_width": config.text_width,
            "text_tokens": recipe.text_encoder.tokens,
        }
        page["account"] = account_table(recipe_account(catalog, recipe))
        prefix = "backbone."
        sources.update(
            (key.removeprefix(prefix), origin)
            for key, origin in recipe.origins.items()
            if key.startswith(prefix)
        )
    values = to_dict(config)
    page["settings"] = [
        {
            "name": field.name,
            "value": values.get(field.name),
            "from": sources.get(field.name, "default"),
            "description": field.description,
        }
        for field in describe(type(config))
    ]
    return page


def compare(account: Account, variant: Variant) -> list[dict[str, Any]]:
    """The published figures beside the computed ones, with relative differences.

    Published attention columns have the middle block in for some families and out for others, without
    saying so; the nearer reading is taken, and named.
    """
    reference = variant.reference
    giga = 1e9
    rows: list[tuple[str, float, Any]] = [
        ("params_b", account.parameters / giga, reference.get("params_b")),
        ("gmacs", account.macs / giga, reference.get("gmacs")),
    ]
    attention = account.attention_macs / giga
    reading = "middle block included"
    printed = reference.get("attention_gmacs")
    if printed and account.middle_attention_macs:
        without = (account.attention_macs - account.middle_attention_macs) / giga
        if abs(without - printed) < abs(attention - printed):
            attention, reading = without, "without the middle block"
    if printed:
        rows.append(("attention_gmacs", attention, printed))
        share = 100 * attention / (account.macs / giga)
        rows.append(("attention_percent", share, reference.get("attention_percent")))
    return [
        {
            "figure": figure,
            "computed": computed,
            "published": published,
            "relative_difference": computed / published - 1,
            "reading": reading if figure.startswith("attention") else None,
        }
        for figure, computed, published in rows
        if published
    ]
