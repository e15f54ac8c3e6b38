"""The plugin host: hook specifications, loading one plugin at a time, and the status of each."""

from zoo_core.host.hookspecs import API_VERSION, PROJECT, hookimpl, hookspec
from zoo_core.host.loading import ENTRY_POINT_GROUP, PluginHost, PluginStatus, load_plugins

__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "PROJECT",
    "PluginHost",
    "PluginStatus",
    "hookimpl",
    "hookspec",
    "load_plugins",
]
