"""The hooks a plugin may implement, and the API version they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pluggy

from zoo_core.interfaces.manifest import Component

PROJECT = "zoo"

#: ``MAJOR.MINOR`` of the plugin API. A plugin declares the version it was written against as
#: ``ZOO_API_VERSION`` in its top module; it loads when the major number is the same and its minor
#: number is not greater.
API_VERSION = "1.0"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def zoo_components() -> Iterable[Component]:
    """The component families this plugin provides, as manifests: names and targets, no imports."""
    raise AssertionError("a specification is not called")


@hookspec
def zoo_registries() -> Iterable[Path]:
    """TOML files shipped with this plugin that add variants, in the format of ``registry.toml``."""
    raise AssertionError("a specification is not called")
