"""Settings of IF-XL: defaults, reduction, and what is refused."""

import pytest

from zoo_core.errors import ConfigError
from zoo_core.schema import convert
from zoo_if_xl.config import IFXLConfig


def test_defaults_are_the_original():
    config = IFXLConfig()
    assert config.widths == (704, 1408, 2112, 2816)
    assert config.attends == (True, True, True, False)


@pytest.mark.parametrize(
    ("divisor", "channels", "head_width", "groups"),
    [(1, 704, 64, 32), (2, 352, 32, 32), (8, 88, 8, 8), (16, 44, 4, 4)],
)
def test_reduction_keeps_the_topology(divisor, channels, head_width, groups):
    config = IFXLConfig()
    small = config.reduced(divisor)
    assert (small.channels, small.head_width, small.norm_groups) == (channels, head_width, groups)
    assert small.text_width == 1024 // divisor
    kept = ("channel_mult", "res_blocks", "attention_levels", "latent_channels", "latent_size")
    assert all(getattr(small, name) == getattr(config, name) for name in kept)


def test_reduction_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match="channels 704 cannot be divided by 7; 707 could"):
        IFXLConfig().reduced(7)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"channels": 100},
            "channels 100 is not divisible by norm_groups 32; channels 96 would fit",
        ),
        ({"channels": 32}, "one channel a group"),
        ({"channels": 96}, "no multiple of head_width 64"),
        ({"channels": "wide"}, "'channels' is 'wide': expected an integer"),
        ({"chanels": 320}, "Did you mean 'channels'"),
        ({"latent_size": 30}, "would fit"),
        (
            {"attention_levels": [3]},
            r"attention_levels \[3\] must be different ones of \[1, 2, 4, 8\]",
        ),
        ({"attention_levels": [2, 2]}, "must be different ones"),
        ({"text_width": 100}, "text_width 100 must be a multiple of 32, .* 96 would fit"),
        ({"text_width": 32}, "64 would fit"),
    ],
)
def test_unusable_settings_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        convert(settings, IFXLConfig, "here")
