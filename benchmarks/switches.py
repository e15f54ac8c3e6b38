"""What the trainer's switches gain: steps with each of them against steps without, by family.

python benchmarks/switches.py [NAME ...] [--compile]

All variants of a backbone take turns in one process, round by round; figures are ratios of median
times (above 1: the switch is faster). Defaults in ``zoo_gpu_trainer.switches`` follow from them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from harness import build, run_steps, timed

from zoo_core.catalog import open_catalog
from zoo_core.recipe import resolve_recipe
from zoo_core.runs.folder import RunFolder
from zoo_gpu_trainer.config import GPUTrainerConfig

SWITCHES = {
    "channels_last": GPUTrainerConfig(channels_last=True),
    "unfused": GPUTrainerConfig(fused=False),
    "activation_checkpointing": GPUTrainerConfig(activation_checkpointing=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=4, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile as well (minutes)")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    names = options.names or ["sd2", "sdxl-td4_4", "if-xl-c512", "pixart-h1024-d28"]
    results = [measure(name, options) for name in names]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(name: str, options: argparse.Namespace) -> dict:
    """Ratios of one backbone, printed and returned."""
    catalog = open_catalog()
    fixed = ["dataset.samples=512", "evaluation.metrics=[]", "training.steps=1000000"]
    recipe = resolve_recipe(catalog, name, options.preset, assignments=fixed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    configs = {"default": GPUTrainerConfig(), **SWITCHES}
    if options.compile:
        configs["compile"] = GPUTrainerConfig(compile=True)
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            label: build(recipe, catalog, RunFolder.create(Path(folder) / label), device, config)
            for label, config in configs.items()
        }
        seconds: dict[str, list[float]] = {label: [] for label in loops}
        for turn in range(options.rounds + 1):
            for label, loop in loops.items():
                taken = timed(lambda loop=loop: run_steps(loop, options.steps))
                if turn:  # the first is for warming up
                    seconds[label].append(taken)
        for loop in loops.values():
            loop.saver.close()
    medians = {label: statistics.median(taken) for label, taken in seconds.items()}
    result = {
        "backbone": name,
        "preset": options.preset,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "seconds_a_step": round(medians["default"] / options.steps, 4),
        **{
            label: round(medians["default"] / medians[label], 3)
            for label in medians
            if label != "default"
        },
    }
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
