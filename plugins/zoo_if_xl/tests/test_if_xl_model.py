"""IF-XL C512 at an eighth of its widths: shapes, text, mask, gradients."""

import msgspec
import pytest
import torch

from zoo_core.account.meta import count_built
from zoo_core.errors import ConfigError
from zoo_core.testing.backbone import BackboneChecks
from zoo_if_xl.account import account
from zoo_if_xl.config import IFXLConfig
from zoo_if_xl.model import build

SMALL = IFXLConfig(channels=512).reduced(8)


class TestIFXL(BackboneChecks):
    config = SMALL
    build = staticmethod(build)
    covered = 0.9

    def test_latents_that_do_not_fit_are_refused(self, setting):
        backbone, _, timesteps, text, _ = setting
        with pytest.raises(ConfigError, match=r"10 x 10 .* 3 times .* 8 would fit"):
            backbone(torch.zeros(2, 4, 10, 10), timesteps, text)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_levels": ()},
        {"attention_levels": (8, 2), "res_blocks": 1},
        {"channels": 24, "channel_mult": (1, 3), "attention_levels": (1,)},
        {"latent_channels": 16, "text_width": 64, "head_width": 4},
    ],
)
def test_closed_form_equals_the_count(changes):
    config = msgspec.structs.replace(SMALL, **changes)
    assert account(config, 16, 7) == count_built(build, config, 16, 7)


@torch.no_grad()
@pytest.mark.parametrize("tokens", [4, 16, 64])
def test_text_as_long_as_a_level_has_positions(tokens):
    """8 x 8 latents have 64, 16 and 4 positions; diffusers' blocks fail with a mask of that length."""
    torch.manual_seed(0)
    backbone = build(msgspec.structs.replace(SMALL, latent_size=8, res_blocks=1))
    latents, timesteps = torch.randn(2, 4, 8, 8), torch.tensor([3, 700])
    text = torch.randn(2, tokens, 128)
    mask = torch.ones(2, tokens, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="size of tensor"):
        backbone.unet(latents, timesteps, text, encoder_attention_mask=mask)

    unmasked = backbone(latents, timesteps, text)
    torch.testing.assert_close(
        backbone(latents, timesteps, text, mask), unmasked, atol=1e-4, rtol=1e-4
    )
    mask[:, -2:] = False
    cut = backbone(latents, timesteps, text[:, :-2])
    torch.testing.assert_close(backbone(latents, timesteps, text, mask), cut, atol=1e-4, rtol=1e-4)
