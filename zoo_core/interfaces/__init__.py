"""The vocabulary of everything else: one small abstract class a kind of component.

`manifest` and `config` are light (no torch, no numpy) and serve listing, validation and planning;
`backbone`, `vae`, `text_encoder`, `dataset`, `images`, `prompts`, `vqa`, `metric`, `group`, `trainer`
and `logger` hold the abstract classes and are imported only where a component is built or used.
"""

from zoo_core.interfaces.config import BackboneConfig, DatasetConfig, TextEncoderConfig, VAEConfig
from zoo_core.interfaces.manifest import KINDS, Component, Kind

__all__ = [
    "KINDS",
    "BackboneConfig",
    "Component",
    "DatasetConfig",
    "Kind",
    "TextEncoderConfig",
    "VAEConfig",
]
