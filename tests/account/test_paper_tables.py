"""The 21 backbones against Tables 1 and 2 of Li et al. 2024, and against a count of the built modules.

The printed "GMACs total" leaves the attention products out. The printed attention column is the linear
layers of transformer and attention blocks: with the middle block for SD2 and IF-XL, without for SDXL.
"""

from __future__ import annotations

import importlib
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

import pytest

from zoo_core.account.meta import count_built
from zoo_core.catalog.catalog import core_registry
from zoo_core.catalog.files import read_registry
from zoo_core.schema import convert

FAMILIES = {"sd2": "zoo_sd2", "sdxl": "zoo_sdxl", "if-xl": "zoo_if_xl", "pixart": "zoo_pixart"}
BACKBONES = {
    variant.name: variant
    for variant in read_registry(core_registry(), "zoo")[0]
    if variant.kind == "backbone"
}
SIZE, TOKENS, TEXT_WIDTH = 32, 77, 1024

#: name: (parameters in B, GMACs, attention GMACs, attention %), as printed.
TABLE_1 = {
    "sd2": ("0.87", 86, 34, 39),
    "sd2-c512": ("2.19", 219, 85, 39),
    "if-xl-c512": ("2.04", 194, 23, 12),
    "if-xl": ("3.83", 364, 42, 12),
    "sdxl-c128": ("0.42", 35, 23, 65),
    "sdxl-c192": ("0.90", 75, 48, 65),
    "sdxl": ("2.39", 198, 127, 64),
    "sdxl-c384": ("3.40", 282, 179, 64),
    "sdxl-td2": ("0.85", 98, 43, 44),
    "sdxl-td4": ("1.24", 123, 64, 52),
    "sdxl-td12": ("2.78", 223, 147, 66),
    "sdxl-td14": ("3.16", 248, 168, 68),
    "sdxl-td4_4": ("1.32", 143, 84, 59),
    "sdxl-td4_8": ("2.09", 193, 123, 64),
    "sdxl-td4_12": ("2.86", 243, 167, 69),
    "sdxl-c384-td4_12": ("4.07", 346, 237, 69),
}
#: name: (parameters in B, GMACs), as printed.
TABLE_2 = {
    "pixart-xl2": ("0.61", 139),
    "pixart-h1152-d28": ("0.61", 139),
    "pixart-h1536-d28": ("1.08", 247),
    "pixart-h1024-d28": ("0.48", 110),
    "pixart-h1024-d56": ("0.95", 220),
}
PRINTED = {name: row[:2] for name, row in (TABLE_1 | TABLE_2).items()}


@cache
def component(family):
    (found,) = importlib.import_module(FAMILIES[family]).zoo_components()
    assert (found.kind, found.name) == ("backbone", family)
    return found


def resolve(reference):
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def configure(name, **changes):
    variant = BACKBONES[name]
    settings = {**variant.settings, "text_width": TEXT_WIDTH, "latent_size": SIZE, **changes}
    return convert(settings, resolve(component(variant.family).config), name)


def closed_form(name, tokens=TOKENS, **changes):
    config = configure(name, **changes)
    account = resolve(component(BACKBONES[name].family).account)
    return account(config, config.latent_size, tokens)


def near(computed, printed):
    """Within 1 %, or equal when rounded to a whole number."""
    return abs(computed - printed) <= 0.01 * printed or round(computed) == printed


def printed_attention(name):
    account = closed_form(name)
    left_out = account.middle_attention_macs if name.startswith("sdxl") else 0
    return (account.attention_macs - left_out) / 1e9


def test_the_registry_has_all_of_both_tables():
    assert set(BACKBONES) == set(PRINTED)
    assert len(BACKBONES) == 21


@pytest.mark.parametrize("name", PRINTED)
def test_the_registry_repeats_what_is_printed(name):
    reference = BACKBONES[name].reference
    row = (TABLE_1 | TABLE_2)[name]
    keys = ("params_b", "gmacs", "attention_gmacs", "attention_percent")[: len(row)]
    assert [reference[key] for key in keys] == [float(row[0]), *row[1:]]
    assert reference["source"] == ("Table 1" if name in TABLE_1 else "Table 2")


@pytest.mark.parametrize("name", PRINTED)
def test_closed_form_equals_the_count_of_the_module(name):
    family = component(BACKBONES[name].family)
    counted = count_built(resolve(family.target), configure(name), SIZE, TOKENS)
    assert closed_form(name) == counted


@pytest.mark.parametrize("name", PRINTED)
def test_parameters_to_the_last_printed_digit(name):
    billions = Decimal(closed_form(name).parameters) / 10**9
    if name == "sdxl-td4":
        # 1.234986: printed as 1.24, which it is when rounded to 1.235 first.
        assert str(billions)[:8] == "1.234986"
        billions = billions.quantize(Decimal("0.001"))
    # The blocks of IF-XL come to 3.82 for 3.83.
    printed = "3.82" if name == "if-xl" else PRINTED[name][0]
    assert str(billions.quantize(Decimal("0.01"), ROUND_HALF_UP)) == printed


@pytest.mark.parametrize("name", PRINTED)
def test_total_macs(name):
    assert near(closed_form(name).macs / 1e9, PRINTED[name][1])


@pytest.mark.parametrize("name", TABLE_1)
def test_attention_macs(name):
    # 123 is printed for TD4_8 and met neither without the middle block nor with it.
    printed = 125.4 if name == "sdxl-td4_8" else TABLE_1[name][2]
    assert near(printed_attention(name), printed)
    share = 100 * printed_attention(name) / (closed_form(name).macs / 1e9)
    assert abs(share - TABLE_1[name][3]) < 1


def test_what_the_exceptions_really_are():
    assert not near(printed_attention("sdxl-td4_8"), 123)
    td4_8 = closed_form("sdxl-td4_8")
    assert round(printed_attention("sdxl-td4_8"), 1) == 125.4
    assert round(td4_8.attention_macs / 1e9, 1) == 142.4
    own_text = closed_form("pixart-xl2", tokens=120, text_width=4096)
    assert round(own_text.macs / 1e9, 1) == 142.8
    assert round(own_text.parameters / 1e9, 3) == 0.611


@pytest.mark.parametrize(
    ("name", "with_middle"), [("sdxl", 147.5), ("sdxl-td4_4", 92.2), ("sd2", 33.9)]
)
def test_attention_with_the_middle_block(name, with_middle):
    assert round(closed_form(name).attention_macs / 1e9, 1) == with_middle


@pytest.mark.parametrize(("name", "gmacs"), [("sd2", 90.5), ("sdxl", 200.8)])
def test_true_macs_have_the_attention_products(name, gmacs):
    assert round(closed_form(name).true_macs / 1e9, 1) == gmacs


def test_no_two_collapse_at_an_eighth():
    """Except the two PixArts that differ only by their text encoder."""
    seen: dict[tuple[type, object], list[str]] = {}
    for name in BACKBONES:
        small = configure(name).reduced(8)
        seen.setdefault((type(small), small), []).append(name)
    assert [names for names in seen.values() if len(names) > 1] == [
        ["pixart-xl2", "pixart-h1152-d28"]
    ]
    accounts: dict[object, list[str]] = {}
    for name in BACKBONES:
        config = configure(name).reduced(8)
        account = resolve(component(BACKBONES[name].family).account)
        accounts.setdefault(account(config, 8, 32), []).append(name)
    assert [names for names in accounts.values() if len(names) > 1] == [
        ["pixart-xl2", "pixart-h1152-d28"]
    ]
