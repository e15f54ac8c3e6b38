"""The count of modules that are not ours: what is attention, what is the middle, what a product."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from zoo_core.account import Account
from zoo_core.account.isolated import count_in_subprocess
from zoo_core.account.meta import count, count_built
from zoo_core.errors import PluginError
from zoo_core.interfaces import BackboneConfig, Component
from zoo_core.interfaces.backbone import Backbone

STRANGER = """
import torch
from torch import nn
from zoo_core.interfaces import BackboneConfig
from zoo_core.interfaces.backbone import Backbone

class Config(BackboneConfig, frozen=True):
    width: int = 6

class Net(Backbone):
    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Conv2d(config.latent_channels, config.latent_channels, 1)
    def forward(self, latents, timesteps, text, text_mask=None):
        return self.layer(latents)
    def repeated_blocks(self):
        return []

def build(config):
    if config.width == 7:
        raise RuntimeError("seven is too much")
    print("a library that talks")
    return Net(config)
"""


class Attends(nn.Module):
    """A stranger's transformer block under names of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.MultiheadAttention(width, 2, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x, text):
        return x + self.feed(self.mix(x, text, text, need_weights=False)[0])


class Stranger(Backbone):
    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.head = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.time = nn.Linear(1, 8)
        self.parts = nn.ModuleList([Attends(8), Attends(8)])
        self.middle_block = Attends(8)
        self.tail = nn.ConvTranspose2d(8, 4, 2, stride=2)

    def forward(self, latents, timesteps, text, text_mask=None):
        x = self.head(latents) + self.time(timesteps[:, None].to(latents.dtype))[..., None, None]
        shape = x.shape
        x = x.flatten(2).mT
        for part in (*self.parts, self.middle_block):
            x = part(x, text)
        return self.tail(x.mT.reshape(shape))

    def repeated_blocks(self):
        return list(self.parts)


def test_a_stranger_is_counted():
    config = BackboneConfig(text_width=8)
    counted = count_built(Stranger, config, 8, 5)
    n, tokens = 16, 5
    block = n * 8 * 8 + 2 * tokens * 8 * 8 + n * 8 * 8 + 2 * n * 8 * 16  # q, k and v, out, feed
    assert counted.attention_macs == 3 * block
    assert counted.middle_attention_macs == block
    assert counted.attention_products == 3 * 2 * n * tokens * 8
    ends = n * 4 * 8 * 9 + 8 + n * 8 * 4 * 4  # convolution, time, transposed convolution
    assert counted.macs == 3 * block + ends
    assert counted.parameters == sum(p.numel() for p in Stranger(config).parameters())


class Bare(Backbone):
    """Linear layers and products without modules, and no convolution anywhere."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.weight = nn.Parameter(torch.zeros(4, 4))

    def forward(self, latents, timesteps, text, text_mask=None):
        x = functional.linear(latents.flatten(2).mT, self.weight)  # [B, N, C]
        return (torch.softmax(x @ x.mT, -1) @ x).mT.reshape(latents.shape)

    def repeated_blocks(self):
        return []


def test_functions_count_without_modules():
    with torch.device("meta"):
        bare = Bare(BackboneConfig())
    counted = count(bare, 8, 5)
    assert counted == Account(16, 64 * 16, 0, 0, 2 * 64 * 64 * 4)


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    (tmp_path / "stranger_net.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path)
    yield Component("backbone", "stranger", "stranger_net:build", "stranger_net:Config")
    sys.modules.pop("stranger_net", None)


def test_a_subprocess_counts_once_for_each_content(stranger, tmp_path):
    from stranger_net import Config

    cache = tmp_path / "deep" / "cache"
    expected = Account(20, 64 * 16, 0, 0, 0)
    assert count_in_subprocess(stranger, Config(), 8, 5, cache) == expected
    (entry,) = cache.iterdir()
    assert json.loads(entry.read_text())["macs"] == 64 * 16

    # Remembered: what the file says is believed, until it is damaged or the source changes.
    entry.write_text(entry.read_text().replace("1024", "1025"))
    assert count_in_subprocess(stranger, Config(), 8, 5, cache).macs == 1025
    entry.write_text(entry.read_text()[:20])
    assert count_in_subprocess(stranger, Config(), 8, 5, cache) == expected
    source = tmp_path / "stranger_net.py"
    source.write_text(source.read_text() + "# changed\n")
    assert count_in_subprocess(stranger, Config(), 8, 5, cache) == expected
    assert len(list(cache.iterdir())) == 2


def test_a_count_that_fails_says_why(stranger, tmp_path):
    from stranger_net import Config

    with pytest.raises(PluginError, match=r"'stranger' \(stranger_net:build\).*seven is too much"):
        count_in_subprocess(stranger, Config(width=7), 8, 5, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
