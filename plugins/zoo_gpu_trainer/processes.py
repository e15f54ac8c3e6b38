"""The processes of a run: how many, on which devices, and how they talk."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, final

import torch
import torch.distributed as dist

from zoo_core.errors import TrainingError
from zoo_core.interfaces.group import Alone, Group
from zoo_core.recipe import Recipe
from zoo_gpu_trainer.config import GPUTrainerConfig

T = TypeVar("T")

#: What the leader does alone (encoding a data set, scoring) may take this long.
PATIENCE = timedelta(hours=24)


@final
class Processes(Group):
    """A group over torch.distributed. Talk goes over gloo; gradients have a group of their own.

    `saving` is a second gloo group for checkpoints, which are written while training goes on: on one
    group the calls of the two would mix.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._talk = _gloo()
        self.saving = _gloo()

    def gather(self, value: T) -> list[T] | None:
        values: list[Any] | None = [None] * self.size if self.leads else None
        dist.gather_object(value, values, dst=0, group=self._talk)
        return values

    def broadcast(self, value: Any) -> Any:
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._talk)
        return box[0]

    def any(self, flag: bool) -> bool:
        told = torch.tensor([flag], dtype=torch.uint8)
        dist.all_reduce(told, op=dist.ReduceOp.MAX, group=self._talk)
        return bool(told.item())

    def barrier(self) -> None:
        dist.barrier(group=self._talk)

    def all_rows(self, row: torch.Tensor) -> torch.Tensor:
        """The rows float64 [N] of all processes, by rank: [W, N]."""
        rows = torch.empty(self.size, len(row), dtype=torch.float64)
        dist.all_gather(list(rows), row, group=self._talk)
        return rows


def _gloo() -> dist.ProcessGroup:
    """A group of its own for all processes."""
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(group, dist.ProcessGroup), "every process is a member"
    return group


def device_count(recipe: Recipe) -> int:
    """Devices of the recipe's kind that this machine shows: GPUs, or 1 for its processor."""
    return torch.cuda.device_count() if _kind(recipe) == "cuda" else 1


def choose_device(recipe: Recipe) -> torch.device:
    """This process's device for ``training.device``. Raises `TrainingError` when it is not there."""
    kind = _kind(recipe)
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrainingError(
            "training.device is 'cuda', but torch sees no CUDA device here. Use --set training.device=cpu."
        )
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise TrainingError(
            f"Process {local} of this machine has no GPU of its own: {torch.cuda.device_count()} are "
            f"visible. Start as many processes as GPUs: --set trainer.processes=N or torchrun's "
            f"--nproc-per-node."
        )
    return torch.device("cuda", local)


def is_member() -> bool:
    """Whether a launcher such as torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def joined(recipe: Recipe, config: GPUTrainerConfig) -> Iterator[Group]:
    """The group this process belongs to: torchrun's, one of its own for sharding, or none."""
    if not is_member() and config.shard in ("auto", "none"):
        yield Alone()
        return
    device = choose_device(recipe)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    place: dict[str, Any] = {}
    if is_member():
        _end_with_parent()
        place = _restartable()
    else:
        place = {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE, **place)
    try:
        yield Processes()
    finally:
        dist.destroy_process_group()


def _restartable() -> dict[str, Any]:
    """Where the processes of one machine meet after their n-th restart; torch's own place elsewhere.

    The agent's store outlives its processes, with the addresses of those that are gone in it, so every
    start needs names of its own. Machines may count their restarts differently, and are left to torch.
    """
    variables = os.environ
    alone = variables.get("LOCAL_WORLD_SIZE") == variables["WORLD_SIZE"]
    if not alone or variables.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return {}
    address, port = variables["MASTER_ADDR"], int(variables["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(minutes=5))
    name = f"zoo/start-{variables.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    return {
        "store": dist.PrefixStore(name, store),
        "rank": int(variables["RANK"]),
        "world_size": int(variables["WORLD_SIZE"]),
    }


def _kind(recipe: Recipe) -> str:
    wanted = recipe.training.device
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended.

    Without it a killed launcher leaves workers behind that hold the run's lock.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
