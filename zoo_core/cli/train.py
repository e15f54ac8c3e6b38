"""``zoo train``: from a name to a trained run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli.completion import (
    complete_backbone,
    complete_dataset,
    complete_preset,
    complete_run,
    complete_set,
)
from zoo_core.cli.output import print_json, print_text, say

if TYPE_CHECKING:
    from zoo_core.cli.session import Session

INTERRUPTED = 130


@click.command("train", short_help="Train a backbone, or continue its run.")
@click.argument("name", shell_complete=complete_backbone)
@click.option(
    "--preset",
    metavar="PRESET",
    shell_complete=complete_preset,
    help="The recipe to start from, such as 'laptop' or 'paper' ('zoo list presets'). Without it: the "
    "recipe file's; else 'paper' where an accelerator and a dataset are there, 'laptop' elsewhere.",
)
@click.option(
    "--recipe",
    "recipe_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A TOML file of settings laid over the preset.",
)
@click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_set,
    help="One setting laid over all others, such as training.steps=500; may be repeated.",
)
@click.option(
    "--data",
    metavar="NAME",
    shell_complete=complete_dataset,
    help="The dataset to train on; short for --set dataset.name=NAME.",
)
@click.option(
    "--run",
    "run_path",
    metavar="DIR",
    type=click.Path(path_type=Path),
    shell_complete=complete_run,
    help="The run's folder; continued when it is there. Default: runs/NAME-PRESET.",
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
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train the backbone NAME under a recipe, scoring it along the way.

    Settings come in layers: the preset, what the backbone brings to it, the recipe file, --set. The run
    is a folder; the same command continues a run that was stopped. What --dry-run prints can be passed
    back with --recipe.
    """
    from zoo_core.recipe import resolve_recipe

    catalog = session.catalog
    catalog.find("backbone", name)  # a misspelled name is told before any other complaint
    if data is not None:
        assignments = (f"dataset.name={json.dumps(data)}", *assignments)
    if preset is None:
        from zoo_core.recipe.choice import choose_preset

        choice = choose_preset(catalog, recipe_file, assignments)
        preset = choice.name
        say(choice.reason)
    recipe = resolve_recipe(
        catalog, name, preset, recipe_file, assignments, need_dataset=not dry_run
    )
    if run_path is None:
        run_path = Path("runs") / re.sub(r"[^\w.+-]+", "-", f"{name}-{preset}")
    if dry_run:
        from zoo_core.cli.dry_run import as_lines, as_table

        if as_json:
            print_json(as_table(catalog, recipe, run_path))
        else:
            print_text(as_lines(catalog, recipe, run_path))
        return

    from zoo_core.cli.reporter import terminal_reporter
    from zoo_core.workflow.summary import summary
    from zoo_core.workflow.train import train

    outcome = train(recipe, catalog, run_path, terminal_reporter())
    if as_json:
        print_json({"run": str(run_path), "step": outcome.step, "finished": outcome.finished})
    else:
        print_text([str(run_path)])
    for line in summary(run_path):
        say(line)
    if not outcome.finished:
        say(f"Stopped at step {outcome.step}; the same command continues the run.")
        raise click.exceptions.Exit(INTERRUPTED)
    say(f'Next: zoo sample {run_path} "a prompt of your own"')
