"""Shell completion: the script to source, and the names that fit what has been typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.errors import ZooError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from click.shell_completion import CompletionItem

    from zoo_core.catalog import Catalog

SHELLS = ("bash", "zsh", "fish")
COMPLETE_VARIABLE = "_ZOO_COMPLETE"
RUNS = Path("runs")
RUN_FILE = "recipe.toml"


@click.command("completion", short_help="Print the shell's completion script.")
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL.

    Source it from the shell's start-up file, for example: eval "$(zoo completion bash)".
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, f"click knows no shell {shell}"
    click.echo(found(ctx.find_root().command, {}, "zoo", COMPLETE_VARIABLE).source())


def complete_kind(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Kinds of components, and presets."""
    from zoo_core.cli.kinds import LISTABLE

    return _items(LISTABLE, incomplete)


def complete_pattern(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of the kind that stands before."""
    from zoo_core.cli.kinds import PRESET, WORDS

    kind = WORDS.get(str(ctx.params.get("kind") or "backbone").lower().replace("_", "-"))
    if kind == PRESET:
        return complete_preset(ctx, param, incomplete)
    return _names(ctx, kind, incomplete) if kind else []


def complete_any(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of the kind given by ``--kind``, or of all kinds."""
    from zoo_core.cli.kinds import PRESET, WORDS
    from zoo_core.interfaces.manifest import KINDS

    catalog = _catalog(ctx)
    if catalog is None:
        return []
    given = WORDS.get(str(ctx.params.get("kind") or ""))
    names: list[str] = []
    for kind in (given,) if given else (*KINDS, PRESET):
        names += catalog.preset_names() if kind == PRESET else catalog.names(kind)
    return _items(dict.fromkeys(names), incomplete)


def complete_backbone(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of backbones."""
    return _names(ctx, "backbone", incomplete)


def complete_dataset(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of datasets."""
    return _names(ctx, "dataset", incomplete)


def complete_metric(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of metrics."""
    return _names(ctx, "metric", incomplete)


def complete_preset(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of presets."""
    catalog = _catalog(ctx)
    return _items(catalog.preset_names(), incomplete) if catalog else []


def complete_set(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Keys of a recipe, up to the equals sign."""
    from zoo_core.recipe.layers import SLOTS
    from zoo_core.recipe.sections import SECTIONS
    from zoo_core.schema import field_names

    keys = [
        f"{section}.{key}=" for section, type_ in SECTIONS.items() for key in field_names(type_)
    ]
    return _items([*keys, *(f"{slot}.name=" for slot in SLOTS if slot != "backbone")], incomplete)


def complete_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Run folders: those under ``runs``, or in the folder that has been typed."""
    typed = Path(incomplete)
    parent = typed if incomplete.endswith("/") else typed.parent
    places = [parent] if incomplete else [Path(), RUNS]
    if parent == Path():
        places = [Path(), RUNS]
    found = [
        str(folder)
        for place in places
        if place.is_dir()
        for folder in sorted(place.iterdir())
        if (folder / RUN_FILE).is_file()
    ]
    return _items(found, incomplete)


def complete_backbone_or_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of backbones, and run folders."""
    names = complete_backbone(ctx, param, incomplete)
    return [*names, *complete_run(ctx, param, incomplete)]


def _names(ctx: click.Context, kind: str, incomplete: str) -> list[CompletionItem]:
    catalog = _catalog(ctx)
    return _items(catalog.names(kind), incomplete) if catalog else []


def _items(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(value) for value in values if value.startswith(incomplete)]


def _catalog(ctx: click.Context) -> Catalog | None:
    """The catalogue with the files of ``--registry``; None when a file of the user's is broken.

    While a line is being typed there is nobody to tell; running the command tells.
    """
    from zoo_core.catalog import open_catalog

    try:
        return open_catalog(ctx.find_root().params.get("registries") or ())
    except ZooError:
        return None
