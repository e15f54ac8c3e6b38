"""Discovery and loading of plugins, each on its own so that one failure stays one failure.

pluggy's own `load_setuptools_entrypoints` stops at the first import that raises, leaves a half
registered plugin behind when validation fails, and is silent about a misspelled hook; a hook call
aborts at the first implementation that raises. So plugins are imported, validated, registered and
asked for their components one by one here, and whatever goes wrong is rolled back and remembered.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pluggy

from zoo_core import __version__
from zoo_core.errors import PluginError, ZooError, did_you_mean
from zoo_core.host import hookspecs
from zoo_core.host.discovery import PluginPoint, find_plugin_points
from zoo_core.interfaces.manifest import Component

if TYPE_CHECKING:
    from importlib import metadata

ENTRY_POINT_GROUP = "zoo.plugins"
DISABLE_VARIABLE = "ZOO_DISABLE_PLUGINS"
HOOK_PREFIX = "zoo_"


class PluginStatus(msgspec.Struct):
    """What became of one plugin. `error` is a sentence, `trace` the full traceback if there is one."""

    name: str
    module: str
    distribution: str = "?"
    version: str = "?"
    state: Literal["loaded", "failed", "disabled"] = "loaded"
    api: str | None = None
    error: str | None = None
    trace: str | None = None
    seconds: float = 0.0
    components: tuple[Component, ...] = ()
    registries: tuple[Path, ...] = ()


class PluginHost:
    """All plugins found, in order of their names, and those that work registered with pluggy."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self.manager = manager
        self.plugins: list[PluginStatus] = []

    @property
    def loaded(self) -> list[PluginStatus]:
        return [plugin for plugin in self.plugins if plugin.state == "loaded"]

    @property
    def failed(self) -> list[PluginStatus]:
        return [plugin for plugin in self.plugins if plugin.state == "failed"]

    def add(self, point: PluginPoint | metadata.EntryPoint) -> PluginStatus:
        """Load one plugin; on any failure nothing of it stays registered. Never raises for it."""
        point = point if isinstance(point, PluginPoint) else PluginPoint.of(point)
        status = PluginStatus(point.name, point.value, point.distribution, point.version)
        self.plugins.append(status)
        if status.name in _disabled_names():
            status.state = "disabled"
            status.error = f"switched off by {DISABLE_VARIABLE}"
            return status
        began = time.perf_counter()
        try:
            # A plugin that prints while it is imported must not end up in somebody's JSON.
            with contextlib.redirect_stdout(sys.stderr):
                self._load(point, status)
        except KeyboardInterrupt:
            raise
        # SystemExit included: a plugin that calls sys.exit() on import must not end the program.
        except BaseException as error:
            self.reject(status, error)
        finally:
            status.seconds = time.perf_counter() - began
        return status

    def reject(self, status: PluginStatus, error: BaseException) -> None:
        """Mark a plugin as failed, remember why, and take back all that it registered."""
        import traceback

        self._roll_back(status)
        status.state = "failed"
        status.error = _sentence(error)
        status.trace = "".join(traceback.format_exception(error))

    def _load(self, point: PluginPoint, status: PluginStatus) -> None:
        twin = next((p for p in self.plugins[:-1] if p.name == status.name), None)
        if twin is not None:
            raise PluginError(
                f"the plugin name '{status.name}' is taken: {twin.module} of {twin.distribution} "
                f"{twin.version} has it; rename the entry point or uninstall one of the two"
            )
        plugin = point.load()
        status.api = _check_api_version(plugin)
        _check_hook_names(plugin)
        self.manager.register(plugin, name=status.name)
        status.components = tuple(self._ask(plugin, "zoo_components", Component))
        status.registries = tuple(self._ask(plugin, "zoo_registries", Path))
        for component in status.components:
            _check_unique(component, status.components)
        for path in status.registries:
            if not path.is_file():
                raise PluginError(f"zoo_registries() names {path}, which is not a file")

    def _ask(self, plugin: Any, hook_name: str, item_type: type) -> Iterable[Any]:
        """The items of one plugin's hook; called alone, so that another's failure cannot stop it."""
        hook = getattr(self.manager.hook, hook_name)
        for implementation in hook.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            result = implementation.function()
            if isinstance(result, (str, bytes)) or not isinstance(result, Iterable):
                raise PluginError(
                    f"{hook_name}() returned {result!r}; expected a list of {item_type.__name__}"
                )
            for item in result:
                if not isinstance(item, item_type):
                    raise PluginError(
                        f"{hook_name}() returned {item!r}, which is not a {item_type.__name__}"
                    )
                yield item

    def _roll_back(self, status: PluginStatus) -> None:
        status.components = ()
        status.registries = ()
        # A twin's name in pluggy belongs to the plugin that had it first.
        twins = [p for p in self.plugins if p.name == status.name and p is not status]
        half = self.manager.get_plugin(status.name)
        if half is not None and not twins:
            self.manager.unregister(half)


