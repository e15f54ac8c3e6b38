"""The learning curve of one run as a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def save_curve(path: Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Write a PNG of every metric against training steps, with standard errors and the chance level.

    rows: lines of ``scores.jsonl``, the last attempt of each step.
    """
    # The object interface needs no display and leaves the global state of pyplot alone.
    from matplotlib.figure import Figure

    by_metric: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_metric[row["metric"]].append(row)
    figure = Figure(figsize=(6.4, 3.2 * max(1, len(by_metric))), layout="constrained", dpi=120)
    panels = figure.subplots(max(1, len(by_metric)), 1, squeeze=False)[:, 0]
    for panel, (metric, points) in zip(panels, sorted(by_metric.items()), strict=False):
        points = sorted(points, key=lambda row: row["step"])
        panel.errorbar(
            [row["step"] for row in points],
            [row["value"] for row in points],
            yerr=[row.get("stderr") or 0.0 for row in points],
            marker="o",
            capsize=3,
            color="#0072b2",
        )
        for row in points:
            panel.annotate(
                f"{row['value']:.3f}",
                (row["step"], row["value"]),
                textcoords="offset points",
                xytext=(0, 7),
                ha="center",
                fontsize=8,
            )
        chance = points[-1].get("details", {}).get("chance")
        if chance is not None:
            panel.axhline(chance, color="#999999", linestyle="--", linewidth=1)
            panel.annotate(
                f"chance {chance:.2f}",
                (1, chance),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=8,
                color="#666666",
            )
        panel.set_xlabel("training steps")
        panel.set_ylabel(metric)
        panel.margins(y=0.2)
        panel.grid(alpha=0.25)
    panels[0].set_title(title)
    figure.savefig(path)
