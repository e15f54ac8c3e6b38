"""The hash of a stretch of a recipe's stream, taken by one process or by several. No torch."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from zoo_core.catalog import Catalog, open_catalog
from zoo_core.errors import PluginError
from zoo_core.interfaces.dataset import Dataset
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import Recipe, Slot, recipe_from_table, without_loggers
from zoo_core.recipe.components import build
from zoo_core.recipe.sections import CaptionSettings
from zoo_core.runs.folder import RunFolder
from zoo_core.schema import load_toml
from zoo_core.stream.digest import StreamDigest
from zoo_core.stream.shares import micro_batches, share
from zoo_core.workflow.train import RECIPE


@dataclass(frozen=True)
class StreamHash:
    """The digest of global samples first..last-1, and the data it was taken of."""

    digest: str
    first: int
    last: int
    seed: int
    dataset: str
    dataset_fingerprint: str
    dataset_samples: int
    processes: int
    micro_batch: int


@dataclass(frozen=True)
class _Task:
    """What one of several processes needs to take its share; all of it can be pickled."""

    dataset: Slot
    seed: int
    captions: CaptionSettings
    timesteps: int
    first: int
    last: int
    batch_size: int
    micro_batch: int
    registries: tuple[Path, ...]


def run_recipe(catalog: Catalog, path: Path) -> Recipe:
    """The recipe a run folder was trained under. Raises `RunError` when there is no run."""
    run = RunFolder.open(path)
    run.read_text(RECIPE)  # its complaint about a missing file says how that comes about
    label = f"{run.path / RECIPE}"
    return recipe_from_table(catalog, without_loggers(load_toml(run.path / RECIPE)), label)


def stream_digest(
    recipe: Recipe,
    catalog: Catalog,
    first: int,
    last: int,
    processes: int,
    micro_batch: int,
    reporter: Reporter,
) -> StreamHash:
    """The digest of global samples first..last-1, as `zoo_core.stream.digest` defines it.

    With several processes each takes the samples that a trainer's process of its rank would, in
    micro-batches of at most `micro_batch`, and the shares are merged. The value depends on neither.
    """
    task = _Task(
        dataset=recipe.slots["dataset"],
        seed=recipe.training.seed,
        captions=recipe.captions,
        timesteps=recipe.diffusion.timesteps,
        first=first,
        last=last,
        batch_size=recipe.training.batch_size,
        micro_batch=micro_batch,
        registries=catalog.registries,
    )
    dataset: Dataset = build(catalog, task.dataset)
    with reporter.progress("hashing the stream", last - first, "samples") as progress:
        if processes == 1:
            total = _empty(task, dataset)
            for samples in _portions(task, 0, 1):
                total.add(samples)
                progress.advance(len(samples))
        else:
            total = _empty(task, dataset)
            # Fresh processes, as a launcher starts them: nothing of this one's memory is shared.
            fresh = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(processes, mp_context=fresh) as pool:
                started = [pool.submit(_take_share, task, r, processes) for r in range(processes)]
                try:
                    for done in as_completed(started):
                        digest, count = done.result()
                        total.merge(digest)
                        progress.advance(count)
                except BrokenProcessPool:
                    raise PluginError(
                        "A process that hashed a share of the stream ended without a word (out of memory, "
                        "or a crash in the dataset's library). --processes 1 needs the least memory."
                    ) from None
    return StreamHash(
        digest=total.hexdigest(),
        first=first,
        last=last,
        seed=task.seed,
        dataset=task.dataset.name,
        dataset_fingerprint=dataset.fingerprint(),
        dataset_samples=len(dataset),
        processes=processes,
        micro_batch=micro_batch,
    )


def _take_share(task: _Task, rank: int, size: int) -> tuple[str, int]:
    """One process's part: the digest of its samples, and how many they are."""
    dataset: Dataset = build(open_catalog(task.registries), task.dataset)
    part = _empty(task, dataset)
    count = 0
    for samples in _portions(task, rank, size):
        part.add(samples)
        count += len(samples)
    return part.hexdigest(), count


def _empty(task: _Task, dataset: Dataset) -> StreamDigest:
    return StreamDigest(task.seed, len(dataset), dataset.captions, task.captions, task.timesteps)


def _portions(task: _Task, rank: int, size: int) -> Iterator[range]:
    """The micro-batches of a rank that lie in the stretch, update by update."""
    batch = task.batch_size
    for start in range(task.first // batch * batch, task.last, batch):
        mine = share(range(start, start + batch), rank, size)
        for samples in micro_batches(mine, task.micro_batch):
            inside = range(max(samples.start, task.first), min(samples.stop, task.last))
            if inside:
                yield inside
