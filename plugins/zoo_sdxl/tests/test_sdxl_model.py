"""SDXL-TD4_4 at an eighth of its widths: shapes, text, mask, gradients."""

import msgspec
import pytest
import torch

from zoo_core.account.meta import count_built
from zoo_core.errors import ConfigError
from zoo_core.testing.backbone import BackboneChecks
from zoo_sdxl.account import account
from zoo_sdxl.config import SDXLConfig
from zoo_sdxl.model import build

SMALL = SDXLConfig(transformer_depth=(0, 4, 4)).reduced(8)


class TestSDXL(BackboneChecks):
    config = SMALL
    build = staticmethod(build)
    covered = 0.8

    def test_latents_that_do_not_fit_are_refused(self, setting):
        backbone, _, timesteps, text, _ = setting
        with pytest.raises(ConfigError, match=r"10 x 10 .* 2 times .* 12 would fit"):
            backbone(torch.zeros(2, 4, 10, 10), timesteps, text)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"transformer_depth": (1, 0, 3)},
        {"transformer_depth": (1, 2, 0)},
        {"channels": 24, "channel_mult": (1, 3), "transformer_depth": (0, 1), "res_blocks": 1},
        {"latent_channels": 16, "text_width": 40, "head_width": 4},
    ],
)
def test_closed_form_equals_the_count(changes):
    config = msgspec.structs.replace(SMALL, **changes)
    assert account(config, 16, 7) == count_built(build, config, 16, 7)


@torch.no_grad()
def test_any_level_may_have_attention():
    torch.manual_seed(0)
    for depth in ((1, 0, 0), (0, 1, 0), (2, 0, 1)):
        backbone = build(SDXLConfig(transformer_depth=depth).reduced(8))
        latents, timesteps = torch.randn(2, 4, 8, 8), torch.tensor([3, 700])
        first, second = (backbone(latents, timesteps, torch.randn(2, 5, 128)) for _ in range(2))
        assert (first - second).abs().amax() > 1e-3