def load_plugins(
    entry_points: Sequence[PluginPoint | metadata.EntryPoint] | None = None,
) -> PluginHost:
    """Every plugin of the entry-point group ``zoo.plugins`` (or those given), loaded one by one."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    host = PluginHost(manager)
    found = find_plugin_points(ENTRY_POINT_GROUP) if entry_points is None else entry_points
    # An editable install next to a wheel lists the same entry point twice; both mean one plugin.
    unique = {(point.name, point.value): point for point in reversed(list(found))}
    for _, point in sorted(unique.items(), key=lambda item: item[0]):
        host.add(point)
    return host


def _disabled_names() -> set[str]:
    return {
        name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()
    }


def _check_api_version(plugin: Any) -> str:
    declared = getattr(plugin, "ZOO_API_VERSION", None)
    host = hookspecs.API_VERSION
    if declared is None:
        raise PluginError(
            f'it declares no API version; add ZOO_API_VERSION = "{host}" to its top module'
        )
    parts = str(declared).split(".")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise PluginError(
            f'ZOO_API_VERSION is {declared!r}; expected "MAJOR.MINOR" such as "{host}"'
        )
    wanted, own = [int(part) for part in parts], [int(part) for part in host.split(".")]
    if wanted[0] != own[0] or wanted[1] > own[1]:
        newer = wanted > own
        advice = "upgrade the zoo" if newer else "upgrade the plugin"
        raise PluginError(
            f"it needs plugin API {declared}, this zoo {__version__} has {host}; {advice}"
        )
    return str(declared)


def _check_hook_names(plugin: Any) -> None:
    """pluggy ignores a function whose name is no hook; here it is an error with the nearest name."""
    known = {name for name in vars(hookspecs) if name.startswith(HOOK_PREFIX)}
    for name, member in inspect.getmembers(plugin, inspect.isroutine):
        marked = getattr(member, f"{hookspecs.PROJECT}_impl", None) is not None
        own = getattr(member, "__module__", None) == getattr(plugin, "__name__", None)
        if name in known:
            if not marked:
                raise PluginError(f"{name}() lacks the @hookimpl decorator and would not be called")
        elif marked or (own and name.startswith(HOOK_PREFIX)):
            hint = did_you_mean(name, known) or f"Hooks: {', '.join(sorted(known))}."
            raise PluginError(f"it implements {name}(), which is no hook. {hint}")


def _check_unique(component: Component, among: Sequence[Component]) -> None:
    twins = [c for c in among if (c.kind, c.name) == (component.kind, component.name)]
    if len(twins) > 1:
        targets = " and ".join(twin.target for twin in twins)
        raise PluginError(f"it provides the {component.kind} '{component.name}' twice: {targets}")


def _sentence(error: BaseException) -> str:
    """The cause in one line, with file and line for errors that have them."""
    if isinstance(error, ZooError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r}) while being loaded"
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    if isinstance(error, pluggy.PluginValidationError):
        return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
