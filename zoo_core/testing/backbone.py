"""What every backbone must do, as a class for a plugin's tests to derive from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch

from zoo_core.interfaces import BackboneConfig
from zoo_core.interfaces.backbone import Backbone


class BackboneChecks:
    """Derive a test class from it and give the backbone at a size that runs in seconds.

    config: the settings; checked at latent sizes 8 and 16. build: the family's target, wrapped in
    ``staticmethod``. covered: the least share of the weights that `repeated_blocks` must hold.
    """

    config: BackboneConfig
    build: Callable[[Any], Backbone]
    covered: float = 0.8

    @pytest.fixture(params=[8, 16])
    def setting(self, request):
        """A backbone with its inputs: latents [2, 4, S, S], timesteps, text [2, 32, D], a mask."""
        torch.manual_seed(0)
        backbone = self.build(msgspec.structs.replace(self.config, latent_size=request.param))
        latents = torch.randn(2, self.config.latent_channels, request.param, request.param)
        mask = torch.ones(2, 32, dtype=torch.bool)
        mask[:, 20:] = False
        return (
            backbone,
            latents,
            torch.tensor([3, 700]),
            torch.randn(2, 32, self.config.text_width),
            mask,
        )

    @torch.no_grad()
    def test_prediction_depends_on_every_input(self, setting):
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
    def test_masked_tokens_do_not_count(self, setting):
        backbone, latents, timesteps, text, mask = setting
        masked = backbone(latents, timesteps, text, mask)
        changed = torch.where(mask[..., None], text, 5 * torch.randn_like(text))
        torch.testing.assert_close(backbone(latents, timesteps, changed, mask), masked)
        cut = backbone(latents, timesteps, text[:, :20])
        torch.testing.assert_close(masked, cut, atol=1e-4, rtol=1e-4)
        assert (backbone(latents, timesteps, text) - masked).abs().amax() > 1e-3

    def test_gradient_reaches_all_but_the_declared_parameters(self, setting):
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
    def test_bfloat16_is_finite_and_near_float32(self, setting):
        backbone, latents, timesteps, text, mask = setting
        exact = backbone(latents, timesteps, text, mask)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = backbone(latents, timesteps, text, mask).float()
        assert rounded.isfinite().all()
        assert (rounded - exact).abs().mean() < 0.05 * exact.std()

    @torch.no_grad()
    def test_repeated_blocks_are_in_order_of_execution(self, setting):
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
        assert sum(p.numel() for p in weights) > self.covered * sum(
            p.numel() for p in backbone.parameters()
        )
