"""What a plugin says about a component before anything of it is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal[
    "backbone", "vae", "text-encoder", "dataset", "prompts", "vqa", "metric", "trainer", "logger"
]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Component:
    """One family of components a plugin provides: names and light facts, no imports.

    kind: what it is, one of `KINDS`.
    name: the family's name, for example ``"sdxl"``. Variants in TOML refer to it by ``family``.
    target: ``"module:attribute"`` of a callable ``target(config, **used) -> component``; imported only
        when a component is built.
    config: ``"module:attribute"`` of the family's settings, a `zoo_core.schema.Config` type; its module
        must not import torch or the like, since validation and planning read it.
    summary: one line for listings.
    account: for backbones, ``"module:attribute"`` of the closed form
        ``account(config, latent_size, text_tokens) -> zoo_core.account.Account``, free of torch.
        Without it the module is counted on the meta device in a subprocess.
    uses: other components the target takes, as ``{keyword: kind}``; the setting of the same name in the
        config holds the name of the component to build and pass.
    requires: importable modules that the target needs beyond the core's own dependencies.
    extra: the optional dependency set that brings them, for the message when one is missing.
    """

    kind: Kind
    name: str
    target: str
    config: str
    summary: str = ""
    account: str | None = None
    uses: dict[str, Kind] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    extra: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"component '{self.name}': unknown kind {self.kind!r}; expected one of {', '.join(KINDS)}"
            )
        for label in ("target", "config", "account"):
            value = getattr(self, label)
            if value is not None and (value.count(":") != 1 or not all(value.split(":"))):
                raise ValueError(
                    f"component '{self.name}': {label} must be 'module:attribute', not {value!r}"
                )
