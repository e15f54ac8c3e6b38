"""``zoo eval``: scores of a run's checkpoints, or of any folder of images."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from zoo_core.cli.completion import complete_metric, complete_run, complete_set
from zoo_core.cli.output import Column, print_json, print_table, say

if TYPE_CHECKING:
    from zoo_core.cli.session import Session


class _Step(click.ParamType):
    """A checkpoint's step, or ``all``."""

    name = "step"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "all":
            return "all"
        if not str(value).isdigit():
            self.fail(f"'{value}' is neither a step nor 'all'.", param, ctx)
        return int(value)


@click.command("eval", short_help="Score checkpoints of a run, or a folder of images.")
@click.argument("run", required=False, type=click.Path(path_type=Path), shell_complete=complete_run)
@click.option(
    "--checkpoint",
    metavar="STEP",
    type=_Step(),
    help="The checkpoint of this step, or 'all'. Default: the newest.",
)
@click.option(
    "--prompts",
    metavar="FILE",
    help="A prompt file in place of the run's prompt set: plain text, JSON lines, TIFA's questions or "
    "COCO's captions; or the name of a prompt set ('zoo list prompts').",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Score the first N prompts of the set. Default: as after the last step of training; all of "
    "another set.",
)
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_metric,
    help="Score with this metric; may be repeated. Default: those of the run's recipe.",
)
@click.option(
    "--weights",
    metavar="KIND",
    type=click.Choice(["raw", "ema"]),
    default="raw",
    help="Weights of training ('raw', the default), or their average ('ema') where the run keeps one.",
)
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Score this folder instead of a run: one image a prompt, named by the prompt's id. Needs "
    "--prompts and --metric.",
)
@click.option(
    "--reference",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Real images for metrics that compare with them, in place of the prompt set's.",
)
@click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_set,
    help="A setting of how is scored, such as sampling.guidance=4 or metric.NAME.KEY=VALUE; may be "
    "repeated.",
)
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep images, tables and scores here instead of in the run's folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with details and protocols.")
@click.pass_obj
def command(
    session: Session,
    run: Path | None,
    checkpoint: int | Literal["all"] | None,
    prompts: str | None,
    limit: int | None,
    metrics: tuple[str, ...],
    weights: Literal["raw", "ema"],
    images: Path | None,
    reference: Path | None,
    assignments: tuple[str, ...],
    output: Path | None,
    as_json: bool,
) -> None:
    """Draw a prompt set with checkpoints of RUN, a run's folder, and score the images.

    Images and results stay in the run's folder. The same command uses what is there, so one that was
    stopped goes on. With --images it scores any folder of images, without a run.
    """
    from zoo_core.cli.reporter import terminal_reporter
    from zoo_core.interfaces.reporter import Reporter

    leads = os.environ.get("RANK", "0") == "0"
    reporter = terminal_reporter() if leads else Reporter()
    if images is not None:
        _without_run(run, prompts, metrics, checkpoint, weights)
        from zoo_core.workflow.score_images import score_images

        rows = score_images(
            session.catalog,
            images,
            prompts or "",
            metrics,
            reporter,
            limit=limit,
            reference=reference,
            output=output,
            assignments=assignments,
        )
    else:
        if run is None:
            raise click.UsageError("Name a run's folder, or a folder of images with --images DIR.")
        from zoo_core.workflow.evaluate import evaluate

        found = evaluate(
            session.catalog,
            run,
            checkpoint,
            limit,
            metrics,
            reporter,
            prompts=prompts,
            reference=reference,
            output=output,
            assignments=assignments,
            weights=weights,
            arguments=sys.argv[1:],
        )
        if found is None or not leads:
            return  # the leader of the processes that were started prints
        rows = found
    if as_json:
        print_json(rows)
    elif rows:
        print_table(*_table(rows))
    _warn(rows)


def _without_run(
    run: Path | None,
    prompts: str | None,
    metrics: Sequence[str],
    checkpoint: int | str | None,
    weights: str,
) -> None:
    """Refuse what makes no sense together with --images."""
    if run is not None:
        raise click.UsageError("Name a run or --images, not both.")
    if checkpoint is not None or weights != "raw":
        raise click.UsageError("--checkpoint and --weights are about runs; --images has none.")
    if prompts is None:
        raise click.UsageError("--images needs --prompts FILE: what the images should show.")
    if not metrics:
        raise click.UsageError("--images needs --metric NAME ('zoo list metrics' shows them).")


def _warn(rows: Sequence[dict[str, Any]]) -> None:
    """Tell of scores in one table that do not compare."""
    from zoo_core.evaluation.protocol import protocol_warnings

    for sentence in protocol_warnings(rows):
        say(f"zoo: {sentence}")


_COLUMNS = {
    "step": "step",
    "images": "images",
    "metric": "metric",
    "value": "value",
    "stderr": "stderr",
    "interval": "95 % interval",
    "count": "prompts",
}


def _table(rows: Sequence[dict[str, Any]]) -> tuple[list[Column], list[list[str]]]:
    """What a person compares; details and protocols are for ``--json``."""
    keys = [key for key in _COLUMNS if any(key in row for row in rows)]
    columns = [Column(_COLUMNS[key], number=key != "metric") for key in keys]
    return columns, [[_cell(row.get(key)) for key in keys] for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return " .. ".join(_cell(item) for item in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
