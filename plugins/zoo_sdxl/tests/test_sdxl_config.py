"""Settings of SDXL: defaults, reduction, and what is refused."""

import pytest

from zoo_core.errors import ConfigError
from zoo_core.schema import convert
from zoo_sdxl.config import SDXLConfig


def test_defaults_are_the_original():
    config = SDXLConfig()
    assert config.widths == (320, 640, 1280)
    assert config.middle_depth == 10


@pytest.mark.parametrize(
    ("divisor", "channels", "head_width", "groups"),
    [(1, 320, 64, 32), (2, 160, 32, 32), (8, 40, 8, 8), (16, 20, 4, 4)],
)
def test_reduction_keeps_the_topology(divisor, channels, head_width, groups):
    config = SDXLConfig()
    small = config.reduced(divisor)
    assert (small.channels, small.head_width, small.norm_groups) == (channels, head_width, groups)
    assert small.text_width == 1024 // divisor
    kept = ("channel_mult", "res_blocks", "transformer_depth", "latent_channels", "latent_size")
    assert all(getattr(small, name) == getattr(config, name) for name in kept)


def test_reduction_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match="channels 320 cannot be divided by 7; 322 could"):
        SDXLConfig().reduced(7)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"channels": 100},
            "channels 100 is not divisible by norm_groups 32; channels 96 would fit",
        ),
        ({"channels": 32}, "one channel a group"),
        ({"channels": 96, "head_width": 128}, "level 2x has 192 channels, no multiple"),
        ({"channels": "wide"}, "'channels' is 'wide': expected an integer"),
        ({"chanels": 320}, "Did you mean 'channels'"),
        ({"latent_size": 30}, "would fit"),
        ({"transformer_depth": [0, 4]}, r"transformer_depth \[0, 4\] has 2 entries, .* 3 levels"),
        ({"transformer_depth": [0, 0, 0]}, "lets the text in nowhere"),
    ],
)
def test_unusable_settings_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        convert(settings, SDXLConfig, "here")
