"""What training costs: compute, and the bytes of what is stored along the way."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_core.account.record import Account

#: Forward and backward together cost three forward passes (Li et al. 2024, section 4).
PASSES = 3
#: One multiply-accumulate is two floating-point operations.
FLOPS_PER_MAC = 2


@dataclass(frozen=True, slots=True)
class TrainingCompute:
    """FLOPs of a training run, under the two ways of counting a denoising step.

    paper_flops: from `Account.macs`, which leaves out the attention products; comparable with the
        paper's axes and fits.
    true_flops: from `Account.true_macs`; what a device does, for planning and utilisation.
    Neither has the frozen VAE and text encoder in it.
    """

    paper_flops: int
    true_flops: int

    @property
    def paper_gflops(self) -> float:
        """C of the paper's scaling laws."""
        return self.paper_flops / 1e9

    @property
    def true_gflops(self) -> float:
        return self.true_flops / 1e9


def training_flops(macs: int, batch: int, steps: int) -> int:
    """C = 3 x 2 x MACs x batch x steps, in FLOPs (the paper's axes have it in GFLOPs).

    SDXL, 600K steps of 2048: 1.46e12 GFLOPs.
    """
    return PASSES * FLOPS_PER_MAC * macs * batch * steps


def training_compute(account: Account, batch: int, steps: int) -> TrainingCompute:
    """FLOPs of `steps` steps with `batch` images each."""
    return TrainingCompute(
        paper_flops=training_flops(account.macs, batch, steps),
        true_flops=training_flops(account.true_macs, batch, steps),
    )


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes on disk.

    weights: one file of the backbone's weights in fp32.
    checkpoint: weights with AdamW's two moments, all fp32: what resuming needs.
    latents: cached moments (mean and log variance) of every image in fp16.
    text: cached text states of every caption in fp16.
    """

    weights: int
    checkpoint: int
    latents: int = 0
    text: int = 0


def storage(
    account: Account,
    *,
    images: int = 0,
    latent_shape: tuple[int, int, int] = (4, 32, 32),
    captions: int = 0,
    text_shape: tuple[int, int] = (77, 1024),
) -> Storage:
    """Bytes of weights, checkpoint and caches.

    latent_shape: [C, H, W] of one image. text_shape: [L, D] of one caption.
    """
    channels, height, width = latent_shape
    tokens, text_width = text_shape
    half = 2  # bytes of an fp16 number
    return Storage(
        weights=account.weight_bytes,
        checkpoint=3 * account.weight_bytes,
        latents=images * 2 * channels * height * width * half,
        text=captions * tokens * text_width * half,
    )
