"""Training compute under the paper's convention and the true one, and storage."""

from __future__ import annotations

from zoo_core.account import Account
from zoo_core.account.training import storage, training_compute, training_flops
from zoo_sdxl.account import account
from zoo_sdxl.config import SDXLConfig


def test_sdxl_for_600k_steps_ends_the_papers_axis():
    sdxl = account(SDXLConfig(), 32, 77)
    compute = training_compute(sdxl, batch=2048, steps=600_000)
    assert abs(compute.paper_gflops / 1.46e12 - 1) < 0.005
    assert compute.true_gflops / compute.paper_gflops == sdxl.true_macs / sdxl.macs > 1


def test_compute_is_three_passes_of_two_operations_each_mac():
    assert training_flops(macs=7, batch=5, steps=11) == 3 * 2 * 7 * 5 * 11


def test_storage_in_bytes():
    small = Account(1000, 0, 0, 0, 0)
    bare = storage(small)
    assert (bare.weights, bare.checkpoint, bare.latents, bare.text) == (4000, 12000, 0, 0)
    cached = storage(small, images=10, latent_shape=(4, 8, 8), captions=60, text_shape=(32, 128))
    assert cached.latents == 10 * 2 * 4 * 8 * 8 * 2
    assert cached.text == 60 * 32 * 128 * 2
