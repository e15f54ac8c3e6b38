"""``zoo sample``: images from a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.completion import complete_run
from zoo_core.cli.output import print_json, print_text

if TYPE_CHECKING:
    from zoo_core.cli.session import Session


@click.command("sample", short_help="Draw images from prompts with a trained run.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_run)
@click.argument("prompts", metavar="PROMPT...", nargs=-1, required=True)
@click.option(
    "-n",
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Images of each prompt.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1, max=1000),
    help="Denoising steps, in place of the recipe's.",
)
@click.option(
    "--guidance",
    type=click.FloatRange(min=1, max=100),
    help="Classifier-free guidance scale, in place of the recipe's; 1 switches it off.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of the noise, in place of the recipe's."
)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for the images. Default: RUN/drawn.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    session: Session,
    run: Path,
    prompts: tuple[str, ...],
    count: int,
    steps: int | None,
    guidance: float | None,
    seed: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Draw images of each PROMPT with the newest checkpoint of RUN, a run's folder.

    Prints the files written. The noise depends on the prompt and the seed alone, so different models
    draw the same prompt from the same noise.
    """
    from zoo_core.cli.reporter import terminal_reporter
    from zoo_core.workflow.sample import sample

    given: dict[str, Any] = {"steps": steps, "guidance": guidance, "seed": seed}
    chosen = {key: value for key, value in given.items() if value is not None}
    overrides = {"sampling": chosen} if chosen else {}
    files = sample(
        session.catalog,
        run,
        list(prompts),
        output if output is not None else run / "drawn",
        count,
        overrides,
        terminal_reporter(),
    )
    if as_json:
        print_json([str(path) for path in files])
    else:
        print_text(str(path) for path in files)
