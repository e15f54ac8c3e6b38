"""What an evaluation gives: scores with their protocols, images for a grid, rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo_core.evaluation.grid import save_grid
from zoo_core.evaluation.place import Place
from zoo_core.evaluation.protocol import fingerprint
from zoo_core.evaluation.rows import Row
from zoo_core.interfaces.metric import Score
from zoo_core.interfaces.prompts import Prompt
from zoo_core.runs.folder import RunFolder


@dataclass(frozen=True)
class ScoreLine:
    """A score with the protocol it was taken under.

    weights_hash: of the checkpoint that was scored, where it is known. table: the Parquet file of its
    rows, relative to the run folder, where they are kept.
    """

    score: Score
    ingredients: dict[str, Any]
    weights_hash: str | None = None
    table: str | None = None

    def as_row(self) -> dict[str, Any]:
        """The line of ``scores.jsonl``, without step and attempt."""
        row = asdict(self.score)
        row["protocol"] = fingerprint(self.ingredients)
        row["weights_hash"] = self.weights_hash
        row["table"] = self.table
        row["ingredients"] = self.ingredients
        return row

    def located(self, place: Place | None) -> ScoreLine:
        """The same with the weights of a place, and the table relative to its root."""
        if place is None:
            return self
        table = None if self.table is None else str(Path(self.table).relative_to(place.root))
        return ScoreLine(self.score, self.ingredients, place.weights_hash, table)


@dataclass(frozen=True)
class Evaluation:
    """Scores of one checkpoint, the same in all processes of a group.

    images: uint8 [H, W, 3], of the first prompts, as many as a grid shows. rows: by metric, one an
    image, as in the metric's table. Both are the leader's; the other processes have none.
    """

    prompts: Sequence[Prompt]
    images: list[np.ndarray] = field(default_factory=list)
    lines: list[ScoreLine] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def save_grid(self, run: RunFolder, step: int, count: int) -> None:
        """Write the first images with their prompts to ``samples/step-NNNNNN.png``."""
        shown = self.images[:count]
        captions = [prompt.text for prompt in self.prompts[: len(shown)]]
        save_grid(run.samples / f"step-{step:06d}.png", shown, captions)
