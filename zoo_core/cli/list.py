"""``zoo list``: names in the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.completion import complete_kind, complete_pattern
from zoo_core.cli.output import Column, print_json, print_table, say
from zoo_core.errors import ZooError, did_you_mean

if TYPE_CHECKING:
    from zoo_core.catalog import Catalog
    from zoo_core.cli.session import Session


@click.command("list", short_help="Names in the catalogue, by kind.")
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.argument("pattern", required=False, shell_complete=complete_pattern)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(session: Session, kind: str | None, pattern: str | None, as_json: bool) -> None:
    """List the names of a KIND of component, backbones unless another is given.

    PATTERN keeps the names that match it: wildcards as in 'sdxl-td*', or any part of a name. Kinds may
    be written in the plural, and 'presets' lists what recipes start from. Parameters and GMACs
    (multiply-accumulates without the attention products) are those of one forward pass at 256 x 256
    pixels with 77 x 1024 text.
    """
    from zoo_core.cli.kinds import PRESET, kind_called

    if kind is not None and pattern is None and any(mark in kind for mark in "*?["):
        kind, pattern = None, kind  # zoo list 'sdxl-*'
    chosen = kind_called(kind) if kind else "backbone"
    catalog = session.catalog
    if chosen == PRESET:
        rows = _presets(catalog, pattern)
    elif chosen == "backbone":
        rows = _backbones(catalog, pattern)
    else:
        rows = _components(catalog, chosen, pattern)
    if as_json:
        print_json(rows)
    elif rows:
        print_table(*_as_table(rows))
    if pattern and not rows:
        known = [p.name for p in catalog.presets] if chosen == PRESET else catalog.names(chosen)
        say(f"No {chosen} matches '{pattern}'. {did_you_mean(pattern, known)}".rstrip())
    elif not as_json and kind is None:
        say(_footnote(catalog))


def _backbones(catalog: Catalog, pattern: str | None) -> list[dict[str, Any]]:
    from zoo_core.cli.accounts import published_account

    rows = []
    problems: dict[str, list[str]] = {}
    for name in catalog.names("backbone", pattern):
        variant = catalog.find("backbone", name)
        row: dict[str, Any] = {"name": name, "family": variant.family.rpartition(":")[2]}
        row.update(parameters=None, macs=None, provider=variant.provider, summary=variant.summary)
        try:
            account = published_account(catalog, variant)
        except Exception as error:  # one broken family or variant must not hide the others
            known = isinstance(error, ZooError)
            row["problem"] = str(error) if known else f"{type(error).__name__}: {error}"
            problems.setdefault(row["problem"], []).append(name)
        else:
            row.update(parameters=account.parameters, macs=account.macs, problem=None)
        rows.append(row)
    for problem, names in problems.items():
        say(f"zoo: no account of {', '.join(names)}: {problem}")
    return rows


def _components(catalog: Catalog, kind: str, pattern: str | None) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "family": variant.family.rpartition(":")[2],
            "provider": variant.provider,
            "summary": variant.summary,
        }
        for name in catalog.names(kind, pattern)
        for variant in [catalog.find(kind, name)]
    ]


def _presets(catalog: Catalog, pattern: str | None) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "extends": preset.extends,
            "provider": preset.provider,
            "summary": preset.summary,
        }
        for name in catalog.preset_names(pattern)
        for preset in [catalog.preset(name)]
    ]


def _as_table(rows: list[dict[str, Any]]) -> tuple[list[Column], list[list[str]]]:
    """Cells in words: billions for parameters and MACs, a dash for what is not known."""
    if "macs" not in rows[0]:
        titles = list(rows[0])
        return [Column(t) for t in titles], [[str(row[t] or "-") for t in titles] for row in rows]
    columns = [
        Column("name"),
        Column("family"),
        Column("params (B)", number=True),
        Column("GMACs", number=True),
        Column("provider"),
    ]
    cells = [
        [
            row["name"],
            row["family"],
            "-" if row["parameters"] is None else f"{row['parameters'] / 1e9:.2f}",
            "-" if row["macs"] is None else f"{row['macs'] / 1e9:.0f}",
            row["provider"],
        ]
        for row in rows
    ]
    return columns, cells


def _footnote(catalog: Catalog) -> str:
    from zoo_core.cli.kinds import LISTABLE, PRESET

    counts = {
        kind: len(catalog.preset_names() if kind == PRESET else catalog.names(kind))
        for kind in LISTABLE
    }
    others = ", ".join(f"{kind} ({n})" for kind, n in counts.items() if n and kind != "backbone")
    return f"{counts['backbone']} backbones. 'zoo list KIND' lists: {others or 'nothing else'}."
