"""Look-up of names: families, variants, presets; suggestion, collision, origin."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from zoo_core.catalog.files import Preset, Variant, read_registry
from zoo_core.catalog.natural import matching, natural_key
from zoo_core.errors import (
    ConfigError,
    NameCollisionError,
    PluginError,
    UnknownNameError,
    did_you_mean,
)
from zoo_core.host import PluginHost, PluginStatus, load_plugins
from zoo_core.interfaces.manifest import KINDS, Component
from zoo_core.schema import Config, convert

CORE_PROVIDER = "zoo"
REGISTRY_VARIABLE = "ZOO_REGISTRY"


class Family(msgspec.Struct, frozen=True):
    """A component family and the plugin that provides it."""

    component: Component
    plugin: PluginStatus

    @property
    def origin(self) -> str:
        return f"{self.plugin.name}: {self.component.target}"

    def config_type(self) -> type[Config]:
        """The family's settings type; its module is light by contract."""
        return _load(self.component.config, self, Config)

    def configure(self, settings: dict[str, Any], where: str | Callable[[], str]) -> Config:
        """Settings as the family's typed config. Raises `ConfigError` opened by `where`."""
        return convert(settings, self.config_type(), where)

    def account(self) -> Callable[[Any, int, int], Any] | None:
        """The closed form ``(config, latent_size, text_tokens) -> Account``; None without one."""
        target = self.component.account
        return None if target is None else _load(target, self, None)

    def target(self) -> Any:
        """The callable that builds the component; imports whatever it needs, torch included."""
        return _load(self.component.target, self, None)


