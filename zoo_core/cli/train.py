"""``zoo train``: from a name to a trained run."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli.completion import complete_backbone, complete_run
from zoo_core.cli.output import print_json, print_text, say
from zoo_core.cli.recipe_options import chosen_recipe, recipe_options

if TYPE_CHECKING:
    from zoo_core.cli.session import Session

INTERRUPTED = 130


@click.command("train", short_help="Train a backbone, or continue its run.")
@click.argument("name", shell_complete=complete_backbone)
@recipe_options
@click.option(
    "--run",
    "run_path",
    metavar="DIR",
    type=click.Path(path_type=Path),
    shell_complete=complete_run,
    help="The run's folder; continued when it is there. Default: runs/NAME-PRESET.",
)
@click.option(
    "--init-from",
    metavar="PATH",
    type=click.Path(),
    shell_complete=complete_run,
    help="Begin with the weights of a run, a checkpoint or a safetensors file; short for "
    "--set training.init_from=PATH.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the resolved recipe, where each value came from and what it would cost; train nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    session: Session,
    name: str,
    preset: str | None,
    recipe_file: Path | None,
    assignments: tuple[str, ...],
    data: str | None,
    run_path: Path | None,
    init_from: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train the backbone NAME under a recipe, scoring it along the way.

    Settings come in layers: the preset, what the backbone brings to it, the recipe file, --set. The run
    is a folder; the same command continues a run that was stopped. What --dry-run prints can be passed
    back with --recipe.
    """
    from zoo_core.interfaces.trainer import LAUNCHED

    leads = os.environ.get("RANK", "0") == "0"
    talks = leads and LAUNCHED not in os.environ
    catalog = session.catalog if talks else session.quiet_catalog
    if init_from is not None:
        assignments = (f"training.init_from={json.dumps(init_from)}", *assignments)
    recipe = chosen_recipe(
        catalog,
        name,
        preset,
        recipe_file,
        assignments,
        data,
        need_dataset=not dry_run,
        tell=say if talks else lambda text: None,
    )
    if run_path is None:
        run_path = Path("runs") / re.sub(r"[^\w.+-]+", "-", f"{name}-{recipe.preset}")
    if dry_run:
        from zoo_core.cli.dry_run import as_lines, as_table

        begins_with = recipe.training.init_from
        if begins_with is not None and not Path(begins_with).exists():
            say(f"training.init_from: {begins_with} is not there yet.")
        if as_json:
            print_json(as_table(catalog, recipe, run_path))
        else:
            print_text(as_lines(catalog, recipe, run_path))
        return

    from zoo_core.cli.reporter import terminal_reporter
    from zoo_core.interfaces.reporter import Reporter
    from zoo_core.workflow.launch import rank, train_on_machine
    from zoo_core.workflow.summary import summary

    reporter = terminal_reporter() if leads else Reporter()
    outcome = train_on_machine(recipe, catalog, run_path, reporter, sys.argv[1:])
    if not talks:
        return
    if as_json:
        print_json({"run": str(run_path), "step": outcome.step, "finished": outcome.finished})
    else:
        print_text([str(run_path)])
    for line in summary(run_path):
        say(line)
    if not outcome.finished:
        say(f"Stopped at step {outcome.step}; the same command continues the run.")
        # A launcher would take a failure for a crash, and start again what was asked to stop.
        raise click.exceptions.Exit(INTERRUPTED if rank() is None else 0)
    say(f'Next: zoo sample {run_path} "a prompt of your own"')
