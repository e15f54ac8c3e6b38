"""A small catalogue of its own: one family of each kind a recipe needs, as a real plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_core.catalog import Catalog, open_catalog

PLUGIN = """
from zoo_core.host import hookimpl
from zoo_core.interfaces import Component

ZOO_API_VERSION = "1.0"

@hookimpl
def zoo_components():
    return [
        Component(kind=kind, name=f"t-{kind}", target="fake_toy.build:build",
                  config=f"fake_toy.settings:{settings}", account=account)
        for kind, settings, account in [
            ("backbone", "Net", "fake_toy.settings:account"), ("vae", "VAE", None),
            ("text-encoder", "Text", None), ("dataset", "Data", None), ("prompts", "Other", None),
            ("trainer", "Other", None), ("metric", "Measure", None),
        ]
    ]
"""
SETTINGS = """
from __future__ import annotations
from typing import Annotated
import msgspec
from msgspec import Meta
from zoo_core.account import Account
from zoo_core.errors import ConfigError
from zoo_core.interfaces import BackboneConfig, DatasetConfig, TextEncoderConfig, VAEConfig
from zoo_core.schema import Config

class Net(BackboneConfig, frozen=True):
    channels: Annotated[int, Meta(ge=2, le=4096, description="Channels")] = 320
    depth: tuple[int, ...] = (0, 2)
    head: int = 8

    def reduced(self, divisor):
        if self.channels % divisor:
            raise ConfigError(f"channels {self.channels} cannot be divided by {divisor}.", "channels")
        return msgspec.structs.replace(self, channels=self.channels // divisor)

class VAE(VAEConfig, frozen=True):
    pass

class Text(TextEncoderConfig, frozen=True):
    model: str = "small"

class Data(DatasetConfig, frozen=True):
    samples: Annotated[int, Meta(ge=1, le=1000)] = 10

class Other(Config, frozen=True):
    level: int = 1

class Measure(Config, frozen=True):
    strength: Annotated[float, Meta(gt=0)] = 1.0

def account(config, latent_size, text_tokens):
    return Account(parameters=config.channels**2, macs=latent_size**2 * config.channels**2,
                   attention_macs=0, middle_attention_macs=0, attention_products=text_tokens)
"""
REGISTRY = """\
[backbone.toy]
family = "t-backbone"
channels = 64
reference = {params_b = 0.1}
[backbone.toy.preset.t-small]
training = {steps = 77}

[vae.v4]
family = "t-vae"
[vae.v16]
family = "t-vae"
latent_channels = 16
[text-encoder.te]
family = "t-text-encoder"
width = 96
tokens = 12
[dataset.d1]
family = "t-dataset"
samples = 5
[dataset.d2]
family = "t-dataset"
[metric.m]
family = "t-metric"

[preset.t-base]
vae = {name = "v4"}
text_encoder = {name = "te"}
prompts = {name = "t-prompts"}
trainer = {name = "t-trainer"}
training = {steps = 100, batch_size = 8, micro_batch = 4}
[preset.t-small]
extends = "t-base"
scale = {width_divisor = 8}
dataset = {name = "d1", samples = 3}
data.resolution = 64
evaluation.metrics = ["m"]
metric.m.strength = 0.5
[preset.t-circle]
extends = "t-circle-2"
[preset.t-circle-2]
extends = "t-circle"
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "toys.toml"
    path.write_text(REGISTRY)
    return path


@pytest.fixture
def catalog(make_plugin, registry: Path) -> Catalog:
    make_plugin("toy", PLUGIN, files={"settings.py": SETTINGS})
    return open_catalog([registry])
