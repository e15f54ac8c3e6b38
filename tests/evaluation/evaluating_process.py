"""One of several processes that evaluate together: python evaluating_process.py RANK SIZE FOLDER OUT.

Meets the others over gloo through a file in FOLDER, evaluates a small backbone with random weights
into OUT, and leaves what it got as OUT/RANK.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from zoo_core.catalog import open_catalog
from zoo_core.evaluation.drawing import Painter
from zoo_core.evaluation.milestone import Evaluator
from zoo_core.evaluation.place import Place
from zoo_core.interfaces.group import Group
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import resolve_recipe
from zoo_core.recipe.components import Components

PROMPTS = 7
DEBUG = Path(__file__).parents[1] / "debug.toml"
SETTINGS = (
    "sampling.steps=2",
    "sampling.batch_size=3",
    "evaluation.grid=4",
    "evaluation.metrics=['tifa', 'clip-score-tiny-clip', 'frechet-tiny-clip']",
)


class Gloo(Group):
    """A group over torch.distributed that counts its calls."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.calls = 0

    def gather(self, value: Any) -> list[Any] | None:
        self.calls += 1
        values = [None] * self.size if self.leads else None
        dist.gather_object(value, values)
        return values

    def broadcast(self, value: Any) -> Any:
        self.calls += 1
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def any(self, flag: bool) -> bool:
        self.calls += 1
        told = torch.tensor([int(flag)])
        dist.all_reduce(told, op=dist.ReduceOp.MAX)
        return bool(told.item())

    def barrier(self) -> None:
        self.calls += 1
        dist.barrier()


def main(rank: int, size: int, folder: Path, out: Path, stop_at: int = -1) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=size)
    group = Gloo()
    catalog = open_catalog((DEBUG,))
    recipe = resolve_recipe(catalog, "sd2-debug", "debug", assignments=SETTINGS)
    components = Components(recipe, catalog)
    torch.manual_seed(0)
    backbone = components.backbone()
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    backbone.register_forward_hook(count)
    painter = Painter(
        recipe, components.vae(), components.text_encoder(), torch.device("cpu"), group
    )
    evaluator = Evaluator(recipe, components, painter, group)
    asked = 0

    def interrupted() -> bool:
        nonlocal asked
        asked += 1
        return rank == size - 1 and asked == stop_at

    place = Place(out, 4, "0123456789abcdef")
    evaluation = evaluator.evaluate_at(
        place, lambda: (painter, backbone), PROMPTS, Reporter(), interrupted
    )
    told = {
        "calls": group.calls,
        "passes": passes,
        "lines": None if evaluation is None else [line.as_row() for line in evaluation.lines],
        "images": None if evaluation is None else len(evaluation.images),
    }
    (out / f"{rank}.json").write_text(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5]))
