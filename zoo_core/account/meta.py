"""The account of a built backbone: one forward pass on the meta device, every operation counted.

Needs torch, so only tests import it; elsewhere `zoo_core.account.isolated` runs it as

    python -m zoo_core.account.meta MODULE:TARGET MODULE:CONFIG JSON LATENT_SIZE TEXT_TOKENS

which prints the account as JSON.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import msgspec
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from zoo_core.account.record import Account
from zoo_core.interfaces import BackboneConfig
from zoo_core.interfaces.backbone import Backbone
from zoo_core.schema import convert

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)
#: Operations with a weight wherever they occur; batched products are attention's unless a linear layer
#: or a convolution runs them.
_WEIGHTED_OPERATIONS = (
    torch.ops.aten.mm,
    torch.ops.aten.addmm,
    torch.ops.aten.convolution,
    torch.ops.aten._convolution,
)


class _Counter(TorchDispatchMode):
    """MACs by the path of the innermost module that ran them."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.weighted: dict[str, int] = {}
        self.products: dict[str, int] = {}
        self._running: list[tuple[str, nn.Module]] = []
        self._hooks = ExitStack()
        for path, module in root.named_modules():
            enter = module.register_forward_pre_hook(self._enter(path))
            leave = module.register_forward_hook(self._leave, always_call=True)
            self._hooks.callback(enter.remove)
            self._hooks.callback(leave.remove)

    def _enter(self, path: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _: Any) -> None:
            self._running.append((path, module))

        return hook

    def _leave(self, module: nn.Module, _: Any, __: Any) -> None:
        self._running.pop()

    def __exit__(self, *reason: Any) -> None:
        self._hooks.close()
        super().__exit__(*reason)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        operation = func._overloadpacket
        if operation in flop_registry:
            macs = flop_registry[operation](*args, **(kwargs or {}), out_val=out) // 2
            path, module = self._running[-1]
            weighted = isinstance(module, _WEIGHTED) or operation in _WEIGHTED_OPERATIONS
            counts = self.weighted if weighted else self.products
            counts[path] = counts.get(path, 0) + macs
        return out


def count(backbone: Backbone, latent_size: int, text_tokens: int) -> Account:
    """The account of a backbone built on the meta device, at batch 1 without a text mask.

    Attention blocks are recognised by what they do: the outermost submodules that compute attention
    products and contain no convolution. The middle block is a submodule called ``mid_block`` or
    ``middle_block``; without one nothing is counted as the middle's.
    """
    config = backbone.config
    latents = torch.empty(1, config.latent_channels, latent_size, latent_size, device="meta")
    timesteps = torch.zeros(1, dtype=torch.int64, device="meta")
    text = torch.empty(1, text_tokens, config.text_width, device="meta")
    # Fused attention kernels have no meta implementation that the counter sees; plain products do.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _Counter(backbone) as counter:
        backbone(latents, timesteps, text)

    blocks = _attention_blocks(backbone, counter.products)
    attention = {
        path: macs
        for path, macs in counter.weighted.items()
        if any(_inside(path, block) for block in blocks)
    }
    middle = sum(
        macs
        for path, macs in attention.items()
        if {"mid_block", "middle_block"} & set(path.split("."))
    )
    return Account(
        parameters=sum(p.numel() for p in backbone.parameters()),
        macs=sum(counter.weighted.values()),
        attention_macs=sum(attention.values()),
        middle_attention_macs=middle,
        attention_products=sum(counter.products.values()),
    )


def count_built(
    target: Callable[..., Backbone], config: BackboneConfig, latent_size: int, text_tokens: int
) -> Account:
    """Build a backbone on the meta device and count it; its config's latent size is set to match."""
    fitted = msgspec.structs.replace(config, latent_size=latent_size)
    with torch.device("meta"):
        backbone = target(fitted)
    return count(backbone, latent_size, text_tokens)


def _attention_blocks(backbone: Backbone, products: dict[str, int]) -> list[str]:
    """Paths of the outermost convolution-free modules that computed products.

    The backbone itself and modules that merely wrap all of it are no blocks.
    """
    found: list[str] = []

    def search(path: str, module: nn.Module, alone: bool) -> None:
        if not any(_inside(place, path) for place in products):
            return
        convolutions = any(isinstance(m, nn.modules.conv._ConvNd) for m in module.modules())
        if not alone and not convolutions:
            found.append(path)
            return
        children = list(module.named_children())
        for name, child in children:
            search(f"{path}.{name}".lstrip("."), child, alone and len(children) == 1)

    search("", backbone, True)
    return found


def _inside(path: str, block: str) -> bool:
    return not block or path == block or path.startswith(f"{block}.")


def _main(arguments: list[str]) -> None:
    target, config_type, settings, latent_size, text_tokens = arguments
    config = convert(msgspec.json.decode(settings), _resolve(config_type), config_type)
    account = count_built(_resolve(target), config, int(latent_size), int(text_tokens))
    print(msgspec.json.encode(asdict(account)).decode())


def _resolve(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    _main(sys.argv[1:])
