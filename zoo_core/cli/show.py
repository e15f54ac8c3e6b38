"""``zoo show``: all that is known about one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.completion import complete_any, complete_kind, complete_preset
from zoo_core.cli.output import Column, print_facts, print_json, print_section, print_text
from zoo_core.errors import ConfigError

if TYPE_CHECKING:
    from zoo_core.cli.session import Session

#: Published figures by their key in ``reference``: words, and decimals of the computed figure.
FIGURES = {
    "params_b": ("parameters (B)", 2),
    "gmacs": ("GMACs", 1),
    "attention_gmacs": ("GMACs in attention blocks", 1),
    "attention_percent": ("share of attention blocks (%)", 0),
}


@click.command("show", short_help="All that is known about one name.")
@click.argument("name", shell_complete=complete_any)
@click.option(
    "--kind",
    metavar="KIND",
    shell_complete=complete_kind,
    help="The kind of component, where several have the name.",
)
@click.option(
    "--preset",
    metavar="PRESET",
    shell_complete=complete_preset,
    help="Show a backbone as this preset builds it. Without it: its own settings, and its cost at the "
    "published tables' setting.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, numbers in base units.")
@click.pass_obj
def command(
    session: Session, name: str, kind: str | None, preset: str | None, as_json: bool
) -> None:
    """Show the settings of NAME, who provides it and where it is defined.

    Of a backbone also what it costs, with the published figures beside the computed ones; of a preset
    its values and where each stands.
    """
    from zoo_core.cli.kinds import PRESET, kind_called
    from zoo_core.cli.page import component_page, preset_page

    catalog = session.catalog
    chosen = kind_called(kind) if kind else catalog.kind_of(name)
    if preset is not None and chosen != "backbone":
        raise ConfigError(f"--preset is about backbones; '{name}' is a {chosen}.")
    if chosen == PRESET:
        page = preset_page(catalog, name)
    else:
        page = component_page(catalog, chosen, name, preset)
    if as_json:
        print_json(page)
    else:
        _print(page)


def _print(page: dict[str, Any]) -> None:
    facts = [("summary", page["summary"] or "-")]
    if page["kind"] == "preset":
        facts += [("extends", page["extends"] or "-"), ("provider", page["provider"])]
        facts += [("defined", page["defined"])]
    else:
        plugin = page["plugin"]
        facts += [
            ("family", f"{page['family']} ({page['target']})"),
            ("plugin", f"{plugin['name']}, {plugin['distribution']} {plugin['version']}"),
            ("provider", page["provider"]),
            ("defined", page["defined"] or "-"),
            ("code", page["code"] or "-"),
        ]
    print_facts(f"{page['name']} ({page['kind']})", facts)
    _print_settings(page)
    if "account" in page:
        _print_account(page)
    _print_reference(page)


def _print_settings(page: dict[str, Any]) -> None:
    from zoo_core.cli.dry_run import toml_value

    built = f", as built under the preset '{page['preset']}'" if "preset" in page else ""
    rows = [
        [row["name"], "-" if row["value"] is None else toml_value(row["value"]), row["from"]]
        for row in page["settings"]
    ]
    if rows:
        print_text([""])
        columns = [Column("setting"), Column("value"), Column("from")]
        print_section(f"Settings{built}", columns, rows)


def _print_account(page: dict[str, Any]) -> None:
    from zoo_core.cli.quantities import count, scaled

    account, shape = page["account"], page["setting"]
    rows = [
        ("parameters", count(account["parameters"])),
        ("MACs, without the attention products", scaled(account["macs"], "MACs")),
        ("  in attention blocks", scaled(account["attention_macs"], "MACs")),
    ]
    if middle := account["middle_attention_macs"]:
        outside = account["attention_macs"] - middle
        rows.append(("  in attention blocks, without the middle", scaled(outside, "MACs")))
    rows += [
        ("attention products (QK^T, AV)", scaled(account["attention_products"], "MACs")),
        ("MACs, all", scaled(account["true_macs"], "MACs")),
        ("weights, fp32", scaled(account["weight_bytes"], "B")),
        ("weights, gradients, AdamW's moments, fp32", scaled(account["training_bytes"], "B")),
    ]
    side = shape["latent_size"]
    print_text([""])
    print_facts(
        f"One forward pass at batch 1: latents {shape['latent_channels']} x {side} x {side}, "
        f"text {shape['text_tokens']} x {shape['text_width']}",
        rows,
    )


def _print_reference(page: dict[str, Any]) -> None:
    from zoo_core.cli.dry_run import toml_value
    from zoo_core.cli.quantities import relative

    reference = dict(page.get("reference") or {})
    comparison = page.get("comparison") or []
    if not reference:
        return
    print_text([""])
    title = f"Published ({reference.pop('source')})" if "source" in reference else "Published"
    rows = []
    for row in comparison:
        words, decimals = FIGURES[row["figure"]]
        if row["reading"]:
            words += f", {row['reading']}"
        published = reference.pop(row["figure"])
        computed = row["computed"]
        difference = relative(computed, published)
        rows.append([words, f"{computed:.{decimals}f}", str(published), difference])
    if rows:
        columns = [Column("figure"), *(Column(t, number=True) for t in _COMPARED)]
        print_section(title, columns, rows)
        title = "Also published"
    print_facts(title, [(key, toml_value(value).strip('"')) for key, value in reference.items()])


_COMPARED = ("computed", "published", "difference")
