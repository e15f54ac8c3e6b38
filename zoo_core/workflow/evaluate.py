"""Scoring a run's checkpoints outside training."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from zoo_core.analysis.curve import save_curve
from zoo_core.catalog import Catalog
from zoo_core.errors import CheckpointError, ConfigError, RunError
from zoo_core.evaluation.image_files import FolderImages
from zoo_core.evaluation.milestone import Evaluator
from zoo_core.evaluation.place import Place
from zoo_core.evaluation.together import agreed
from zoo_core.interfaces.group import Group
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import Layer, Recipe, parse_assignment
from zoo_core.recipe.components import Components
from zoo_core.runs import checkpoints
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.lock import RunLock
from zoo_core.runs.logs import last_attempt
from zoo_core.runs.scores import attempt_of, record, weights_hash
from zoo_core.workflow.launch import rank
from zoo_core.workflow.load import Studio, find_checkpoint, run_recipe
from zoo_core.workflow.prompt_choice import choose_prompts

Which = int | Literal["all"] | None
Weights = Literal["raw", "ema"]

#: Sections of a recipe that evaluation may lay other values over, and single keys.
_OPEN = ("sampling", "metric", "prompts", "evaluation", "trainer")
_OPEN_KEYS = {"training": ("device",)}


def evaluation_recipe(
    catalog: Catalog,
    run: RunFolder,
    metrics: Sequence[str] = (),
    prompts: str | None = None,
    assignments: Sequence[str] = (),
) -> Recipe:
    """The run's recipe with other metrics, prompts or settings of how it is scored.

    metrics: names of the catalogue, the recipe's when empty. prompts: a name or a file. assignments:
    ``KEY=VALUE``. Raises `ConfigError` (or a subclass) for what is unknown or belongs to training.
    """
    layers = []
    if prompts is not None:
        layers.append(Layer("--prompts", {"prompts": choose_prompts(catalog, prompts)}))
    if metrics:
        for name in metrics:
            catalog.find("metric", name)
        chosen = list(dict.fromkeys(metrics))
        layers.append(Layer("--metric", {"evaluation": {"metrics": chosen}}))
    for text in assignments:
        values = parse_assignment(text)
        for section, table in values.items():
            inner = set(table) if isinstance(table, dict) else {""}
            if section not in _OPEN and not inner <= set(_OPEN_KEYS.get(section, ())):
                raise ConfigError(
                    f"--set {text}: an evaluation takes the run as it was trained; it can change "
                    f"{', '.join(f'{name}.*' for name in _OPEN)} and training.device."
                )
        layers.append(Layer("--set", values))
    recipe = run_recipe(catalog, run, layers)
    if not recipe.metrics:
        raise ConfigError(
            "No metric to score with: the run's recipe names none (evaluation.metrics is empty). Name "
            "some with --metric ('zoo list metrics' shows them)."
        )
    return recipe


def evaluate(
    catalog: Catalog,
    run_path: Path,
    checkpoint: Which,
    limit: int | None,
    metrics: Sequence[str],
    reporter: Reporter,
    *,
    prompts: str | None = None,
    reference: Path | None = None,
    output: Path | None = None,
    assignments: Sequence[str] = (),
    weights: Weights = "raw",
    arguments: Sequence[str] | None = None,
) -> list[dict[str, Any]] | None:
    """Draw a prompt set with checkpoints of a run and score the images; one row a checkpoint and metric.

    checkpoint: a step, ``"all"``, or None for the newest. limit: the first prompts of the set; None as
    after the last step of training, all of another set. reference: a folder of real images in place
    of the prompt set's. output: a folder for images, tables and ``scores.jsonl`` in place of the run's,
    which is then not changed and need not be free.

    What is there already is used, so a call that was interrupted can be made again. In a process that
    a launcher started, the whole group makes the call; all get the rows. arguments: of ``python -m
    zoo_core``, the command that this call came from; with them the trainer may start several processes
    that run it, and the result is None. Raises `ConfigError`, `RunError`, `CheckpointError` and
    `PluginError`.
    """
    run = RunFolder.open(run_path)
    recipe = evaluation_recipe(catalog, run, metrics, prompts, assignments)
    components = Components(recipe, catalog)
    if limit is None and prompts is None:
        limit = recipe.evaluation.final_prompts
    references = None if reference is None else FolderImages.of(reference)
    trainer = components.trainer()
    if arguments is not None and rank() is None and trainer.processes(recipe) > 1:
        trainer.launch(recipe, arguments, reporter)
        return None
    with trainer.group(recipe) as group, ExitStack() as stack:
        with agreed(group):
            if group.leads and output is None:
                stack.enter_context(_locked(run))
        found = _checkpoints(run, checkpoint, group, reporter)
        studio = Studio(recipe, components, _device(recipe), group)
        evaluator = Evaluator(recipe, components, None, group, references, weights)
        kind = "backbone" if weights == "raw" else weights
        rows: list[dict[str, Any]] = []
        for place in found:
            if len(found) > 1:
                reporter.say(f"checkpoint of step {place.step}")
            marked = weights_hash(run, place.step, kind)
            kept = None if marked is None else Place(output or run.path, place.step, marked)
            load = partial(studio.with_weights, place.path, kind)
            evaluation = evaluator.evaluate_at(kept, load, limit, reporter)
            assert evaluation is not None, "nothing interrupts this evaluation"
            about = {
                "attempt": attempt_of(run, place.step),
                "step": place.step,
                "images": place.samples,
            }
            mine = [{**about, **line.as_row()} for line in evaluation.lines]
            with agreed(group):
                if group.leads:
                    _record(run, recipe, output, mine)
            rows += mine
    return rows


def _locked(run: RunFolder) -> RunLock:
    try:
        return RunLock.acquire(run)
    except RunError as error:
        raise RunError(
            f"{error} Or leave the run as it is: --output DIR takes the results."
        ) from None


def _checkpoints(
    run: RunFolder, which: Which, group: Group, reporter: Reporter
) -> list[checkpoints.Checkpoint]:
    """The checkpoints to score, verified by the leader. Raises `CheckpointError` in all processes."""
    found: list[checkpoints.Checkpoint] = []
    with agreed(group):
        if group.leads and which == "all":
            for _, path in checkpoints.published(run):
                try:
                    found.append(checkpoints.verify(path))
                except CheckpointError as error:
                    reporter.say(f"{error} This checkpoint is passed over.")
            if not found:
                raise CheckpointError(f"{run.path} has no checkpoint that is whole.")
        elif group.leads:
            step = None if which == "all" else which
            found = [find_checkpoint(run, step, reporter.say)]
    return group.broadcast(found)


def _record(
    run: RunFolder, recipe: Recipe, output: Path | None, rows: list[dict[str, Any]]
) -> None:
    """Write scores down, in the run with a new curve."""
    if output is not None:
        record(output / "scores.jsonl", rows, "zoo eval")
    elif record(run.log_path("scores"), rows, "zoo eval"):
        scores = last_attempt(run.read_log("scores").rows)
        save_curve(run.path / "curve.png", scores, recipe.name)


def _device(recipe: Recipe) -> torch.device:
    wanted = recipe.training.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "training.device is 'cuda', but torch sees no CUDA device here. Use --set training.device=cpu."
        )
    return torch.device(wanted)
