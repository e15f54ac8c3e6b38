"""Checkpoints written while training goes on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import HuggingFaceStorageWriter
from torch.distributed.checkpoint.api import CheckpointException

from zoo_core.errors import CheckpointError, RunError
from zoo_core.interfaces.group import Group
from zoo_core.recipe import Recipe
from zoo_core.runs import checkpoints
from zoo_core.runs.durable import cannot_write
from zoo_core.runs.folder import RunFolder
from zoo_gpu_trainer.processes import Processes

# One process without torch.distributed is just what is meant.
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable")

#: The folder of a checkpoint that holds the optimizer's state, one safetensors file a process.
OPTIMIZER = "optimizer"

#: Seconds after which a checkpoint that failed is tried again.
RETRY = 30.0


class Saver:
    """Publishes checkpoints of a run from a thread of its own; one at a time, in order.

    Every process takes part: whole weights are written by the leader, each process writes its part of
    the optimizer's state by torch.distributed.checkpoint, as safetensors. What is saved is copied
    before `save` returns.
    """

    def __init__(
        self,
        run: RunFolder,
        recipe: Recipe,
        group: Group,
        warn: Callable[[int, str], None],
    ) -> None:
        self._run = run
        self._recipe = recipe
        self._group = group
        self._saving = group.saving if isinstance(group, Processes) else None
        self._warn = warn
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: tuple[int, Future[None]] | None = None
        self._failed_at: float | None = None
        self.saved_step = -1
        """The step of the last checkpoint begun."""

    def save(
        self,
        step: int,
        weights: dict[str, dict[str, Tensor]],
        moments: dict[str, Tensor],
        state: dict[str, Any],
    ) -> None:
        """Begin a checkpoint of `step`; one that is still being written is waited for.

        weights: whole tensors on the CPU by group, the leader's own copies. moments: of the optimizer,
        possibly sharded. state: the leader's, as JSON.
        """
        self.wait()
        draft = None
        error = None
        if self._group.leads:
            try:
                draft = checkpoints.begin(self._run, step)
            except OSError as problem:
                error = cannot_write(self._run.checkpoints, problem)
        place = self._group.broadcast(str(draft.path) if draft else None)
        if place is None:
            self.refuse(step, error or "the leader could not begin it.")
            return
        staged: Future[Any] | None = None
        if moments:
            staged = _save_moments(f"{place}/{OPTIMIZER}", moments, self._saving)
        future = self._thread.submit(self._finish, step, draft, place, staged, weights, state)
        self._pending = (step, future)
        self.saved_step = step

    def refuse(self, step: int, reason: str) -> None:
        """Count a checkpoint that could not even be begun as failed, in every process."""
        self._note(step, f"The checkpoint of step {step} was not saved: {reason}")

    @property
    def wants_retry(self) -> bool:
        """Whether the last checkpoint failed some time ago. Looks without waiting."""
        if self._pending and self._pending[1].done():
            self.wait()
        return self._failed_at is not None and time.monotonic() > self._failed_at + RETRY

    @property
    def failed(self) -> bool:
        """Whether the last finished checkpoint failed."""
        return self._failed_at is not None

    def wait(self) -> None:
        """Until the checkpoint being written, if any, is published or has failed."""
        if self._pending is None:
            return
        step, future = self._pending
        self._pending = None
        try:
            future.result()
            self._failed_at = None
        except CheckpointError as error:
            self._note(step, str(error))

    def close(self) -> None:
        """Wait for the last one and end the thread."""
        self.wait()
        self._thread.shutdown()

    def _note(self, step: int, reason: str) -> None:
        self._failed_at = time.monotonic()
        self.saved_step = -1
        if self._group.leads:
            self._warn(step, reason)

    def _finish(
        self,
        step: int,
        draft: checkpoints.Draft | None,
        place: str,
        staged: Future[Any] | None,
        weights: dict[str, dict[str, Tensor]],
        state: dict[str, Any],
    ) -> None:
        """In the thread: write, measure, publish. Every process hears of a failure in any."""
        try:
            problem: str | None = None
            try:
                with checkpoints.saving(self._run, step):
                    if staged is not None:
                        _result(staged)
                    if draft is not None:
                        for name, tensors in weights.items():
                            draft.write_tensors(name, tensors)
            except CheckpointError as error:
                problem = str(error)
            problems = [text for text in self._gather(problem) if text]
            if draft is not None and not problems:
                try:
                    with checkpoints.saving(self._run, step):
                        published = draft.publish(
                            state,
                            samples=step * self._recipe.training.batch_size,
                            variant=self._recipe.name,
                            fingerprint=self._recipe.fingerprint(),
                        )
                        keep = self._recipe.training.keep_checkpoints
                        checkpoints.prune(self._run, keep, published)
                except CheckpointError as error:
                    problems = [str(error)]
            problems = [text for text in self._gather(problems[0] if problems else None) if text]
            if problems:
                raise CheckpointError(problems[0])
        except BaseException:
            if draft is not None:
                draft.discard()
            raise

    def _gather(self, value: str | None) -> list[str | None]:
        if self._saving is None:
            return [value]
        values: list[str | None] = [None] * self._group.size
        dist.all_gather_object(values, value, group=self._saving)
        return values


def _save_moments(
    folder: str, moments: dict[str, Tensor], group: dist.ProcessGroup | None
) -> Future[Any]:
    """Copy the moments and begin to write them; each process its part."""
    begun = dcp.async_save(
        dict(moments),
        storage_writer=HuggingFaceStorageWriter(folder, save_distributed=True),
        process_group=group,
        no_dist=group is None,
    )
    assert isinstance(begun, Future), "no stager was given that would answer otherwise"
    return begun


def _result(staged: Future[Any]) -> None:
    """Wait for the parts. Raises OSError for a full disk and the like."""
    try:
        staged.result()
    except CheckpointException as error:
        for _, problem in sorted(error.failures.items()):
            cause = problem[0] if isinstance(problem, tuple) else problem
            if isinstance(cause, OSError):
                raise cause from None
            raise RunError(f"{type(cause).__name__}: {cause}") from None
        raise
