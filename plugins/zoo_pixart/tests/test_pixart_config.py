"""Settings of PixArt: defaults, reduction, and what is refused."""

import msgspec
import pytest

from zoo_core.errors import ConfigError
from zoo_core.schema import convert
from zoo_pixart.config import PixArtConfig


def test_caption_embedding_is_only_there_when_widths_differ():
    config = PixArtConfig(hidden_size=1024, text_width=1024)
    assert not config.embeds_captions
    assert msgspec.structs.replace(config, text_width=4096).embeds_captions
    assert msgspec.structs.replace(config, caption_embedding="always").embeds_captions
    assert not PixArtConfig(caption_embedding="never").embeds_captions


@pytest.mark.parametrize(("hidden", "small"), [(1024, 128), (1152, 144), (1536, 192)])
def test_reduction_keeps_the_heads(hidden, small):
    config = PixArtConfig(hidden_size=hidden, text_width=1024).reduced(8)
    assert (config.hidden_size, config.text_width, config.heads) == (small, 128, 16)
    assert config.embeds_captions == (hidden != 1024)


def test_reduction_that_does_not_fit_is_refused():
    with pytest.raises(
        ConfigError, match=r"1152 / 16 = 72 is not divisible by its 16 heads; .* 8 would"
    ):
        PixArtConfig().reduced(16)
    with pytest.raises(ConfigError, match="hidden_size 1152 cannot be divided by 7; 1155 could"):
        PixArtConfig().reduced(7)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"hidden_size": 1000}, "1000 is not divisible by 16 heads; 1008 would fit"),
        ({"hidden_size": 18, "heads": 9}, "multiple of 4"),
        ({"latent_size": 31}, "31 x 31 do not split into patches of 2; 32 would fit"),
        ({"caption_embedding": "maybe"}, "'caption_embedding' is 'maybe'"),
        ({"depth": 0}, "expected an integer >= 1"),
    ],
)
def test_unusable_settings_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        convert(settings, PixArtConfig, "here")
