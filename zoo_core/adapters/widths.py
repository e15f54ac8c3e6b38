"""Checks and arithmetic of widths that families' settings share. Light: no torch."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_core.errors import ConfigError


def divided(family: str, field: str, value: int, divisor: int) -> int:
    """`value` / `divisor`. Raises `ConfigError` when that is no whole number of at least 1."""
    if divisor < 1:
        raise ConfigError(f"{family}: a width divisor is at least 1, not {divisor}.")
    if value % divisor:
        raise ConfigError(
            f"{family}: {field} {value} cannot be divided by {divisor}; "
            f"{nearest_multiple(value, divisor)} could.",
            key=field,
        )
    return value // divisor


def reduced_groups(groups: int, divisor: int) -> int:
    """Group norm groups of a UNet whose widths are divided: half as strongly reduced, 32 to 8 at 8.

    A group then keeps at least half its channels, and more than one wherever the full-size model has
    four or more.
    """
    return max(1, min(groups, 2 * groups // divisor))


def nearest_multiple(value: int, of: int) -> int:
    """The multiple of `of` nearest to `value`, at least `of`."""
    return max(of, (value + of // 2) // of * of)


def check_groups(family: str, channels: int, groups: int) -> None:
    """A group must have at least two of the first level's channels.

    With one, the norm would remove what the time embedding adds. Raises `ConfigError`.
    """
    if channels % groups:
        raise ConfigError(
            f"{family}: channels {channels} is not divisible by norm_groups {groups}; "
            f"channels {nearest_multiple(channels, groups)} would fit.",
            key="channels",
        )
    if channels < 2 * groups:
        raise ConfigError(
            f"{family}: norm_groups {groups} leaves one channel a group at {channels} channels, which "
            f"would erase the time embedding; use at most {channels // 2} groups that divide it.",
            key="norm_groups",
        )


def check_heads(family: str, width: int, head_width: int, where: str) -> None:
    """An attention of `width` channels must split into heads of `head_width`. Raises `ConfigError`."""
    if width % head_width:
        raise ConfigError(
            f"{family}: {where} has {width} channels, no multiple of head_width {head_width}; "
            f"{nearest_multiple(width, head_width)} channels would fit.",
            key="head_width",
        )


def check_latent_size(family: str, latent_size: int, levels: int) -> None:
    """Latents must halve evenly between levels. Raises `ConfigError`."""
    factor = 2 ** (levels - 1)
    if latent_size % factor:
        raise ConfigError(
            f"{family}: latents of {latent_size} x {latent_size} do not halve {levels - 1} times for "
            f"{levels} levels; {nearest_multiple(latent_size, factor)} would fit.",
            key="latent_size",
        )


def check_one_per_level(family: str, field: str, values: Sequence[int], levels: int) -> None:
    """`values` must have one entry a level. Raises `ConfigError`."""
    if len(values) != levels:
        raise ConfigError(
            f"{family}: {field} {list(values)} has {len(values)} entries, but channel_mult has "
            f"{levels} levels; give one entry a level, the finest first.",
            key=field,
        )
