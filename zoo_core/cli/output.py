"""How commands print: data on stdout, talk on stderr; tables for a terminal or for a pipe; JSON.

rich is imported for a table on a terminal only; a pipe gets plain aligned text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

GAP = "  "


class Column:
    """A table's column: its title, and whether its cells are numbers to be aligned on the right."""

    def __init__(self, title: str, number: bool = False) -> None:
        self.title = title
        self.number = number


def say(text: str) -> None:
    """A sentence for a person, on stderr."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """`value` as JSON on stdout."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_text(lines: Iterable[str]) -> None:
    """Lines on stdout, written at once so that a reader that stops early is noticed quietly."""
    click.echo("\n".join(lines))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: rich's on a terminal, plain aligned text in a pipe."""
    if sys.stdout.isatty():
        _print_rich(columns, rows)
    else:
        print_text(aligned([[c.title for c in columns], *rows], [c.number for c in columns]))


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """A heading with labelled values under it."""
    if facts:
        lines = aligned([[label, value] for label, value in facts], [False, False])
        print_text([click.style(title, bold=True), *(GAP + line for line in lines)])


def print_section(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A heading with a plain table under it, for pages that hold several."""
    lines = aligned([[c.title for c in columns], *rows], [c.number for c in columns])
    print_text([click.style(title, bold=True), *(GAP + line for line in lines)])


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Rows as lines with columns padded to one width; no blanks at the ends of lines."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        GAP.join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _print_rich(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        # The first column holds names, which must stay whole to be copied.
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            no_wrap=position == 0 or column.number,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
