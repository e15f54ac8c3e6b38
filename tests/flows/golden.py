"""Golden losses of 50 steps of each family: ``python tests/flows/golden.py`` writes them anew.

A change that should not move numbers leaves the file as it is. One that should is reviewed by its
difference.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

FAMILIES = ("sd2-debug", "sdxl-debug", "if-xl-debug", "pixart-debug")
FILE = Path(__file__).parents[1] / "golden" / "losses.json"

#: The dotted settings laid over the debug preset.
CHANGES = {
    "training.steps": 50,
    "training.checkpoint_every": 50,
    "evaluation.every": 50,
    "evaluation.final_prompts": 1,
    "trainer.threads": 1,
}


def losses(path: Path) -> list[float]:
    """The loss of each step of a run, from its log."""
    from zoo_core.runs.folder import RunFolder
    from zoo_core.runs.logs import last_attempt

    return [row["loss"] for row in last_attempt(RunFolder.open(path).read_log("train").rows)]


def main() -> None:
    from zoo_core.catalog import open_catalog
    from zoo_core.interfaces.reporter import Reporter
    from zoo_core.recipe import resolve_recipe
    from zoo_core.workflow.train import train

    catalog = open_catalog((Path(__file__).parents[1] / "debug.toml",))
    assignments = [f"{key}={value}" for key, value in CHANGES.items()]
    table = {}
    for name in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            recipe = resolve_recipe(catalog, name, "debug", assignments=assignments)
            train(recipe, catalog, Path(folder) / "run", Reporter())
            table[name] = [round(loss, 7) for loss in losses(Path(folder) / "run")]
    FILE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
