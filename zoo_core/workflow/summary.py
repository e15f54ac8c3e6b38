"""What a run has reached, in words. Reads the run folder only."""

from __future__ import annotations

from pathlib import Path

from zoo_core.runs.folder import RunFolder
from zoo_core.runs.logs import last_attempt
from zoo_core.runs.scores import BY


def summary(path: Path) -> list[str]:
    """The last score of every metric and where its pictures are; empty while nothing was scored."""
    run = RunFolder.open(path)
    # What was scored later, perhaps over other prompts, is not what training came to.
    rows = [row for row in last_attempt(run.read_log("scores").rows) if BY not in row]
    newest = {row["metric"]: row for row in rows}
    lines = []
    for metric, row in sorted(newest.items()):
        spread = "" if row["stderr"] is None else f" +/- {row['stderr']:.3f}"
        chance = row["details"].get("chance")
        guess = "" if chance is None else f", guessing gives {chance:.2f}"
        lines.append(
            f"Reached {metric} {row['value']:.3f}{spread} at step {row['step']} "
            f"({row['images']} images) over {row['count']} prompts{guess}."
        )
    if lines:
        grid = run.samples / f"step-{max(row['step'] for row in rows):06d}.png"
        lines.append(f"Curve: {run.path / 'curve.png'}  Images: {grid}")
    return lines
