"""IF-XL C512 at an eighth of its widths: shapes, text, mask, gradients."""

import msgspec
import pytest
import torch

from zoo_core.account.meta import count_built
from zoo_core.errors import ConfigError
from zoo_if_xl.account import account
from zoo_if_xl.config import IFXLConfig
from zoo_if_xl.model import build

SMALL = IFXLConfig(channels=512).reduced(8)


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
        {"attention_levels": ()},
        {"attention_levels": (8, 2), "res_blocks": 1},
        {"channels": 24, "channel_mult": (1, 3), "attention_levels": (1,)},
        {"latent_channels": 16, "text_width": 64, "head_width": 4},
    ],
)
def test_closed_form_equals_the_count(changes):
    config = msgspec.structs.replace(SMALL, **changes)
    assert account(config, 16, 7) == count_built(build, config, 16, 7)


def test_latents_that_do_not_fit_are_refused(setting):
    backbone, _, timesteps, text, _ = setting
    with pytest.raises(ConfigError, match=r"10 x 10 .* 3 times .* 8 would fit"):
        backbone(torch.zeros(2, 4, 10, 10), timesteps, text)


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
