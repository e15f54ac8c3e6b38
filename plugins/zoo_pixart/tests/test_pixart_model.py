"""PixArt h1152-d28 at an eighth of its widths: shapes, text, mask, gradients."""

import msgspec
import pytest
import torch

from zoo_core.account.meta import count_built
from zoo_core.errors import ConfigError
from zoo_core.testing.backbone import BackboneChecks
from zoo_pixart.account import account
from zoo_pixart.config import PixArtConfig
from zoo_pixart.model import build

SMALL = PixArtConfig(text_width=1024).reduced(8)


class TestPixArt(BackboneChecks):
    config = SMALL
    build = staticmethod(build)
    covered = 0.9

    def test_latents_that_do_not_fit_are_refused(self, setting):
        backbone, _, timesteps, text, _ = setting
        with pytest.raises(
            ConfigError,
            match=r"for latents of \d+ x \d+, but they are 10 x 10; set latent_size to 10",
        ):
            backbone(torch.zeros(2, 4, 10, 10), timesteps, text)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"depth": 2, "text_width": 144},
        {"depth": 1, "text_width": 144, "caption_embedding": "always"},
        {"depth": 1, "text_width": 40, "caption_embedding": "never"},
        {"depth": 1, "patch_size": 4, "learned_sigma": False, "latent_channels": 16},
    ],
)
def test_closed_form_equals_the_count(changes):
    config = msgspec.structs.replace(SMALL, **changes)
    assert account(config, 16, 7) == count_built(build, config, 16, 7)


@torch.no_grad()
def test_learned_variance_is_computed_but_not_returned():
    torch.manual_seed(0)
    backbone = build(msgspec.structs.replace(SMALL, latent_size=8, depth=1))
    inputs = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 128)
    returned = []
    backbone.transformer.register_forward_hook(lambda _, __, out: returned.append(out[0]))
    prediction = backbone(*inputs)
    assert returned[0].shape == (2, 8, 8, 8)
    torch.testing.assert_close(prediction, returned[0][:, :4])


@pytest.mark.parametrize("latent_size", [8, 64, 128])
def test_positions_are_whole_numbers_as_in_dit(latent_size):
    config = msgspec.structs.replace(SMALL, latent_size=latent_size, depth=1)
    embedding = build(config).transformer.pos_embed.pos_embed[0]  # [N, h]
    side, quarter = latent_size // 2, config.hidden_size // 4
    rates = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    number = torch.arange(side * side, dtype=torch.float64)
    column, row = number % side, number // side
    expected = torch.cat(
        [
            wave(position[:, None] * rates)
            for position in (column, row)
            for wave in (torch.sin, torch.cos)
        ],
        dim=1,
    )
    torch.testing.assert_close(embedding.double(), expected, atol=1e-4, rtol=0)
