"""Work on many images: side by side on a CPU's threads, each with the arithmetic of a single thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_core.adapters.precision import full_precision

Item = TypeVar("Item")


def map_portions(
    work: Callable[[Sequence[Item]], NDArray[np.float32]],
    items: Sequence[Item],
    size: int,
    device: torch.device,
) -> list[NDArray[np.float32]]:
    """`work` of consecutive portions of `size` items (the last may be smaller), in their order.

    On a CPU every portion is worked on by one thread, as many at a time as torch is set to use. That
    is faster than splitting each convolution over the threads, and its results do not depend on how
    many there are: libraries choose other kernels, with other last bits, for other numbers of threads.
    On an accelerator portions come one after another. Gradients, autocast and TF32 are off.
    """
    portions = [items[start : start + size] for start in range(0, len(items), size)]
    threads = torch.get_num_threads()

    def work_alone(portion: Sequence[Item]) -> NDArray[np.float32]:
        torch.set_num_threads(1)  # of this thread
        with torch.inference_mode():  # is this thread's too
            return work(portion)

    with full_precision(device):
        if device.type != "cpu":
            return [work(portion) for portion in portions]
        try:
            if threads == 1 or len(portions) <= 1:
                return [work_alone(portion) for portion in portions]
            with ThreadPoolExecutor(min(threads, len(portions))) as pool:
                return list(pool.map(work_alone, portions))
        finally:
            torch.set_num_threads(threads)


def run_padded(
    network: Callable[[Tensor], Tensor], inputs: Sequence[Tensor], size: int, device: torch.device
) -> NDArray[np.float32]:
    """Vectors float32 [N, D] of N <= `size` inputs [1, C, H, W], in a batch of always `size`.

    Libraries choose kernels by the size of the batch too, so what is missing is filled up with zeros.
    """
    assert 0 < len(inputs) <= size, f"{len(inputs)} images in a batch of {size}"
    padding = [torch.zeros_like(inputs[0])] * (size - len(inputs))
    batch = torch.cat([*inputs, *padding]).contiguous(memory_format=torch.channels_last)
    return network(batch.to(device))[: len(inputs)].float().cpu().numpy()
