"""The resolved recipe: every component named and typed, every value with its origin."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from zoo_core.interfaces.config import (
    BackboneConfig,
    DatasetConfig,
    TextEncoderConfig,
    VAEConfig,
)
from zoo_core.recipe.sections import (
    SECTIONS,
    CaptionSettings,
    DataSettings,
    DiffusionSettings,
    EvaluationSettings,
    LoggingSettings,
    OptimizerSettings,
    SamplingSettings,
    ScaleSettings,
    TrainingSettings,
)
from zoo_core.schema import Config, flatten, to_dict

#: Dotted keys, and beginnings of keys, that may change while a run goes on: how long it is, what is
#: logged, and how it is scored (each score carries its own protocol).
FREE = (
    "preset",
    "evaluation.",
    "sampling.",
    "metric.",
    "prompts.",
    "logging.",
    "logger.",
    "trainer.",
    "training.steps",
    "training.log_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.device",
    "training.micro_batch",
    "training.init_from",
    "training.on_nonfinite",
    "training.nonfinite_limit",
)


def is_free(key: str) -> bool:
    """Whether a dotted key may change while a run goes on."""
    # With a dot at its end, so that the empty table `metric` counts as the keys it could hold.
    return f"{key}.".startswith(FREE)


@dataclass(frozen=True)
class Slot:
    """One component of a recipe.

    settings: the variant's settings with the recipe's own, before anything is reduced or filled in.
    config: the typed settings the component is built with.
    provenance: plugin, distribution, version, target and definition that filled the slot.
    """

    kind: str
    name: str
    family: str
    settings: dict[str, Any]
    config: Config
    provenance: dict[str, str]


@dataclass(frozen=True)
class Recipe:
    """All that a run depends on. Made by `resolve_recipe`; a run folder keeps it as ``recipe.toml``."""

    preset: str
    slots: dict[str, Slot]
    metrics: tuple[Slot, ...]
    loggers: tuple[Slot, ...]
    scale: ScaleSettings
    data: DataSettings
    captions: CaptionSettings
    diffusion: DiffusionSettings
    sampling: SamplingSettings
    optimizer: OptimizerSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    logging: LoggingSettings
    origins: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """The backbone's name as it was asked for."""
        return self.slots["backbone"].name

    @property
    def backbone(self) -> BackboneConfig:
        """The backbone's settings, reduced and with the shapes of its surroundings filled in."""
        config = self.slots["backbone"].config
        assert isinstance(config, BackboneConfig)
        return config

    @property
    def vae(self) -> VAEConfig:
        config = self.slots["vae"].config
        assert isinstance(config, VAEConfig)
        return config

    @property
    def text_encoder(self) -> TextEncoderConfig:
        config = self.slots["text_encoder"].config
        assert isinstance(config, TextEncoderConfig)
        return config

    @property
    def dataset(self) -> DatasetConfig | None:
        """None while no dataset is configured, which only a dry run accepts."""
        config = self.slots["dataset"].config if "dataset" in self.slots else None
        assert config is None or isinstance(config, DatasetConfig)
        return config

    @property
    def latent_size(self) -> int:
        """Latent positions along one side."""
        return self.data.resolution // self.vae.downsampling

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of one latent."""
        return self.vae.latent_channels, self.latent_size, self.latent_size

    def to_table(self) -> dict[str, Any]:
        """The recipe as TOML tables, from which `recipe_from_table` makes an equal one."""
        table: dict[str, Any] = {"preset": self.preset}
        for slot_name, slot in self.slots.items():
            table[slot_name] = {"name": slot.name, **slot.settings}
        for section in SECTIONS:
            table[section] = to_dict(getattr(self, section))
        table["metric"] = {slot.name: slot.settings for slot in self.metrics}
        table["logger"] = {slot.name: slot.settings for slot in self.loggers}
        return table

    def provenance(self) -> dict[str, Any]:
        """Who filled each slot, and where each value came from, for ``provenance.json``."""
        return {
            "components": {name: slot.provenance for name, slot in self.slots.items()},
            "metrics": {slot.name: slot.provenance for slot in self.metrics},
            "loggers": {slot.name: slot.provenance for slot in self.loggers},
            "values": self.origins,
        }

    def fingerprint(self) -> str:
        """A digest of every value that training depends on; what `FREE` names is left out.

        Initial weights count by their hash; by their path only while the hash is not known, which is
        before training begins.
        """
        values = {key: value for key, value in flatten(self.to_table()).items() if not is_free(key)}
        if self.training.init_sha256 is None and self.training.init_from is not None:
            values["training.init_from"] = self.training.init_from
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
