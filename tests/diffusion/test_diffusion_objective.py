"""The training objective against a plain loop with diffusers' own scheduler, and its reduction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from zoo_core.diffusion.objective import batch_mean, batch_share, draw, training_loss
from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.config import BackboneConfig
from zoo_core.recipe.sections import DiffusionSettings

SHAPE = (4, 8, 8)


class TinyUNet(Backbone):
    """A UNet of a few thousand parameters behind the zoo's interface."""

    def __init__(self) -> None:
        super().__init__(BackboneConfig(text_width=16))
        self.unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=16,
            attention_head_dim=2,
        )

    def forward(
        self, latents: Tensor, timesteps: Tensor, text: Tensor, text_mask: Tensor | None = None
    ) -> Tensor:
        return self.unet(latents, timesteps, text, encoder_attention_mask=text_mask).sample

    def repeated_blocks(self) -> list[nn.Module]:
        return []


@pytest.fixture
def backbone() -> TinyUNet:
    torch.manual_seed(0)
    return TinyUNet()


def batch(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(count, *SHAPE, generator=generator),
        torch.randn(count, 6, 16, generator=generator),
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_loss_and_gradients_equal_a_plain_diffusers_loop(
    backbone: TinyUNet, prediction: str
) -> None:
    latents, text = batch(6)
    sample = draw(3, range(6), SHAPE)
    schedule = NoiseSchedule(DiffusionSettings(prediction=prediction))
    ours = training_loss(backbone, latents, sample.noise, sample.timesteps, text, None, schedule)
    assert ours.shape == (6,)
    assert ours.dtype == torch.float32
    batch_share(ours, 6).backward()
    gradients = {name: p.grad.clone() for name, p in backbone.named_parameters()}
    backbone.zero_grad()

    ddpm = DDPMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
    )
    noisy = ddpm.add_noise(latents, sample.noise, sample.timesteps)
    predicted = backbone.unet(noisy, sample.timesteps, text).sample
    target = (
        sample.noise
        if prediction == "epsilon"
        else ddpm.get_velocity(latents, sample.noise, sample.timesteps)
    )
    reference = nn.functional.mse_loss(predicted, target)
    reference.backward()

    assert batch_mean([ours]) == pytest.approx(reference.item(), rel=1e-6)
    assert gradients
    for name, parameter in backbone.named_parameters():
        scale = parameter.grad.abs().max().clamp_min(1e-12)
        assert (gradients[name] - parameter.grad).abs().max() <= 1e-6 * scale + 1e-9, name


def test_the_schedule_is_ldms() -> None:
    found = NoiseSchedule(DiffusionSettings()).alphas_cumprod
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    np.testing.assert_allclose(found.numpy(), np.cumprod(1 - betas), rtol=2e-5)
    assert found.shape == (1000,)


def test_add_noise_and_targets_follow_their_equations() -> None:
    latents, _ = batch(4)
    sample = draw(0, range(4), SHAPE)
    a = NoiseSchedule(DiffusionSettings()).alphas_cumprod[sample.timesteps].view(4, 1, 1, 1)
    epsilon = NoiseSchedule(DiffusionSettings())
    velocity = NoiseSchedule(DiffusionSettings(prediction="v_prediction"))
    arguments = (latents, sample.noise, sample.timesteps)
    torch.testing.assert_close(
        epsilon.add_noise(*arguments), a.sqrt() * latents + (1 - a).sqrt() * sample.noise
    )
    assert epsilon.target(*arguments) is sample.noise
    torch.testing.assert_close(
        velocity.target(*arguments), a.sqrt() * sample.noise - (1 - a).sqrt() * latents
    )


def test_micro_batches_add_up_to_the_global_batch(backbone: TinyUNet) -> None:
    latents, text = batch(12)
    schedule = NoiseSchedule(DiffusionSettings())

    def run(sizes: list[int]) -> tuple[float, dict[str, Tensor]]:
        backbone.zero_grad()
        losses, start = [], 0
        for size in sizes:
            part = slice(start, start + size)
            sample = draw(5, range(100 + start, 100 + start + size), SHAPE)
            loss = training_loss(
                backbone, latents[part], sample.noise, sample.timesteps, text[part], None, schedule
            )
            batch_share(loss, 12).backward()
            losses.append(loss)
            start += size
        assert start == 12
        gradients = {name: p.grad.clone() for name, p in backbone.named_parameters()}
        return batch_mean(losses), gradients

    whole, expected = run([12])
    for sizes in ([6, 6], [1] * 12, [5, 7]):
        value, gradients = run(sizes)
        assert value == pytest.approx(whole, rel=1e-6)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_the_mean_does_not_depend_on_how_the_same_losses_are_divided() -> None:
    losses = torch.rand(64, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 6, 64)
    whole = batch_mean([losses])
    assert batch_mean(losses.split(7)) == whole
    assert batch_mean(reversed(losses.split(1))) == whole
    assert whole == pytest.approx(losses.double().mean().item(), rel=1e-12)


def test_draws_belong_to_the_samples() -> None:
    whole = draw(1, [5, 6, 7, 8], SHAPE, 50)
    assert whole.timesteps.dtype == torch.int64
    assert whole.noise.dtype == torch.float32
    assert whole.noise.shape == (4, *SHAPE)
    assert int(whole.timesteps.max()) < 50
    later = draw(1, [7, 8], SHAPE, 50).to(torch.device("cpu"))
    assert torch.equal(whole.timesteps[2:], later.timesteps)
    assert torch.equal(whole.noise[2:], later.noise)


def test_the_loss_is_float32_under_autocast(backbone: TinyUNet) -> None:
    latents, text = batch(2)
    sample = draw(0, range(2), SHAPE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = training_loss(
            backbone,
            latents,
            sample.noise,
            sample.timesteps,
            text,
            None,
            NoiseSchedule(DiffusionSettings()),
        )
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
