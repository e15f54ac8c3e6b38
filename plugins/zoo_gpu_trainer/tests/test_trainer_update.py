"""One update: against a plain loop, however it is cut, and with what is not finite."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from zoo_core.stream.draws import noise, timesteps
from zoo_gpu_trainer.update import NotFinite, Wishes


def _gradients(updater, step=0):
    """What the optimizer is given at a step."""
    seen = {}

    def keep(optimizer, args, kwargs):
        for name, parameter in updater.backbone.named_parameters():
            if parameter.grad is not None:
                seen[name] = parameter.grad.clone()

    handle = updater.optimizer.register_step_pre_hook(keep)
    update, _ = updater.update(step, Wishes())
    handle.remove()
    return update, seen


@pytest.mark.parametrize("name", ["sd2-debug", "pixart-debug"])
def test_loss_and_gradient_equal_a_plain_loop_over_diffusers_scheduler(updater_for, name):
    """To 1e-6 relative, with DDPMScheduler's noising and torch's own loss."""
    plain = updater_for({"optimizer.gradient_clip": 0}, name)
    batch = plain.feed.batch(range(4))
    scheduler = DDPMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    drawn = torch.from_numpy(noise(0, np.arange(4), (4, 8, 8)))
    steps = torch.from_numpy(timesteps(0, np.arange(4)))
    noisy = scheduler.add_noise(batch.latents, drawn, steps)
    prediction = plain.backbone.train()(noisy, steps, batch.text.states, batch.text.mask)
    loss = torch.nn.functional.mse_loss(prediction, drawn)
    loss.backward()

    update, gradients = _gradients(updater_for({"optimizer.gradient_clip": 0}, name))
    assert update.loss == pytest.approx(loss.item(), rel=1e-6)
    assert len(gradients) > 20
    for key, parameter in plain.backbone.named_parameters():
        if parameter.grad is None:
            assert key not in gradients
            continue
        difference = (gradients[key] - parameter.grad).norm()
        # Where a gradient is zero but for rounding, relative to the whole of it.
        scale = max(parameter.grad.norm().item(), 1e-3 * update.gradient_norm)
        assert difference <= 1e-6 * scale, key


def test_one_step_of_the_optimizer_equals_plain_adamw(updater_for):
    plain, ours = updater_for(), updater_for()
    batch = plain.feed.batch(range(4))
    scheduler = DDPMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    noisy = scheduler.add_noise(batch.latents, batch.draw.noise, batch.draw.timesteps)
    prediction = plain.backbone.train()(
        noisy, batch.draw.timesteps, batch.text.states, batch.text.mask
    )
    torch.nn.functional.mse_loss(prediction, batch.draw.noise).backward()
    norm = torch.nn.utils.clip_grad_norm_(plain.backbone.parameters(), 1.0)
    torch.optim.AdamW(plain.backbone.parameters(), lr=1e-3 / 100, weight_decay=0.01).step()

    update, _ = ours.update(0, Wishes())
    assert update.gradient_norm == pytest.approx(norm.item(), rel=1e-5)
    assert update.learning_rate == pytest.approx(1e-3 / 100)
    for theirs, own in zip(plain.backbone.parameters(), ours.backbone.parameters(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-6, atol=2e-6)


def test_the_gradient_does_not_depend_on_the_micro_batch(updater_for):
    whole, gradients = _gradients(updater_for({"training.micro_batch": 4}))
    for size in (1, 2, 3):
        part, others = _gradients(updater_for({"training.micro_batch": size}))
        assert part.loss == pytest.approx(whole.loss, rel=1e-5)
        for key, gradient in gradients.items():
            torch.testing.assert_close(others[key], gradient, rtol=1e-3, atol=1e-6, msg=key)


@pytest.mark.parametrize("settings", [{"activation_checkpointing": True}, {"fused": False}])
def test_switches_change_nothing_but_rounding(updater_for, settings):
    from zoo_gpu_trainer.switches import prepare

    plain, switched = updater_for(), updater_for(**settings)
    prepare(switched.backbone, switched.config, switched.device)
    for step in range(2):
        one, _ = plain.update(step, Wishes())
        two, _ = switched.update(step, Wishes())
        assert two.loss == pytest.approx(one.loss, rel=1e-5)
        assert two.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-4)


def test_channels_last_changes_nothing_but_rounding(updater_for):
    from zoo_gpu_trainer.switches import prepare

    plain, switched = updater_for(), updater_for(channels_last=True)
    prepare(switched.backbone, switched.config, switched.device)
    convolution = switched.backbone.unet.conv_in.weight
    assert convolution.is_contiguous(memory_format=torch.channels_last)
    one, _ = plain.update(0, Wishes())
    two, _ = switched.update(0, Wishes())
    assert two.loss == pytest.approx(one.loss, rel=1e-5)


def test_activation_checkpointing_runs_the_blocks_again(updater_for):
    from zoo_gpu_trainer.switches import prepare

    calls = {}
    for wanted in (False, True):
        updater = updater_for(activation_checkpointing=wanted)
        block = updater.backbone.repeated_blocks()[0]
        inside, counted = block.forward, []
        block.forward = lambda *a, inside=inside, counted=counted, **k: (
            counted.append(1) or inside(*a, **k)
        )
        prepare(updater.backbone, updater.config, updater.device)
        updater.update(0, Wishes())
        calls[wanted] = len(counted)
    assert calls == {False: 1, True: 2}


def test_warm_up_then_constant(updater):
    assert updater.learning_rate(0) == pytest.approx(1e-5)
    assert updater.learning_rate(99) == pytest.approx(1e-3)
    assert updater.learning_rate(5000) == pytest.approx(1e-3)


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_changes_no_weight_and_names_samples(updater, monkeypatch, what):
    from zoo_gpu_trainer import update as module

    real = module.training_loss

    def poisoned(*arguments):
        losses = real(*arguments)
        if what == "loss":
            return torch.where(torch.arange(4) == 1, float("nan"), losses)
        return losses + 0 * torch.sqrt((losses - losses.detach()).abs())  # d sqrt(0) is infinite

    before = [parameter.detach().clone() for parameter in updater.backbone.parameters()]
    monkeypatch.setattr(module, "training_loss", poisoned)
    with pytest.raises(NotFinite, match=f"The {what} of step 3 is not finite") as caught:
        updater.update(2, Wishes(stop=True))
    expected = np.arange(9, 10) if what == "loss" else np.arange(8, 12)
    assert caught.value.keys == updater.feed.keys(expected)
    assert caught.value.wishes.stop
    after = updater.backbone.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(parameter.grad is None for parameter in updater.backbone.parameters())
    assert not updater.optimizer.state


def test_the_average_of_the_weights_moves_and_lags(updater_for):
    assert updater_for().average is None
    updater = updater_for({"training.ema_decay": 0.9, "optimizer.warmup_steps": 0})
    first = {name: tensor.clone() for name, tensor in updater.average.tensors.items()}
    updater.update(0, Wishes())
    for name, weight in updater.backbone.named_parameters():
        torch.testing.assert_close(
            updater.average.tensors[name], 0.9 * first[name] + 0.1 * weight.detach()
        )
    moved = [not torch.equal(updater.average.tensors[name], first[name]) for name in first]
    assert sum(moved) > 0.9 * len(moved)
