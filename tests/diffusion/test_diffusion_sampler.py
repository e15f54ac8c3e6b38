"""DDIM with guidance against a loop in the manner of diffusers' Stable Diffusion pipeline."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from zoo_core.diffusion.sampler import check_steps, sample_latents
from zoo_core.diffusion.schedule import NoiseSchedule
from zoo_core.errors import ConfigError
from zoo_core.interfaces.backbone import Backbone
from zoo_core.interfaces.config import BackboneConfig
from zoo_core.interfaces.text_encoder import TextStates
from zoo_core.recipe.sections import DiffusionSettings, SamplingSettings

SCHEDULE = NoiseSchedule(DiffusionSettings())


class TinyUNet(Backbone):
    """A UNet of a few thousand parameters that remembers what it was called with."""

    def __init__(self) -> None:
        super().__init__(BackboneConfig(text_width=16))
        self.calls: list[tuple[Tensor, Tensor, Tensor | None]] = []
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
        self.calls.append((timesteps, text, text_mask))
        return self.unet(latents, timesteps, text, encoder_attention_mask=text_mask).sample

    def repeated_blocks(self) -> list[nn.Module]:
        return []


@pytest.fixture
def backbone() -> TinyUNet:
    torch.manual_seed(0)
    return TinyUNet().eval()


def inputs(count: int, masked: bool = False) -> tuple[TextStates, TextStates, Tensor]:
    generator = torch.Generator().manual_seed(2)
    states = torch.randn(count, 6, 16, generator=generator)
    empty = torch.randn(1, 6, 16, generator=generator)
    noise = torch.randn(count, 4, 8, 8, generator=generator)
    if not masked:
        return TextStates(states), TextStates(empty), noise
    lengths = torch.arange(1, count + 1)[:, None] % 6 + 1
    mask = torch.arange(6)[None] < lengths
    return TextStates(states, mask), TextStates(empty, mask[:1]), noise


@torch.no_grad()
def pipeline(
    backbone: TinyUNet,
    text: TextStates,
    uncond: TextStates,
    noise: Tensor,
    steps: int,
    guidance: float,
    prediction: str = "epsilon",
) -> Tensor:
    """What `StableDiffusionPipeline` does between encoding the prompt and decoding the latents."""
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    scheduler.set_timesteps(steps)
    latents = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(latents, t)
        if guidance == 1:
            predicted = backbone.unet(scaled, t, text.states).sample
        else:
            halves = []
            for states in (uncond.states.repeat(len(noise), 1, 1), text.states):
                halves.append(backbone.unet(scaled, t, states).sample)
            predicted = halves[0] + guidance * (halves[1] - halves[0])
        latents = scheduler.step(predicted, t, latents).prev_sample
    return latents


@pytest.mark.parametrize("guidance", [1.0, 2.0, 7.5])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_equals_the_pipelines_loop(backbone: TinyUNet, guidance: float, prediction: str) -> None:
    text, uncond, noise = inputs(3)
    settings = SamplingSettings(steps=10, guidance=guidance)
    schedule = NoiseSchedule(DiffusionSettings(prediction=prediction))
    ours = sample_latents(backbone, text, uncond, noise, settings, schedule)
    reference = pipeline(backbone, text, uncond, noise, 10, guidance, prediction)
    assert ours.shape == noise.shape
    assert ours.dtype == torch.float32
    scale = float(reference.abs().max())
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5 * max(1.0, scale))
    if guidance > 1:
        weaker = pipeline(backbone, text, uncond, noise, 10, 1.0, prediction)
        assert (ours - weaker).abs().max() > 100 * 1e-5 * max(1.0, scale)


def test_the_steps_are_stable_diffusions(backbone: TinyUNet) -> None:
    text, uncond, noise = inputs(2)
    seen: list[tuple[int, int]] = []
    sample_latents(
        backbone,
        text,
        uncond,
        noise,
        SamplingSettings(steps=50),
        SCHEDULE,
        lambda done, total: seen.append((done, total)),
    )
    assert [int(call[0][0]) for call in backbone.calls] == list(range(981, 0, -20))
    assert all(call[0].shape == (4,) and call[0].dtype == torch.int64 for call in backbone.calls)
    assert seen == [(done, 50) for done in range(1, 51)]


@pytest.mark.parametrize("masked", [False, True])
def test_a_prompt_does_not_depend_on_the_rest_of_the_batch(
    backbone: TinyUNet, masked: bool
) -> None:
    text, uncond, noise = inputs(5, masked)
    settings = SamplingSettings(steps=8, guidance=3.0)
    together = sample_latents(backbone, text, uncond, noise, settings, SCHEDULE)
    for row in (0, 4):
        one = slice(row, row + 1)
        mask = None if text.mask is None else text.mask[one]
        alone = sample_latents(
            backbone, TextStates(text.states[one], mask), uncond, noise[one], settings, SCHEDULE
        )
        scale = float(alone.abs().max())
        torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-5 * scale)


def test_without_guidance_the_empty_caption_is_not_computed(backbone: TinyUNet) -> None:
    text, uncond, noise = inputs(3)
    sample_latents(backbone, text, uncond, noise, SamplingSettings(steps=2, guidance=1), SCHEDULE)
    assert [len(call[0]) for call in backbone.calls] == [3, 3]


@pytest.mark.parametrize("half", ["text", "uncond"])
def test_a_mask_on_one_half_counts_all_tokens_of_the_other(backbone: TinyUNet, half: str) -> None:
    text, uncond, noise = inputs(3, masked=True)
    if half == "text":
        uncond = TextStates(uncond.states)
    else:
        text = TextStates(text.states)
    sample_latents(backbone, text, uncond, noise, SamplingSettings(steps=1), SCHEDULE)
    mask = backbone.calls[0][2]
    assert mask is not None
    assert mask.shape == (6, 6)
    given, without = mask[3:], mask[:3]
    assert torch.equal(given, text.mask if half == "text" else torch.ones(3, 6).bool())
    assert torch.equal(
        without, torch.ones(3, 6).bool() if half == "text" else uncond.mask.expand(3, -1)
    )


def test_sampling_takes_no_gradient_and_leaves_the_mode_alone(backbone: TinyUNet) -> None:
    text, uncond, noise = inputs(1)
    backbone.train()
    latents = sample_latents(backbone, text, uncond, noise, SamplingSettings(steps=1), SCHEDULE)
    assert not latents.requires_grad
    assert backbone.training


@pytest.mark.parametrize(("steps", "timesteps"), [(1000, 1000), (7, 6), (2, 2)])
def test_too_many_steps_are_refused(steps: int, timesteps: int) -> None:
    with pytest.raises(ConfigError, match=f"sampling.steps is {steps}"):
        check_steps(steps, timesteps)


@pytest.mark.parametrize(("steps", "timesteps"), [(999, 1000), (500, 1000), (50, 1000), (1, 2)])
def test_steps_that_fit_are_sampled(backbone: TinyUNet, steps: int, timesteps: int) -> None:
    check_steps(steps, timesteps)
    scheduler = DDIMScheduler(
        num_train_timesteps=timesteps, steps_offset=1, timestep_spacing="leading"
    )
    scheduler.set_timesteps(steps)
    assert int(scheduler.timesteps.max()) < timesteps
