"""A backbone's account at the setting of the published tables, and under a recipe. No torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_core.account import Account
    from zoo_core.catalog import Catalog, Family, Variant
    from zoo_core.recipe import Recipe

#: Li et al. 2024, Tables 1 and 2: 256 x 256 pixels, latents 4 x 32 x 32, text 77 x 1024.
PUBLISHED = {"latent_channels": 4, "latent_size": 32, "text_width": 1024}
PUBLISHED_TOKENS = 77


def published_account(catalog: Catalog, variant: Variant) -> Account:
    """The account of a backbone variant at the tables' setting."""
    family = catalog.family("backbone", variant.family)
    config = catalog.configure(variant, PUBLISHED)
    return _account(family, config, PUBLISHED["latent_size"], PUBLISHED_TOKENS)


def recipe_account(catalog: Catalog, recipe: Recipe) -> Account:
    """The account of the backbone as a recipe builds it."""
    slot = recipe.slots["backbone"]
    family = catalog.family("backbone", f"{slot.provenance['plugin']}:{slot.family}")
    return _account(family, recipe.backbone, recipe.latent_size, recipe.text_encoder.tokens)


def _account(family: Family, config: Any, latent_size: int, text_tokens: int) -> Account:
    """By the family's closed form; without one, counted by another process and remembered."""
    closed_form = family.account()
    if closed_form is not None:
        return closed_form(config, latent_size, text_tokens)
    from zoo_core.account.isolated import count_in_subprocess
    from zoo_core.catalog.cache import cache_folder

    cache = cache_folder() / "accounts"
    return count_in_subprocess(family.component, config, latent_size, text_tokens, cache)
