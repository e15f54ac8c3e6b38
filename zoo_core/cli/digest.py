"""``zoo digest``: a hash of the stream of training samples."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli.completion import complete_backbone_or_run
from zoo_core.cli.output import print_json, print_text, say
from zoo_core.cli.recipe_options import chosen_recipe, recipe_options
from zoo_core.errors import ConfigError

if TYPE_CHECKING:
    from zoo_core.catalog import Catalog
    from zoo_core.cli.session import Session

#: Global sample indices are 64-bit integers.
_MOST = 2**63 - 1


@click.command("digest", short_help="Hash a stretch of the stream of training samples.")
@click.argument("recipe", shell_complete=complete_backbone_or_run)
@click.option(
    "--samples",
    metavar="A:B",
    required=True,
    help="The stretch: global samples A to B-1, counted from 0. Update k has batch_size of them, from "
    "k * batch_size on.",
)
@recipe_options
@click.option(
    "--processes",
    metavar="N",
    default=1,
    show_default=True,
    type=click.IntRange(min=1, max=1024),
    help="Hash in N processes, each the samples of a trainer's process of its rank.",
)
@click.option(
    "--micro-batch",
    metavar="M",
    default=1024,
    show_default=True,
    type=click.IntRange(min=1),
    help="Samples taken at a time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    session: Session,
    recipe: str,
    samples: str,
    preset: str | None,
    recipe_file: Path | None,
    assignments: tuple[str, ...],
    data: str | None,
    processes: int,
    micro_batch: int,
    as_json: bool,
) -> None:
    """Print a hash of what training sees: order of the data, captions, drops, timesteps and noise.

    RECIPE is the name of a backbone, with the options of 'zoo train', or a run's folder. Equal hashes
    mean equal streams. The hash does not depend on the backbone, on --processes or on --micro-batch. It
    holds captions but no images; --json adds the dataset's fingerprint.
    """
    first, last = sample_range(samples)
    catalog = session.catalog
    if names_run(catalog, recipe):
        if preset or recipe_file or assignments or data:
            raise ConfigError(
                f"{recipe} is a run, which has its recipe: leave out --preset, --recipe, --set and --data."
            )
        from zoo_core.workflow.digest import run_recipe

        chosen = run_recipe(catalog, Path(recipe))
    else:
        chosen = chosen_recipe(catalog, recipe, preset, recipe_file, assignments, data)
    from zoo_core.cli.reporter import terminal_reporter
    from zoo_core.workflow.digest import stream_digest

    found = stream_digest(chosen, catalog, first, last, processes, micro_batch, terminal_reporter())
    if as_json:
        print_json(asdict(found))
    else:
        say(
            f"Samples {first} to {last - 1} of '{found.dataset}' ({found.dataset_samples} samples an "
            f"epoch, seed {found.seed})."
        )
        print_text([found.digest])


def sample_range(text: str) -> tuple[int, int]:
    """A and B of ``A:B``. Raises `ConfigError` for other text, and for a stretch without samples."""
    match = re.fullmatch(r"(\d[\d_]*):(\d[\d_]*)", text.strip(), re.ASCII)
    if match is None or len(text) > 100:
        hint = " Samples are counted from 0." if re.match(r"\s*-|.*:\s*-", text) else ""
        raise ConfigError(
            f"--samples {text[:100]}: expected A:B, two whole numbers, for example 0:4096.{hint}"
        )
    first, last = (int(number.replace("_", "")) for number in match.groups())
    if first >= last:
        fix = f"{last}:{first}" if first > last else f"{first}:{first + 1}"
        raise ConfigError(
            f"--samples {text}: holds no sample, since it ends before B; did you mean {fix}?"
        )
    if last > _MOST:
        raise ConfigError(f"--samples {text}: samples are counted up to 2^63 - 1.")
    return first, last


def names_run(catalog: Catalog, text: str) -> bool:
    """Whether RECIPE is a run's folder: a path, or a run in this folder whose name no backbone has."""
    from zoo_core.runs.folder import MARKER

    if text in catalog.names("backbone"):
        return False
    path = Path(text)
    return len(path.parts) > 1 or path.is_absolute() or (path / MARKER).is_file() or text == "."
