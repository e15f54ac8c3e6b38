"""``zoo eval``: score a checkpoint of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.completion import complete_metric, complete_run
from zoo_core.cli.output import Column, print_json, print_table

if TYPE_CHECKING:
    from zoo_core.cli.session import Session


@click.command("eval", short_help="Score a checkpoint of a run.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_run)
@click.option(
    "--checkpoint",
    metavar="STEP",
    type=click.IntRange(min=0),
    help="The checkpoint of this step. Default: the newest.",
)
@click.option(
    "--prompts",
    "limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Score the first N prompts of the run's prompt set. Default: as after the last step.",
)
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_metric,
    help="Score only this metric of the run's recipe; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    session: Session,
    run: Path,
    checkpoint: int | None,
    limit: int | None,
    metrics: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw a prompt set with a checkpoint of RUN, a run's folder, and score the images."""
    from zoo_core.cli.reporter import terminal_reporter
    from zoo_core.workflow.evaluate import evaluate

    rows = evaluate(session.catalog, run, checkpoint, limit, metrics, terminal_reporter())
    if as_json:
        print_json(rows)
    elif rows:
        print_table(*_table(rows))


def _table(rows: list[dict[str, Any]]) -> tuple[list[Column], list[list[str]]]:
    """All fields that hold one value; nested ones (details, protocol) are for ``--json``."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    keys = [key for key in keys if not any(isinstance(row.get(key), (dict, list)) for row in rows)]
    columns = [
        Column(key, number=all(isinstance(row.get(key), (int, float, type(None))) for row in rows))
        for key in keys
    ]
    return columns, [[_cell(row.get(key)) for key in keys] for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
