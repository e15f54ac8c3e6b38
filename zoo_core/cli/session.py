"""What the global options of one call mean to its command."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.cli.output import say
from zoo_core.errors import PluginError

if TYPE_CHECKING:
    from zoo_core.catalog import Catalog


class Session:
    """The global options, and the catalogue they lead to."""

    def __init__(
        self, registries: tuple[Path, ...] = (), strict: bool = False, debug: bool = False
    ) -> None:
        self.registries = registries
        self.strict = strict
        self.debug = debug

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue, with a word about failed plugins; with ``--strict`` they end the command."""
        catalog = self.quiet_catalog
        for plugin in catalog.host.failed:
            sentence = f"plugin '{plugin.name}' failed to load: {plugin.error}"
            if self.strict:
                raise PluginError(f"{sentence.rstrip('.')}. 'zoo plugins' shows more.")
            say(f"zoo: {sentence}")
        return catalog

    @cached_property
    def quiet_catalog(self) -> Catalog:
        """The catalogue without a word, for commands that tell about failures themselves."""
        from zoo_core.catalog import open_catalog

        return open_catalog(self.registries)
