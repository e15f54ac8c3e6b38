"""The learning curve of one run as a picture."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_core.evaluation.protocol import compare_protocols

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LABEL = 60


def save_curve(path: Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Write a PNG of every metric against training steps, with standard errors and the chance level.

    rows: lines of ``scores.jsonl``, the last attempt of each step. Scores taken under different
    protocols are never joined by a line, and the legend names what differs.
    """
    # The object interface needs no display and leaves the global state of pyplot alone.
    from matplotlib.figure import Figure

    by_metric: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_metric[row["metric"]].append(row)
    figure = Figure(figsize=(6.4, 3.2 * max(1, len(by_metric))), layout="constrained", dpi=120)
    panels = figure.subplots(max(1, len(by_metric)), 1, squeeze=False)[:, 0]
    for panel, (metric, points) in zip(panels, sorted(by_metric.items()), strict=False):
        curves = series(points)
        for number, (label, line) in enumerate(curves):
            colour = _COLOURS[number % len(_COLOURS)]
            panel.errorbar(
                [row["step"] for row in line],
                [row["value"] for row in line],
                yerr=[row.get("stderr") or 0.0 for row in line],
                marker="os^Dv<"[number % len(_COLOURS)],
                capsize=3,
                color=colour,
                label=textwrap.fill(label, _LABEL, max_lines=4, placeholder=" ..."),
            )
            for row in line:
                panel.annotate(
                    f"{row['value']:.3f}",
                    (row["step"], row["value"]),
                    textcoords="offset points",
                    xytext=(0, 7),
                    ha="center",
                    fontsize=8,
                    color=colour if number else "black",
                )
        if len(curves) > 1:
            panel.legend(fontsize=7, loc="best", title="not comparable:", title_fontsize=7)
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


def series(points: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Scores of one metric by protocol, each with what sets it apart from the first, by step.

    Of several scores of a step under one protocol the last counts.
    """
    by_protocol: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in points:
        by_protocol.setdefault(row.get("protocol", ""), {})[row["step"]] = row
    curves = [[steps[step] for step in sorted(steps)] for steps in by_protocol.values()]
    first = curves[0][0].get("ingredients", {})
    labels = ["as first scored"]
    for curve in curves[1:]:
        differences = compare_protocols(curve[0].get("ingredients", {}), first)
        labels.append("; ".join(differences) or "another protocol")
    return list(zip(labels, curves, strict=True))
