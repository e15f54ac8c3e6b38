"""The VAE's moments of a whole dataset, encoded once and kept in a file for every later run."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch

from zoo_core.adapters.pixels import to_pixels
from zoo_core.catalog.cache import cache_folder
from zoo_core.errors import RunError, TrainingError
from zoo_core.interfaces.dataset import Dataset, Sample
from zoo_core.interfaces.group import Group
from zoo_core.interfaces.reporter import Reporter
from zoo_core.interfaces.vae import VAE, Moments


def weights_hash(module: torch.nn.Module) -> str:
    """A digest of all parameters and buffers, names and dtypes included."""
    total = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def encode_samples(vae: VAE, samples: list[Sample], device: torch.device) -> Moments:
    """Moments [B, C, H, W] of samples, from their own moments where they carry them."""
    given = [sample.moments for sample in samples if sample.moments is not None]
    if len(given) == len(samples):
        stacked = torch.from_numpy(np.stack(given)).to(device)
        mean, logvar = stacked.chunk(2, dim=1)
        return Moments(mean, logvar)
    images = [sample.image for sample in samples if sample.image is not None]
    if len(images) != len(samples):
        keys = [sample.key for sample in samples if sample.image is None]
        raise TrainingError(
            f"Sample '{keys[0]}' has neither an image nor moments; its set mixes both."
        )
    with torch.no_grad():
        return vae.encode(to_pixels(images).to(device))


def cached_moments(
    dataset: Dataset,
    vae: VAE,
    device: torch.device,
    batch: int,
    reporter: Reporter,
    group: Group,
) -> np.ndarray:
    """Moments float32 [N, 2C, H, W] of every sample, mapped from a file that the leader makes.

    The file's name holds the digests of the data and of the VAE's weights, so that another run with
    the same two reads it, and a change of either makes a new one. It appears under that name only
    when complete. Raises `RunError` when it cannot be written.
    """
    name = f"{dataset.fingerprint()[:16]}-{weights_hash(vae)[:16]}.npy"
    path = cache_folder() / "moments" / name
    if group.leads and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}-{os.getpid()}.npy")
        try:
            _encode_all(partial, dataset, vae, device, batch, reporter)
            partial.replace(path)
        except OSError as error:
            raise RunError(
                f"The moments cache {path} cannot be written ({error.strerror}). Free some space, point "
                f"ZOO_CACHE to another folder, or encode at every step with --set data.cache=false."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
    group.barrier()
    return np.load(path, mmap_mode="r")


def _encode_all(
    path: Path,
    dataset: Dataset,
    vae: VAE,
    device: torch.device,
    batch: int,
    reporter: Reporter,
) -> None:
    count = len(dataset)
    out: np.memmap | None = None
    with reporter.progress("encoding images once", count, "images") as progress:
        for start in range(0, count, batch):
            samples = [dataset[index] for index in range(start, min(start + batch, count))]
            moments = encode_samples(vae, samples, device)
            stacked = torch.cat([moments.mean, moments.logvar], dim=1).float().cpu().numpy()
            if out is None:
                shape = (count, *stacked.shape[1:])
                out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            out[start : start + len(samples)] = stacked
            progress.advance(len(samples))
        assert out is not None, "a dataset has at least one sample"
        out.flush()
