"""The micro-batch that fits, found by trying and kept for the next start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch

from zoo_core.errors import TrainingError
from zoo_core.runs.durable import write_atomic
from zoo_core.runs.folder import RunFolder

#: Exit code of a process that asks to be started again with the smaller micro-batch it wrote down.
RESTART = 75

#: Where an automatic micro-batch starts on a processor, whose caches favour small ones.
_CPU_START = 32
_FILE = "machine.json"


@dataclass(frozen=True)
class Machine:
    """Where the run's numbers were computed; equal machines give equal bits.

    device: its name. processes: in the whole group. threads: CPU threads of each process.
    micro_batch: samples of a forward pass, of one process.
    """

    device: str
    processes: int
    threads: int
    micro_batch: int


def device_name(device: torch.device) -> str:
    """The GPU's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def recorded(run: RunFolder) -> Machine | None:
    """What the run's last start wrote down; None when there is none, or none that can be read."""
    try:
        return Machine(**json.loads((run.path / _FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None  # it is a memory of what worked, and trying finds it again


def record(run: RunFolder, machine: Machine) -> None:
    """Write it down for the next start."""
    write_atomic(run.path / _FILE, (json.dumps(asdict(machine), indent=1) + "\n").encode())


def first_micro_batch(wanted: int | str, share: int, device: torch.device) -> int:
    """The micro-batch to begin with: the recipe's, or for "auto" the largest worth trying.

    share: samples of an update that fall to one process.
    """
    if wanted != "auto":
        return min(int(wanted), share)
    return share if device.type == "cuda" else min(share, _CPU_START)


def lowered(micro_batch: int) -> int:
    """Half of a micro-batch that did not fit. Raises `TrainingError` when nothing is smaller."""
    if micro_batch == 1:
        raise TrainingError(
            "Not even one sample fits into the device's memory. Use trainer.activation_checkpointing=true, "
            "trainer.shard=full with more processes, training.precision=bf16, or a smaller backbone."
        )
    return micro_batch // 2


class OutOfMemory(SystemExit):
    """Ends a process of a group, whose others wait in a collective, to start again with less."""

    def __init__(self) -> None:
        super().__init__(RESTART)
