"""The ``zoo`` command: its global options and the table of its commands."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from zoo_core import __version__
from zoo_core.cli.group import INTERRUPTED, LazyGroup
from zoo_core.cli.session import Session

#: Each command's place and the line that ``zoo --help`` shows for it.
COMMANDS = {
    "list": ("zoo_core.cli.list:command", "Names in the catalogue, by kind."),
    "show": ("zoo_core.cli.show:command", "All that is known about one name."),
    "train": ("zoo_core.cli.train:command", "Train a backbone, or continue its run."),
    "sample": ("zoo_core.cli.sample:command", "Draw images from prompts with a trained run."),
    "eval": ("zoo_core.cli.eval:command", "Score checkpoints of a run, or a folder of images."),
    "digest": (
        "zoo_core.cli.digest:command",
        "Hash a stretch of the stream of training samples.",
    ),
    "plugins": ("zoo_core.cli.plugins:command", "Installed plugins and what became of each."),
    "completion": ("zoo_core.cli.completion:command", "Print the shell's completion script."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="'zoo COMMAND --help' says more. Data goes to stdout, talk to stderr; exit codes are "
    "0 (done), 1 (failed) and 2 (wrong name, option or setting).",
)
@click.option(
    "--registry",
    "registries",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A TOML file with further variants and presets; may be repeated.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when any plugin failed to load.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="zoo", help="Show the version and exit.")
@click.pass_context
def cli(ctx: click.Context, registries: tuple[Path, ...], strict: bool, debug: bool) -> None:
    """A zoo of text-to-image denoising backbones, for controlled comparison.

    Train any two backbones under one recipe, score both with the same metrics, compare.
    """
    ctx.obj = Session(registries=registries, strict=strict, debug=debug)


def main() -> None:
    """The console entry."""
    try:
        cli.main(prog_name="zoo")
    except KeyboardInterrupt:  # before or after the part that the group itself guards
        click.echo("zoo: interrupted.", err=True)
        sys.exit(INTERRUPTED)
