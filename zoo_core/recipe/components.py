"""Building what a recipe names. This is where torch and the libraries are first imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_core.catalog import Catalog
from zoo_core.errors import PluginError
from zoo_core.recipe.recipe import Recipe, Slot

if TYPE_CHECKING:
    from zoo_core.interfaces.backbone import Backbone
    from zoo_core.interfaces.dataset import Dataset
    from zoo_core.interfaces.logger import Logger
    from zoo_core.interfaces.metric import Metric
    from zoo_core.interfaces.prompts import PromptSet
    from zoo_core.interfaces.text_encoder import TextEncoder
    from zoo_core.interfaces.trainer import Trainer
    from zoo_core.interfaces.vae import VAE


@dataclass
class Components:
    """The components of a recipe, each built when first asked for."""

    recipe: Recipe
    catalog: Catalog

    def backbone(self) -> Backbone:
        """A freshly initialised backbone; the caller seeds torch."""
        return self._build("backbone")

    def vae(self) -> VAE:
        return self._build("vae").eval().requires_grad_(False)

    def text_encoder(self) -> TextEncoder:
        return self._build("text_encoder").eval().requires_grad_(False)

    def dataset(self) -> Dataset:
        return self._build("dataset")

    def prompts(self) -> PromptSet:
        return self._build("prompts")

    def trainer(self) -> Trainer:
        return self._build("trainer")

    def metrics(self) -> list[Metric]:
        return [build(self.catalog, slot) for slot in self.recipe.metrics]

    def loggers(self) -> dict[str, Logger]:
        """The recipe's loggers by name, not started yet.

        Raises `PluginError` when one cannot be built, for example for want of a library.
        """
        try:
            return {slot.name: build(self.catalog, slot) for slot in self.recipe.loggers}
        except PluginError as error:
            raise PluginError(f"{error} Or train without: --set logging.loggers=[].") from error

    def _build(self, slot_name: str) -> Any:
        return build(self.catalog, self.recipe.slots[slot_name])


def build(catalog: Catalog, slot: Slot) -> Any:
    """Build one component, with the components it uses built first.

    Raises `PluginError` naming provider and cause when the target cannot be imported or is no such
    component.
    """
    family = catalog.family(slot.kind, f"{slot.provenance['plugin']}:{slot.family}")
    used = {
        keyword: build_named(catalog, kind, getattr(slot.config, keyword))
        for keyword, kind in family.component.uses.items()
    }
    built = family.target()(slot.config, **used)
    expected = _abstract_class(slot.kind)
    if not isinstance(built, expected):
        raise PluginError(
            f"{family.component.target} (plugin {family.plugin.name}) built a "
            f"{type(built).__name__}, which is no {expected.__name__} of zoo_core.interfaces."
        )
    return built


def build_named(
    catalog: Catalog, kind: str, name: str, settings: dict[str, Any] | None = None
) -> Any:
    """Build a component of the catalogue by name, outside any recipe."""
    variant = catalog.find(kind, name)
    family = catalog.family(kind, variant.family)
    slot = Slot(
        kind=kind,
        name=name,
        family=family.component.name,
        settings=settings or {},
        config=catalog.configure(variant, settings),
        provenance={"plugin": family.plugin.name},
    )
    return build(catalog, slot)


def _abstract_class(kind: str) -> type:
    if kind == "backbone":
        from zoo_core.interfaces.backbone import Backbone as Found
    elif kind == "vae":
        from zoo_core.interfaces.vae import VAE as Found  # type: ignore[assignment]
    elif kind == "text-encoder":
        from zoo_core.interfaces.text_encoder import TextEncoder as Found  # type: ignore[assignment]
    elif kind == "dataset":
        from zoo_core.interfaces.dataset import Dataset as Found  # type: ignore[assignment]
    elif kind == "prompts":
        from zoo_core.interfaces.prompts import PromptSet as Found  # type: ignore[assignment]
    elif kind == "vqa":
        from zoo_core.interfaces.vqa import VQA as Found  # type: ignore[assignment]
    elif kind == "metric":
        from zoo_core.interfaces.metric import Metric as Found  # type: ignore[assignment]
    elif kind == "logger":
        from zoo_core.interfaces.logger import Logger as Found  # type: ignore[assignment]
    else:
        from zoo_core.interfaces.trainer import Trainer as Found  # type: ignore[assignment]
    return Found