class Catalog:
    """Everything that has a name. Made by `open_catalog`.

    registries: the user's files it was opened with, so that another process can open its equal.
    """

    def __init__(self, host: PluginHost, registries: Sequence[Path] = ()) -> None:
        self.host = host
        self.registries = tuple(path.resolve() for path in registries)
        self.variants: list[Variant] = []
        self.presets: list[Preset] = []
        self.files: list[Path] = []

    @cached_property
    def families(self) -> list[Family]:
        """All families of all loaded plugins, by kind and name."""
        found = [Family(c, plugin) for plugin in self.host.loaded for c in plugin.components]
        return sorted(
            found, key=lambda f: (KINDS.index(f.component.kind), natural_key(f.component.name))
        )

    def names(self, kind: str, pattern: str | None = None) -> list[str]:
        """Names of a kind in natural order; those claimed twice appear qualified.

        A family that comes with variants of its own is represented by them.
        """
        listed = [
            (variant.name, variant.provider)
            for variant in self._usable(kind)
            if variant.file.name or not self._has_own_variants(kind, variant)
        ]
        return matching(_qualified(listed), pattern)

    def find(self, kind: str, name: str) -> Variant:
        """The variant of a kind called `name` or ``provider:name``.

        A family without a variant of its own name is found too, with its default settings. Raises
        `UnknownNameError` with suggestions, or with the plugin that failed and why; raises
        `NameCollisionError` naming both definitions.
        """
        provider, _, bare = name.rpartition(":")
        found = [
            variant
            for variant in self._usable(kind)
            if variant.name == bare and provider in ("", variant.provider)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            places = "; ".join(f"{v.provider}:{v.name} ({self.describe_origin(v)})" for v in found)
            raise NameCollisionError(
                f"The {kind} '{bare}' is defined {len(found)} times: {places}. "
                f"Say which, for example '{found[0].provider}:{bare}'."
            )
        raise UnknownNameError(self._why_unknown(kind, name))

    def family(self, kind: str, name: str) -> Family:
        """The family of a kind called `name` or ``plugin:name``.

        Raises `PluginError` when no loaded plugin provides it, with the failed plugins as the likely
        reason, and `NameCollisionError` naming both targets.
        """
        plugin, _, bare = name.rpartition(":")
        found = [
            family
            for family in self.families
            if (family.component.kind, family.component.name) == (kind, bare)
            and plugin in ("", family.plugin.name)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            targets = " and ".join(
                f"{f.component.target} (plugin {f.plugin.name}, {f.plugin.distribution} {f.plugin.version})"
                for f in found
            )
            raise NameCollisionError(
                f"The {kind} family '{bare}' is provided twice: {targets}. "
                f"Write it as '{found[0].plugin.name}:{bare}', or switch one off with "
                f"ZOO_DISABLE_PLUGINS={found[1].plugin.name}."
            )
        raise PluginError(self._why_no_family(kind, name))

    def preset_names(self, pattern: str | None = None) -> list[str]:
        """Names of presets in natural order; those claimed twice appear qualified."""
        return matching(_qualified((p.name, p.provider) for p in self.presets), pattern)

    def kind_of(self, name: str) -> str:
        """The kind that has this name: one of `KINDS`, or ``"preset"``.

        Raises `UnknownNameError` with suggestions from all kinds, and `ConfigError` when several kinds
        have it.
        """
        known: dict[str, set[str]] = {}
        for kind in KINDS:
            for variant in self._usable(kind):
                for spelling in (variant.name, f"{variant.provider}:{variant.name}"):
                    known.setdefault(spelling, set()).add(kind)
        for preset in self.presets:
            for spelling in (preset.name, f"{preset.provider}:{preset.name}"):
                known.setdefault(spelling, set()).add("preset")
        kinds = sorted(known.get(name, ()), key=[*KINDS, "preset"].index)
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            raise ConfigError(
                f"'{name}' names a {' and a '.join(kinds)}; say which with --kind, for example "
                f"--kind {kinds[0]}."
            )
        hint = did_you_mean(name, (spelling for spelling in known if ":" not in spelling))
        hint = hint or "'zoo list' shows what there is."
        raise UnknownNameError(
            f"Nothing is called '{name}'. {hint} {self._failed_sentence()}".rstrip()
        )

    def preset(self, name: str) -> Preset:
        """The preset called `name` or ``provider:name``. Raises `UnknownNameError`."""
        provider, _, bare = name.rpartition(":")
        found = [p for p in self.presets if p.name == bare and provider in ("", p.provider)]
        if len(found) == 1:
            return found[0]
        if found:
            places = "; ".join(f"{p.provider}:{p.name} ({p.origin})" for p in found)
            raise NameCollisionError(
                f"The preset '{bare}' is defined {len(found)} times: {places}."
            )
        known = sorted({p.name for p in self.presets}, key=natural_key)
        hint = did_you_mean(bare, known) or f"Presets: {', '.join(known)}."
        raise UnknownNameError(f"No preset is called '{name}'. {hint}")

    def configure(self, variant: Variant, overrides: dict[str, Any] | None = None) -> Config:
        """A variant's typed settings. Raises `ConfigError` naming its file and line, or the override."""
        family = self.family(variant.kind, variant.family)

        def where() -> str:
            return f"{self.describe_origin(variant)}, {variant.kind} '{variant.name}'"

        return family.configure({**variant.settings, **(overrides or {})}, where)

    def describe_origin(self, variant: Variant) -> str:
        """Where a name comes from: ``file:line``, or the target for a bare family."""
        if variant.file.name:
            return variant.origin
        return self.family(variant.kind, variant.family).component.target

    def _usable(self, kind: str) -> Iterable[Variant]:
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"Kinds: {', '.join(KINDS)}."
            raise UnknownNameError(f"No kind of component is called '{kind}'. {hint}")
        named = [variant for variant in self.variants if variant.kind == kind]
        yield from named
        taken = {variant.name for variant in named}
        for family in self.families:
            component = family.component
            if component.kind == kind and component.name not in taken:
                yield Variant(
                    kind=kind,
                    name=component.name,
                    family=f"{family.plugin.name}:{component.name}",
                    settings={},
                    provider=family.plugin.name,
                    file=Path(),
                    summary=component.summary,
                )

    def _has_own_variants(self, kind: str, bare: Variant) -> bool:
        """Whether the zoo's registry or the family's own plugin names variants of a bare family."""
        own = (CORE_PROVIDER, bare.provider)
        return any(
            variant.kind == kind
            and variant.provider in own
            and variant.family in (bare.name, bare.family)
            for variant in self.variants
        )

    def _why_unknown(self, kind: str, name: str) -> str:
        known = self.names(kind)
        hint = did_you_mean(name, known)
        lead = f"No {kind} is called '{name}'."
        failed = self._failed_sentence()
        elsewhere = [k for k in KINDS if k != kind and name in self.names(k)]
        if elsewhere:
            return f"{lead} There is a {elsewhere[0]} of that name."
        if hint:
            return f"{lead} {hint}"
        return " ".join(filter(None, [lead, f"'zoo list {kind}' shows all {len(known)}.", failed]))

    def _why_no_family(self, kind: str, name: str) -> str:
        bare = name.rpartition(":")[2]
        twin = next((p for p in self.host.plugins if p.name == bare and p.state != "loaded"), None)
        if twin is not None and twin.state == "disabled":
            return (
                f"The {kind} family '{name}' exists, but its plugin '{twin.name}' is {twin.error}."
            )
        if twin is not None:
            return (
                f"The {kind} family '{name}' exists, but its plugin '{twin.name}' ({twin.distribution} "
                f"{twin.version}) failed to load: {twin.error}. 'zoo plugins' shows more."
            )
        known = [f.component.name for f in self.families if f.component.kind == kind]
        hint = did_you_mean(name, known) or f"Families: {', '.join(known) or 'none'}."
        return " ".join(
            filter(
                None,
                [
                    f"No loaded plugin provides a {kind} family '{name}'.",
                    hint,
                    self._failed_sentence(),
                ],
            )
        )

    def _failed_sentence(self) -> str:
        if not self.host.failed:
            return ""
        names = ", ".join(f"{p.name} ({p.error})" for p in self.host.failed)
        return f"Plugins that failed to load may provide it: {names}."


def open_catalog(registries: Sequence[Path] = (), host: PluginHost | None = None) -> Catalog:
    """The catalogue of installed plugins, the zoo's ``registry.toml``, and the user's own files.

    registries: further TOML files; those of the environment variable ``ZOO_REGISTRY`` (separated as
    in PATH) come first. A plugin whose own fragment is malformed counts as failed; a user's file that
    is malformed raises `ConfigError`.
    """
    host = host or load_plugins()
    catalog = Catalog(host, registries)
    _add(catalog, core_registry(), CORE_PROVIDER)
    for plugin in host.loaded:
        fragments = plugin.registries
        try:
            for path in fragments:
                _add(catalog, path, plugin.name)
        except ConfigError as error:
            host.reject(plugin, error)
            catalog.variants = [v for v in catalog.variants if v.provider != plugin.name]
            catalog.presets = [p for p in catalog.presets if p.provider != plugin.name]
            catalog.files = [f for f in catalog.files if f not in fragments]
    from_environment = [
        Path(p) for p in os.environ.get(REGISTRY_VARIABLE, "").split(os.pathsep) if p
    ]
    for path in (*from_environment, *registries):
        _add(catalog, path.resolve(), path.stem)
    return catalog


def core_registry() -> Path:
    """``registry.toml``: inside the installed package, or at the top of a checkout."""
    installed = Path(__file__).parents[1] / "registry.toml"
    return installed if installed.is_file() else Path(__file__).parents[2] / "registry.toml"


def _qualified(claims: Iterable[tuple[str, str]]) -> list[str]:
    """Names of (name, provider) pairs, as ``provider:name`` where two providers claim one."""
    providers: dict[str, list[str]] = {}
    for name, provider in claims:
        providers.setdefault(name, []).append(provider)
    return [
        name if len(of) == 1 else f"{provider}:{name}"
        for name, of in providers.items()
        for provider in of
    ]


def _add(catalog: Catalog, path: Path, provider: str) -> None:
    variants, presets = read_registry(path, provider)
    catalog.variants.extend(variants)
    catalog.presets.extend(presets)
    catalog.files.append(path)


def _load(target: str, family: Family, expected: type | None) -> Any:
    """Import ``module:attribute`` of a family. Raises `PluginError` naming plugin, target and cause."""
    module_name, attribute = target.split(":")
    who = (
        f"The {family.component.kind} family '{family.component.name}' (plugin {family.plugin.name}, "
        f"{family.plugin.distribution} {family.plugin.version})"
    )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        extra = family.component.extra
        fix = (
            f" Install it with: pip install '{family.plugin.distribution}[{extra}]'."
            if extra
            else ""
        )
        raise PluginError(f"{who} cannot import {module_name}: {error}.{fix}") from error
    try:
        value = getattr(module, attribute)
    except AttributeError:
        raise PluginError(
            f"{who} points to {target}, but {module_name} has no '{attribute}'."
        ) from None
    if expected is not None and not (isinstance(value, type) and issubclass(value, expected)):
        raise PluginError(f"{who}: {target} must be a {expected.__name__} type, not {value!r}.")
    return value
