"""What the trainer costs: images/s of the real loop against a bare one in the same process.

python benchmarks/harness.py [NAME ...] [--steps 30] [--rounds 5]

The bare loop does the same forward, backward, clipping and update on batches drawn before. Both take
turns, round by round, so that whatever else the machine does falls on both; the ratio is of medians.
Then checkpoints: the same steps with one checkpoint at the end of each hundred, against none.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from zoo_core.catalog import Catalog, open_catalog
from zoo_core.diffusion.objective import training_loss
from zoo_core.interfaces.group import Alone
from zoo_core.interfaces.reporter import Reporter
from zoo_core.recipe import Recipe, resolve_recipe
from zoo_core.recipe.components import Components
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.loggers import Loggers
from zoo_gpu_trainer import memory
from zoo_gpu_trainer.config import GPUTrainerConfig
from zoo_gpu_trainer.feed import Feed
from zoo_gpu_trainer.interrupt import StopRequest
from zoo_gpu_trainer.latents import cached_moments
from zoo_gpu_trainer.loop import Loop
from zoo_gpu_trainer.phases import Phases
from zoo_gpu_trainer.switches import prepare
from zoo_gpu_trainer.update import Updater


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["sd2", "sdxl-td4_4"])
    parser.add_argument("--steps", type=int, default=20, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    results = [measure(name, options) for name in options.names]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(name: str, options: argparse.Namespace) -> dict:
    """Ratios of one backbone, printed and returned."""
    catalog = open_catalog()
    fixed = ["dataset.samples=512", "evaluation.every=1000000000"]
    fixed += ["training.checkpoint_every=1000000000", "training.steps=1000000"]
    recipe = resolve_recipe(catalog, name, options.preset, assignments=fixed + options.assignments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        loop = build(recipe, catalog, RunFolder.create(Path(folder) / "run"), device)
        bare = bare_loop(loop.updater, recipe, device)
        run_steps(loop, 3), bare(3)
        rounds = []
        for _ in range(options.rounds):
            rounds.append(
                (timed(lambda: run_steps(loop, options.steps)), timed(lambda: bare(options.steps)))
            )
        saving = []
        for _ in range(options.rounds):
            without = timed(lambda: run_steps(loop, options.steps))
            with_one = timed(
                lambda: (loop._save(), run_steps(loop, options.steps), loop.saver.wait())
            )
            saving.append(with_one - without)
        loop.saver.close()
    ours, plain = (statistics.median(part) for part in zip(*rounds, strict=True))
    images = options.steps * recipe.training.batch_size
    cost = statistics.median(saving)
    result = {
        "backbone": name,
        "preset": options.preset,
        "device": torch.cuda.get_device_name()
        if device.type == "cuda"
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "batch": recipe.training.batch_size,
        "images_per_second": round(images / ours, 2),
        "images_per_second_bare": round(images / plain, 2),
        "ratio": round(plain / ours, 4),
        "checkpoint_seconds": round(cost, 3),
        "checkpoint_every_100_steps_share": round(cost / (cost + 100 * ours / options.steps), 4),
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result), flush=True)
    return result


def build(
    recipe: Recipe,
    catalog: Catalog,
    run: RunFolder,
    device: torch.device,
    config: GPUTrainerConfig | None = None,
) -> Loop:
    """The trainer's own loop, put together as `GPUTrainer.fit` does it."""
    config = config or GPUTrainerConfig()
    components = Components(recipe, catalog)
    phases = Phases(device)
    vae, encoder = components.vae().to(device), components.text_encoder().to(device)
    dataset = components.dataset()
    moments = cached_moments(dataset, vae, device, 64, Reporter(), Alone())
    feed = Feed(recipe, dataset, vae, encoder, device, moments, phases)
    torch.manual_seed(0)
    backbone = components.backbone().to(device)
    batch = recipe.training.micro_batch
    micro_batch = memory.first_micro_batch(batch, recipe.training.batch_size, device)
    prepare(backbone, config, device)
    updater = Updater(recipe, config, backbone, feed, device, Alone(), phases, micro_batch)
    machine = memory.Machine("benchmark", 1, torch.get_num_threads(), micro_batch)
    stop, silent = StopRequest(Reporter()), Loggers({}, print)
    return Loop(recipe, run, Alone(), Reporter(), stop, updater, None, machine, silent)


def run_steps(loop: Loop, count: int) -> None:
    """Steps of the loop, with its logging."""
    end = loop.step + count
    while loop.step < end:
        update = loop._update()
        assert update is not None
        loop.unlogged.append(update)
        if loop.step % loop.recipe.training.log_every == 0:
            loop._log(time.perf_counter() - 1.0)


def bare_loop(updater: Updater, recipe: Recipe, device: torch.device):
    """The same forward, backward, clipping and update, with nothing around them."""
    size = updater.micro_batch
    batches = [updater.feed.batch(range(first, first + size)) for first in range(0, 4 * size, size)]
    parts = recipe.training.batch_size // size
    parameters = list(updater.backbone.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)

    def loop(count: int) -> None:
        updater.backbone.train()
        for step in range(count):
            for part in range(parts):
                batch = batches[(step * parts + part) % len(batches)]
                with torch.autocast(
                    device.type, torch.bfloat16, enabled=recipe.training.precision == "bf16"
                ):
                    losses = training_loss(
                        updater.backbone, batch.latents, batch.draw.noise, batch.draw.timesteps,
                        batch.text.states, batch.text.mask, updater.schedule,
                    )  # fmt: skip
                (losses.sum() / recipe.training.batch_size).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return loop


def timed(call) -> float:
    """Seconds of a call, the device's queue included."""
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
