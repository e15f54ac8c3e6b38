"""PixArt h1152-d28 at an eighth of its widths: shapes, text, mask, gradients."""

import msgspec
import pytest
import torch

from zoo_core.account.meta import count_built
from zoo_core.errors import ConfigError
from zoo_pixart.account import account
from zoo_pixart.config import PixArtConfig
from zoo_pixart.model import build

SMALL = PixArtConfig(text_width=1024).reduced(8)


@pytest.fixture(scope="module", params=[8, 16])
def setting(request):
    """A backbone with its inputs: latents [2, 4, S, S], timesteps, text [2, 32, 128], a mask."""
    torch.manual_seed(0)
    backbone = build(msgspec.structs.replace(SMALL, latent_size=request.param))
    latents = torch.randn(2, 4, request.param, request.param)
    mask = torch.ones(2, 32, dtype=torch.bool)
    mask[:, 20:] = False
    return backbone, latents, torch.tensor([3, 700]), torch.randn(2, 32, 128), mask


@torch.no_grad()
def test_prediction_depends_on_every_input(setting):
    backbone, latents, timesteps, text, _ = setting
    prediction = backbone(latents, timesteps, text)
    assert prediction.shape == latents.shape
    assert prediction.isfinite().all()
    for other in (
        backbone(latents.flip(0), timesteps, text),
        backbone(latents, timesteps.flip(0), text),
        backbone(latents, timesteps, text.flip(0)),
    ):
        assert (other - prediction).abs().amax() > 1e-3


@torch.no_grad()
def test_masked_tokens_do_not_count(setting):
    backbone, latents, timesteps, text, mask = setting
    masked = backbone(latents, timesteps, text, mask)
    changed = torch.where(mask[..., None], text, 5 * torch.randn_like(text))
    torch.testing.assert_close(backbone(latents, timesteps, changed, mask), masked)
    cut = backbone(latents, timesteps, text[:, :20])
    torch.testing.assert_close(masked, cut, atol=1e-4, rtol=1e-4)
    assert (backbone(latents, timesteps, text) - masked).abs().amax() > 1e-3


def test_gradient_reaches_all_but_the_declared_parameters(setting):
    backbone, latents, timesteps, text, _ = setting
    backbone.zero_grad()
    backbone(latents, timesteps, text).square().mean().backward()
    # Cancellation leaves a rest of rounding, far below what reaches any other parameter.
    reached = {
        name
        for name, p in backbone.named_parameters()
        if p.grad is not None and p.grad.abs().amax() > 1e-8
    }
    assert {name for name, _ in backbone.named_parameters()} - reached == (
        backbone.parameters_without_gradient()
    )
    backbone.zero_grad()


@torch.no_grad()
def test_bfloat16_is_finite_and_near_float32(setting):
    backbone, latents, timesteps, text, mask = setting
    exact = backbone(latents, timesteps, text, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = backbone(latents, timesteps, text, mask).float()
    assert rounded.isfinite().all()
    assert (rounded - exact).abs().mean() < 0.05 * exact.std()


@torch.no_grad()
def test_repeated_blocks_are_in_order_of_execution(setting):
    backbone, latents, timesteps, text, _ = setting
    blocks = backbone.repeated_blocks()
    ran = []
    hooks = [
        block.register_forward_hook(lambda *_, place=place: ran.append(place))
        for place, block in enumerate(blocks)
    ]
    backbone(latents, timesteps, text)
    for hook in hooks:
        hook.remove()
    assert ran == list(range(len(blocks)))
    inside = {id(p) for block in blocks for p in block.parameters()}
    weights = [p for p in backbone.parameters() if id(p) in inside]
    assert len(weights) == sum(len(list(block.parameters())) for block in blocks)
    assert sum(p.numel() for p in weights) > 0.9 * sum(p.numel() for p in backbone.parameters())


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


def test_latents_that_do_not_fit_are_refused(setting):
    backbone, _, timesteps, text, _ = setting
    with pytest.raises(
        ConfigError, match=r"for latents of \d+ x \d+, but they are 10 x 10; set latent_size to 10"
    ):
        backbone(torch.zeros(2, 4, 10, 10), timesteps, text)


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
