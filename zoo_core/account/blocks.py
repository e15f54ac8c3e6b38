"""Closed forms of the building blocks that backbones are made of, in plain integers.

One sample (batch 1). A `Cost` adds up: ``conv(...) + linear(...)``; ``3 * cost`` is three such blocks
one after another with parameters of their own. `n` is always a number of positions or tokens, `side`
the length of one side of a square feature map after the operation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zoo_core.account.record import Account


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts of a part of a network.

    parameters: learned parameters.
    macs: multiply-accumulates of convolutions and linear layers.
    attention_macs: the part of `macs` in linear layers of transformer or attention blocks.
    products: multiply-accumulates of QK^T and AV.
    """

    parameters: int = 0
    macs: int = 0
    attention_macs: int = 0
    products: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.parameters + other.parameters,
            self.macs + other.macs,
            self.attention_macs + other.attention_macs,
            self.products + other.products,
        )

    def __rmul__(self, times: int) -> Cost:
        return Cost(
            times * self.parameters,
            times * self.macs,
            times * self.attention_macs,
            times * self.products,
        )

    def as_attention(self) -> Cost:
        """The same cost with all its linear layers counted as an attention block's."""
        return Cost(self.parameters, self.macs, self.macs, self.products)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum of all costs."""
    return sum(costs, Cost())


def account_of(middle: Cost, rest: Cost) -> Account:
    """The account of a backbone from its middle block and everything else."""
    whole = middle + rest
    return Account(
        parameters=whole.parameters,
        macs=whole.macs,
        attention_macs=whole.attention_macs,
        middle_attention_macs=middle.attention_macs,
        attention_products=whole.products,
    )


def linear(inputs: int, outputs: int, n: int = 1, bias: bool = True) -> Cost:
    """A linear layer applied to `n` tokens."""
    return Cost(inputs * outputs + (outputs if bias else 0), n * inputs * outputs)


def conv(inputs: int, outputs: int, side: int, kernel: int = 3) -> Cost:
    """A convolution with bias whose output has `side` x `side` positions."""
    weights = inputs * outputs * kernel * kernel
    return Cost(weights + outputs, weights * side * side)


def norm(channels: int) -> Cost:
    """A group or layer norm with scale and shift; its arithmetic is not counted, as in the paper."""
    return Cost(2 * channels)


def table(*shape: int) -> Cost:
    """Learned parameters that are only added."""
    count = 1
    for length in shape:
        count *= length
    return Cost(count)


def mlp(inputs: int, hidden: int, outputs: int, n: int = 1) -> Cost:
    """Two linear layers with biases."""
    return linear(inputs, hidden, n) + linear(hidden, outputs, n)


def attention_products(width: int, queries: int, keys: int) -> Cost:
    """QK^T and AV over all heads together: each has width x queries x keys MACs."""
    return Cost(products=2 * width * queries * keys)


def resnet(inputs: int, outputs: int, time: int, side: int, scale_shift: bool = False) -> Cost:
    """A time-conditioned residual block (two 3x3 convolutions) at `side` x `side`.

    time: width of the time embedding. scale_shift: the time gives a scale and a shift, not a shift
    only. A 1x1 convolution on the shortcut when the width changes.
    """
    cost = norm(inputs) + conv(inputs, outputs, side)
    cost += linear(time, 2 * outputs if scale_shift else outputs)
    cost += norm(outputs) + conv(outputs, outputs, side)
    return cost + conv(inputs, outputs, side, kernel=1) if inputs != outputs else cost


def attention(
    width: int, n: int, context: int | None = None, tokens: int = 0, bias: bool = False
) -> Cost:
    """Attention of `n` positions to themselves, or to `tokens` tokens of width `context`.

    bias: whether q, k and v have one; the output projection always does.
    """
    source, keys = (width, n) if context is None else (context, tokens)
    cost = linear(width, width, n, bias) + 2 * linear(source, width, keys, bias)
    return cost + linear(width, width, n) + attention_products(width, n, keys)


def unet_transformer(width: int, n: int, context: int, tokens: int, depth: int) -> Cost:
    """Stable Diffusion's transformer: linear in, `depth` blocks, linear out; all of it attention.

    A block is self-attention, cross-attention and a gated feed-forward of 4x width (GEGLU).
    """
    block = 3 * norm(width) + attention(width, n) + attention(width, n, context, tokens)
    block += linear(width, 8 * width, n) + linear(4 * width, width, n)
    ends = 2 * linear(width, width, n)
    return norm(width) + (ends + depth * block).as_attention()


def joint_attention(width: int, n: int, context: int, tokens: int) -> Cost:
    """DeepFloyd's attention: positions attend to the text and to themselves in one softmax.

    Positions are normalised, the text by a group norm of its own; every projection has a bias.
    """
    own = 4 * linear(width, width, n)
    added = 2 * linear(context, width, tokens)
    products = attention_products(width, n, n + tokens)
    return norm(width) + norm(context) + (own + added + products).as_attention()
