"""``zoo plugins``: what is installed, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core import __version__
from zoo_core.cli.output import Column, print_json, print_table, say
from zoo_core.errors import PluginError

if TYPE_CHECKING:
    from zoo_core.cli.session import Session
    from zoo_core.host import PluginStatus


@click.command("plugins", short_help="Installed plugins and what became of each.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; tracebacks with the global --debug."
)
@click.pass_obj
def command(session: Session, as_json: bool) -> None:
    """Show every plugin found, loaded or not, and what it provides.

    A plugin that fails to load leaves the others working; its cause stands below the table. Names in
    ZOO_DISABLE_PLUGINS (separated by commas) are not loaded.
    """
    from zoo_core.host import API_VERSION

    plugins = session.quiet_catalog.host.plugins
    if as_json:
        host = {"version": __version__, "api": API_VERSION}
        print_json({"zoo": host, "plugins": [_row(plugin, session.debug) for plugin in plugins]})
    elif plugins:
        print_table(*_table(plugins))
    if not as_json:
        _talk(plugins, session.debug)
    failed = [plugin.name for plugin in plugins if plugin.state == "failed"]
    if failed and session.strict:
        raise PluginError(f"failed to load: {', '.join(failed)}.")


def _row(plugin: PluginStatus, debug: bool) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "state": plugin.state,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": plugin.module,
        "api": plugin.api,
        "components": [{"kind": c.kind, "name": c.name} for c in plugin.components],
        "registries": [str(path) for path in plugin.registries],
        "seconds": round(plugin.seconds, 6),
        "error": plugin.error,
        **({"traceback": plugin.trace} if debug else {}),
    }


def _table(plugins: list[PluginStatus]) -> tuple[list[Column], list[list[str]]]:
    columns = [
        Column("name"),
        Column("state"),
        Column("distribution"),
        Column("API"),
        Column("provides"),
        Column("ms", number=True),
    ]
    cells = [
        [
            plugin.name,
            plugin.state,
            f"{plugin.distribution} {plugin.version}",
            plugin.api or "-",
            _provides(plugin),
            f"{1000 * plugin.seconds:.1f}",
        ]
        for plugin in plugins
    ]
    return columns, cells


def _provides(plugin: PluginStatus) -> str:
    things = [f"{c.kind} {c.name}" for c in plugin.components]
    things += [path.name for path in plugin.registries]
    return ", ".join(things) or "-"


def _talk(plugins: list[PluginStatus], debug: bool) -> None:
    from zoo_core.host import API_VERSION

    for plugin in plugins:
        if plugin.state == "failed":
            say(
                f"zoo {__version__}, plugin API {API_VERSION}: '{plugin.name}' of "
                f"{plugin.distribution} {plugin.version} failed to load: {plugin.error}"
            )
            if debug and plugin.trace:
                say(plugin.trace.rstrip())
    if not plugins:
        say("No plugin is installed; the group of entry points is 'zoo.plugins'.")
    elif not debug and any(plugin.trace for plugin in plugins if plugin.state == "failed"):
        say("'zoo --debug plugins' shows the tracebacks.")
