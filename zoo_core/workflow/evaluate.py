"""Scoring a run's checkpoint outside training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.catalog import Catalog
from zoo_core.errors import ConfigError
from zoo_core.evaluation.milestone import Evaluator
from zoo_core.interfaces.reporter import Reporter
from zoo_core.workflow.load import load_run


def evaluate(
    catalog: Catalog,
    run_path: Path,
    checkpoint: int | None,
    limit: int | None,
    metrics: tuple[str, ...],
    reporter: Reporter,
    overrides: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Draw the run's prompt set with one checkpoint and score it; one row a metric.

    metrics: names of the recipe's metrics to score, all of them when empty. The rows carry step and
    protocol; the run folder is not changed.
    """
    loaded = load_run(catalog, run_path, checkpoint, overrides)
    known = [slot.name for slot in loaded.recipe.metrics]
    for name in metrics:
        if name not in known:
            raise ConfigError(
                f"The run's recipe has no metric '{name}'; it has {', '.join(known) or 'none'}."
            )
    if not known:
        raise ConfigError("The run's recipe names no metric (evaluation.metrics is empty).")
    evaluator = Evaluator(loaded.recipe, loaded.components, loaded.painter)
    chosen = [
        metric
        for slot, metric in zip(loaded.recipe.metrics, evaluator.metrics, strict=True)
        if not metrics or slot.name in metrics
    ]
    evaluator.metrics = chosen
    evaluation = evaluator.evaluate(loaded.backbone, limit, reporter)
    assert evaluation is not None, "nothing interrupts this evaluation"
    return [{"step": loaded.step, **line.as_row()} for line in evaluation.lines]
