"""The trainer's parts on a real, reduced backbone of the small world."""

import signal

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from zoo_core.catalog import open_catalog
from zoo_core.errors import CheckpointError, TrainingError
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import resolve_recipe
from zoo_core.recipe.components import Components
from zoo_core.stream.draws import noise, timesteps
from zoo_gpu_trainer.feed import Feed
from zoo_gpu_trainer.interrupt import StopRequest
from zoo_gpu_trainer.latents import cached_moments, weights_hash
from zoo_gpu_trainer.state import optimizer_tensors, restore_optimizer
from zoo_gpu_trainer.trainer import choose_device
from zoo_gpu_trainer.update import Updater

CPU = torch.device("cpu")


def _recipe(*changes: str):
    base = ["dataset.samples=12", "training.batch_size=4", "training.micro_batch=4"]
    return resolve_recipe(open_catalog(), "sd2", "laptop", assignments=[*base, *changes])


@pytest.fixture(scope="module")
def components():
    return Components(_recipe(), open_catalog())


@pytest.fixture
def updater(components):
    return _updater(components)


def _updater(components, recipe=None):
    recipe = recipe or components.recipe
    feed = Feed(
        recipe, components.dataset(), components.vae(), components.text_encoder(), CPU, None
    )
    torch.manual_seed(0)
    return Updater(recipe, components.backbone(), feed, CPU)


def test_one_update_equals_a_plain_loop_over_diffusers_scheduler(components, updater):
    """Loss and every weight after one step, to 1e-6 relative, against AdamW and DDPMScheduler alone."""
    plain = _updater(components)
    batch = plain.feed.batch(0, 4)
    scheduler = DDPMScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    drawn = torch.from_numpy(noise(0, np.arange(4), (4, 8, 8)))
    steps = torch.from_numpy(timesteps(0, np.arange(4)))
    noisy = scheduler.add_noise(batch.latents, drawn, steps)
    prediction = plain.backbone.train()(noisy, steps, batch.text.states, batch.text.mask)
    loss = torch.nn.functional.mse_loss(prediction, drawn)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(plain.backbone.parameters(), 1.0)
    optimizer = torch.optim.AdamW(plain.backbone.parameters(), lr=1e-3 / 100, weight_decay=0.01)
    optimizer.step()

    update = updater.update(0)
    assert update.loss == pytest.approx(loss.item(), rel=1e-6)
    assert update.gradient_norm == pytest.approx(norm.item(), rel=1e-5)
    assert update.learning_rate == pytest.approx(1e-3 / 100)
    for (name, ours), theirs in zip(
        updater.backbone.named_parameters(), plain.backbone.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=2e-6, msg=name)


def test_a_batch_is_a_function_of_its_sample_indices(components, updater):
    whole = updater.feed.batch(8, 12)
    parts = [updater.feed.batch(8, 10), updater.feed.batch(10, 12)]
    for field in ("noise", "timesteps"):
        joined = torch.cat([getattr(part.draw, field) for part in parts])
        assert torch.equal(getattr(whole.draw, field), joined)
    joined = torch.cat([part.latents for part in parts])
    torch.testing.assert_close(whole.latents, joined, rtol=1e-4, atol=1e-5)
    joined = torch.cat([part.text.states for part in parts])
    torch.testing.assert_close(whole.text.states, joined, rtol=1e-4, atol=1e-5)


def test_warm_up_then_constant(updater):
    assert updater.learning_rate(0) == pytest.approx(1e-5)
    assert updater.learning_rate(99) == pytest.approx(1e-3)
    assert updater.learning_rate(5000) == pytest.approx(1e-3)


def test_latents_have_about_unit_variance(components, updater):
    latents = torch.cat([updater.feed.batch(first, first + 12).latents for first in (0, 12)])
    assert 0.7 < latents.std().item() < 1.3


def test_the_optimizer_state_goes_through_tensors_unchanged(components, updater):
    updater.update(0)
    kept = optimizer_tensors(updater.optimizer, updater.backbone)
    fresh = _updater(components)
    restore_optimizer(fresh.optimizer, fresh.backbone, kept)
    again = optimizer_tensors(fresh.optimizer, fresh.backbone)
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_foreign_optimizer_state_is_refused(components, updater):
    updater.update(0)
    kept = optimizer_tensors(updater.optimizer, updater.backbone)
    name = next(name for name in kept if name.endswith(".exp_avg"))
    with pytest.raises(CheckpointError, match="unknown parameters"):
        restore_optimizer(
            updater.optimizer, updater.backbone, {**kept, "other.exp_avg": kept[name]}
        )
    with pytest.raises(CheckpointError, match="another model"):
        restore_optimizer(updater.optimizer, updater.backbone, {**kept, name: torch.zeros(3, 5)})
    kept.pop(name)
    with pytest.raises(CheckpointError, match="incomplete"):
        restore_optimizer(updater.optimizer, updater.backbone, kept)


def test_the_cache_holds_what_the_vae_says_and_is_read_again(components, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    dataset, vae = components.dataset(), components.vae()
    first = cached_moments(dataset, vae, CPU, 5, Reporter(), lambda: False)
    assert first.shape == (12, 8, 8, 8)
    files = list((tmp_path / "moments").iterdir())
    assert len(files) == 1
    stamp = files[0].stat().st_mtime_ns
    again = cached_moments(dataset, vae, CPU, 5, Reporter(), lambda: False)
    assert np.array_equal(first, again)
    assert files[0].stat().st_mtime_ns == stamp
    pixels = torch.from_numpy(dataset[7].image).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        expected = vae.encode(pixels).mean[0].numpy()
    np.testing.assert_allclose(first[7, :4], expected, rtol=1e-4, atol=1e-4)


def test_an_interrupted_encoding_leaves_nothing(components, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    answers = iter([False, True])
    dataset, vae = components.dataset(), components.vae()
    assert cached_moments(dataset, vae, CPU, 5, Reporter(), lambda: next(answers)) is None
    assert list((tmp_path / "moments").iterdir()) == []


def test_the_hash_of_weights_changes_with_one_value(components):
    vae = components.vae()
    before = weights_hash(vae)
    assert weights_hash(components.vae()) == before
    with torch.no_grad():
        next(vae.parameters()).view(-1)[0] += 1
    assert weights_hash(vae) != before


def test_the_first_signal_asks_to_stop_and_the_second_interrupts():
    with StopRequest(Reporter()) as stop:
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_device_that_is_not_there_is_told():
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(TrainingError, match=r"training\.device=cpu"):
        choose_device(_recipe("training.device=cuda"))
    assert choose_device(_recipe()).type == "cpu"
