"""What goes into a step: batches by sample index, the cache of moments, latents' scale."""

import numpy as np
import pytest
import torch

from zoo_core.interfaces.group import Alone
from zoo_core.interfaces.reporter import Reporter
from zoo_gpu_trainer.latents import cached_moments, weights_hash

CPU = torch.device("cpu")


def test_a_batch_is_a_function_of_its_sample_indices(updater):
    whole = updater.feed.batch(range(8, 12))
    parts = [updater.feed.batch(range(8, 10)), updater.feed.batch(range(10, 12))]
    for field in ("noise", "timesteps"):
        joined = torch.cat([getattr(part.draw, field) for part in parts])
        assert torch.equal(getattr(whole.draw, field), joined)
    joined = torch.cat([part.latents for part in parts])
    torch.testing.assert_close(whole.latents, joined, rtol=1e-4, atol=1e-5)
    joined = torch.cat([part.text.states for part in parts])
    torch.testing.assert_close(whole.text.states, joined, rtol=1e-4, atol=1e-5)


def test_latents_have_about_unit_variance(updater):
    latents = torch.cat([updater.feed.batch(range(first, first + 12)).latents for first in (0, 12)])
    assert 0.7 < latents.std().item() < 1.3


def test_the_cache_holds_what_the_vae_says_and_is_read_again(components, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    dataset, vae = components.dataset(), components.vae()
    first = cached_moments(dataset, vae, CPU, 5, Reporter(), Alone())
    assert first.shape == (12, 8, 8, 8)
    files = list((tmp_path / "moments").iterdir())
    assert len(files) == 1
    stamp = files[0].stat().st_mtime_ns
    again = cached_moments(dataset, vae, CPU, 5, Reporter(), Alone())
    assert np.array_equal(first, again)
    assert files[0].stat().st_mtime_ns == stamp
    pixels = torch.from_numpy(dataset[7].image).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        expected = vae.encode(pixels).mean[0].numpy()
    np.testing.assert_allclose(first[7, :4], expected, rtol=1e-4, atol=1e-4)


def test_an_interrupted_encoding_leaves_nothing(components, tmp_path, monkeypatch):
    class Interrupting(type(components.dataset())):
        def __getitem__(self, index):
            if index == 7 and (tmp_path / "moments").is_dir():  # not for its fingerprint
                raise KeyboardInterrupt
            return super().__getitem__(index)

    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    dataset = Interrupting(components.dataset().config)
    with pytest.raises(KeyboardInterrupt):
        cached_moments(dataset, components.vae(), CPU, 5, Reporter(), Alone())
    assert list((tmp_path / "moments").iterdir()) == []


def test_the_hash_of_weights_changes_with_one_value(components):
    vae = components.vae()
    before = weights_hash(vae)
    assert weights_hash(components.vae()) == before
    with torch.no_grad():
        next(vae.parameters()).view(-1)[0] += 1
    assert weights_hash(vae) != before
