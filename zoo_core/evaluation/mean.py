"""The score that is a mean over prompts of one figure an image."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_core.evaluation.spread import bootstrap_interval
from zoo_core.interfaces.metric import Score


def mean_score(metric: str, rows: Sequence[Mapping[str, Any]], key: str = "score") -> Score:
    """Mean over prompts of ``row[key]``, with standard error and 95 % interval over prompts.

    Where a prompt has several images, its figure is their mean, so that prompts count alike. `details`
    has ``stdev`` over prompts from two prompts on, and the lowest and highest. The order of rows does
    not matter to any bit. Raises `ValueError` when there is no row.
    """
    if not rows:
        raise ValueError(f"{metric} needs at least one image; there is none.")
    found = defaultdict(list)
    for row in rows:
        found[row["prompt"]].append(float(row[key]))
    # `statistics` computes with exact fractions, so order does not matter.
    values = [statistics.mean(figures) for figures in found.values()]
    value = statistics.mean(values)
    details = {"min": min(values), "max": max(values)}
    stderr = None
    if len(values) > 1:
        details["stdev"] = statistics.stdev(values, value)
        stderr = details["stdev"] / math.sqrt(len(values))
    return Score(metric, value, stderr, len(values), details, bootstrap_interval(values))
