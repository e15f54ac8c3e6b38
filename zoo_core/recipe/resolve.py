"""From a name, a preset, a file and ``--set`` values to a resolved recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_core.catalog import Catalog
from zoo_core.errors import ConfigError, did_you_mean
from zoo_core.interfaces.config import (
    BackboneConfig,
    DatasetConfig,
    TextEncoderConfig,
    VAEConfig,
)
from zoo_core.recipe.blame import origin_of, typed
from zoo_core.recipe.layers import LISTS, SLOTS, Layer, merge, parse_assignment
from zoo_core.recipe.lengths import put_lengths_in_steps
from zoo_core.recipe.recipe import Recipe, Slot
from zoo_core.recipe.sections import SECTIONS
from zoo_core.schema import Config, convert, flatten, load_toml, to_dict

_BASES: dict[str, type[Config]] = {
    "backbone": BackboneConfig,
    "vae": VAEConfig,
    "text_encoder": TextEncoderConfig,
    "dataset": DatasetConfig,
}
#: Keys the recipe fills in; given explicitly they are refused, so that two sources cannot disagree.
_FILLED = {
    "backbone": {
        "text_width": "text_encoder",
        "latent_channels": "vae",
        "latent_size": "data.resolution",
    },
    "dataset": {"resolution": "data.resolution"},
}


def resolve_recipe(
    catalog: Catalog,
    backbone: str,
    preset: str,
    recipe_file: Path | None = None,
    assignments: Sequence[str] = (),
    need_dataset: bool = True,
) -> Recipe:
    """The recipe of a backbone under a preset: preset, then variant, then file, then assignments.

    Raises `ConfigError` (or a subclass) naming key, value, origin and remedy.
    """
    variant = catalog.find("backbone", backbone)
    layers = preset_layers(catalog, preset)
    layers.append(Layer("argument", {"backbone": {"name": backbone}}))
    if preset in variant.preset:
        prefix = f"{variant.kind}.{variant.name}.preset.{preset}."
        layers.append(
            Layer(f"variant {variant.name}", variant.preset[preset], variant.file, prefix)
        )
    if recipe_file is not None:
        values = load_toml(recipe_file)
        values.pop("preset", None)
        layers.append(Layer("recipe", values, recipe_file))
    layers.extend(Layer("--set", parse_assignment(text)) for text in assignments)
    table, origins = merge(layers)
    if table["backbone"]["name"] != backbone:
        where = origins["backbone.name"]
        raise ConfigError(
            f"{where}: backbone.name is '{table['backbone']['name']}' but '{backbone}' was asked for; "
            f"leave one out.",
            key="backbone.name",
        )
    return _resolve(catalog, preset, table, origins, need_dataset)


def recipe_from_table(catalog: Catalog, table: dict[str, Any], label: str) -> Recipe:
    """The recipe a run folder holds. `label` names the file for messages."""
    values = dict(table)
    preset = values.pop("preset", "none")
    merged, origins = merge([Layer(label, values)])
    return _resolve(catalog, preset, merged, origins, need_dataset=False)


def without_loggers(table: dict[str, Any]) -> dict[str, Any]:
    """A run's table with no logger in it, for work that logs nothing.

    So a run can be read where the packages of its loggers are not installed.
    """
    rest = {key: values for key, values in table.items() if key != "logger"}
    return {**rest, "logging": {**table.get("logging", {}), "loggers": []}}


def preset_layers(catalog: Catalog, name: str) -> list[Layer]:
    """A preset as layers, the one that extends no other first. Raises `ConfigError` for a circle."""
    chain: list[Layer] = []
    seen: list[str] = []
    wanted: str | None = name
    while wanted is not None:
        if wanted in seen:
            raise ConfigError(
                f"Presets extend each other in a circle: {' -> '.join([*seen, wanted])}."
            )
        seen.append(wanted)
        preset = catalog.preset(wanted)
        chain.append(
            Layer(f"preset {preset.name}", preset.values, preset.file, f"preset.{preset.name}.")
        )
        wanted = preset.extends
    return chain[::-1]


def _resolve(
    catalog: Catalog,
    preset: str,
    table: dict[str, Any],
    origins: dict[str, str],
    need_dataset: bool,
) -> Recipe:
    _refuse_unknown_sections(table, origins)
    put_lengths_in_steps(table, origins)
    sections = {
        name: typed(table.get(name, {}), section, name, origins)
        for name, section in SECTIONS.items()
    }
    slots: dict[str, Slot] = {}
    for slot_name, kind in SLOTS.items():
        settings = dict(table.get(slot_name, {}))
        name = settings.pop("name", None)
        if not name:
            if slot_name == "dataset" and not need_dataset:
                continue
            if slot_name == "prompts" and not sections["evaluation"].metrics:  # type: ignore[attr-defined]
                continue  # nothing is scored, so nothing needs to be drawn
            raise ConfigError(_why_empty(slot_name, kind, preset), key=f"{slot_name}.name")
        slots[slot_name] = _slot(catalog, kind, name, settings, slot_name, origins)
    listed = {
        f"{kind}s": _listed(
            catalog, kind, f"{section}.{key}", getattr(sections[section], key), table, origins
        )
        for kind, (section, key) in LISTS.items()
    }
    _fit_together(slots, sections, origins)
    return Recipe(preset=preset, slots=slots, origins=origins, **listed, **sections)  # type: ignore[arg-type]


def _listed(
    catalog: Catalog,
    kind: str,
    key: str,
    names: Sequence[str],
    table: dict[str, Any],
    origins: dict[str, str],
) -> tuple[Slot, ...]:
    """The components of a kind that the list at `key` names, with their settings in ``[kind.NAME]``."""
    tables = table.get(kind, {})
    if not isinstance(tables, dict):
        raise ConfigError(
            f"{origin_of(origins, kind)}: '{kind}' must hold tables such as [{kind}.NAME], not {tables!r}.",
            key=kind,
        )
    for name in tables:
        where = origin_of(origins, f"{kind}.{name}")
        if name not in names:
            own = [
                value for dotted, value in origins.items() if dotted.startswith(f"{kind}.{name}.")
            ]
            if own and all(origin.startswith("preset ") for origin in own):
                continue  # the user's list leaves out what the preset had settings for
            raise ConfigError(
                f"{where}: [{kind}.{name}] has settings, but {key} does not name it. "
                f"{did_you_mean(name, names)}",
                key=f"{kind}.{name}",
            )
        if not isinstance(tables[name], dict):
            raise ConfigError(
                f"{where}: '{kind}.{name}' must be a table, not {tables[name]!r}.", f"{kind}.{name}"
            )
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{origin_of(origins, key)}: {key} names '{name}' {names.count(name)} times; once is enough.",
                key=key,
            )
    return tuple(
        _slot(catalog, kind, name, dict(tables.get(name, {})), f"{kind}.{name}", origins)
        for name in names
    )


def _slot(
    catalog: Catalog,
    kind: str,
    name: str,
    settings: dict[str, Any],
    slot_name: str,
    origins: dict[str, str],
) -> Slot:
    for key, source in _FILLED.get(slot_name, {}).items():
        if key in settings:
            raise ConfigError(
                f"{origin_of(origins, f'{slot_name}.{key}')}: '{slot_name}.{key}' cannot be set; it "
                f"follows from {source}.",
                key=f"{slot_name}.{key}",
            )
    try:
        variant = catalog.find(kind, name)
    except ConfigError as error:
        where = origin_of(origins, f"{slot_name}.name")
        raise type(error)(f"{error}" if where == "argument" else f"{where}: {error}") from None
    family = catalog.family(kind, variant.family)
    definition = catalog.describe_origin(variant)
    file = variant.file if variant.file.name else None
    place = Layer(f"variant {variant.name}", {}, file, f"{kind}.{variant.name}.")
    for key in flatten(variant.settings):
        origins.setdefault(f"{slot_name}.{key}", place.origin(key))
    merged = {**variant.settings, **settings}
    config = typed(
        merged, family.config_type(), slot_name, origins, f"variant {variant.name} ({definition})"
    )
    base = _BASES.get(slot_name)
    assert base is None or isinstance(config, base), f"{family.component.config} is no {base}"
    return Slot(
        kind=kind,
        name=name,
        family=family.component.name,
        settings={k: v for k, v in to_dict(config).items() if k not in _FILLED.get(slot_name, {})},
        config=config,
        provenance={
            "family": family.component.name,
            "plugin": family.plugin.name,
            "distribution": family.plugin.distribution,
            "version": family.plugin.version,
            "target": family.component.target,
            "definition": definition,
        },
    )


def _fit_together(
    slots: dict[str, Slot], sections: dict[str, Config], origins: dict[str, str]
) -> None:
    """Reduce the backbone's widths and fill in the shapes that follow from the other components."""
    vae, text = slots["vae"].config, slots["text_encoder"].config
    assert isinstance(vae, VAEConfig)
    assert isinstance(text, TextEncoderConfig)
    resolution: int = sections["data"].resolution  # type: ignore[attr-defined]
    divisor: int = sections["scale"].width_divisor  # type: ignore[attr-defined]
    if resolution % vae.downsampling:
        where = origin_of(origins, "data.resolution")
        fits = max(vae.downsampling, resolution // vae.downsampling * vae.downsampling)
        raise ConfigError(
            f"{where}: data.resolution {resolution} is no multiple of the VAE's downsampling "
            f"{vae.downsampling}; {fits} fits.",
            key="data.resolution",
        )
    backbone = slots["backbone"].config
    assert isinstance(backbone, BackboneConfig)
    if divisor > 1:
        backbone = backbone.reduced(divisor)
        origins["backbone (widths)"] = f"divided by scale.width_divisor = {divisor}"
    backbone = _replaced(
        backbone,
        text_width=text.width,
        latent_channels=vae.latent_channels,
        latent_size=resolution // vae.downsampling,
    )
    origins["backbone.text_width"] = f"text encoder {slots['text_encoder'].name}"
    origins["backbone.latent_channels"] = f"VAE {slots['vae'].name}"
    origins["backbone.latent_size"] = f"data.resolution / VAE {slots['vae'].name}'s downsampling"
    slots["backbone"] = _with_config(slots["backbone"], backbone)
    if "dataset" in slots:
        dataset = _replaced(slots["dataset"].config, resolution=resolution)
        slots["dataset"] = _with_config(slots["dataset"], dataset)
        origins["dataset.resolution"] = "data.resolution"


def _replaced(config: Any, **changes: Any) -> Any:
    """A copy with changed fields, validated like any other (replace alone runs no checks of types)."""
    return convert({**to_dict(config), **changes}, type(config), type(config).__name__)


def _with_config(slot: Slot, config: Config) -> Slot:
    return Slot(slot.kind, slot.name, slot.family, slot.settings, config, slot.provenance)


def _refuse_unknown_sections(table: dict[str, Any], origins: dict[str, str]) -> None:
    known = (*SLOTS, *SECTIONS, *LISTS)
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known) or f"Sections: {', '.join(known)}."
            raise ConfigError(
                f"{origin_of(origins, key)}: unknown section '{key}'. {hint}", key=key
            )


def _why_empty(slot_name: str, kind: str, preset: str) -> str:
    flag = "--data NAME" if slot_name == "dataset" else f"--set {slot_name}.name=NAME"
    return (
        f"The preset '{preset}' leaves the {kind} open: choose one with {flag} "
        f"('zoo list {kind}' shows them)."
    )
