"""SD2 at an eighth of its widths: shapes, text, mask, gradients."""

import msgspec
import pytest
import torch

from zoo_core.account.meta import count_built
from zoo_core.errors import ConfigError
from zoo_core.testing.backbone import BackboneChecks
from zoo_sd2.account import account
from zoo_sd2.config import SD2Config
from zoo_sd2.model import build

SMALL = SD2Config().reduced(8)


class TestSD2(BackboneChecks):
    config = SMALL
    build = staticmethod(build)
    covered = 0.8

    def test_latents_that_do_not_fit_are_refused(self, setting):
        backbone, _, timesteps, text, _ = setting
        with pytest.raises(ConfigError, match=r"10 x 10 .* 3 times .* 8 would fit"):
            backbone(torch.zeros(2, 4, 10, 10), timesteps, text)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"transformer_depth": (0, 1, 0, 2)},
        {"channels": 24, "channel_mult": (1, 3), "transformer_depth": (2, 0), "res_blocks": 1},
        {"latent_channels": 16, "text_width": 40, "head_width": 4},
    ],
)
def test_closed_form_equals_the_count(changes):
    config = msgspec.structs.replace(SMALL, **changes)
    assert account(config, 16, 7) == count_built(build, config, 16, 7)
