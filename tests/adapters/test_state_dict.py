"""Filling modules: every tensor accounted for, and none left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo_core.adapters.state_dict import WithoutDraws, fill
from zoo_core.errors import ConfigError


class Tied(nn.Module):
    """An embedding whose weights are the output layer's too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.output = nn.Linear(3, 5)
        self.output.weight = self.embedding.weight
        self.register_buffer("places", torch.arange(5), persistent=False)


def _state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn_like(value) for name, value in Tied().state_dict().items()}


@pytest.mark.parametrize("absent", ["embedding.weight", "output.weight"])
def test_tied_weights_may_be_there_once(absent):
    state = _state()
    state["output.weight"] = state["embedding.weight"]
    kept = state.pop(absent)
    module = Tied()
    fill(module, state, "here")
    assert torch.equal(module.embedding.weight, kept)
    assert torch.equal(module.output.bias, state["output.bias"])
    assert module.output.weight is module.embedding.weight


def test_values_take_the_modules_dtype():
    module = nn.Linear(2, 2).double()
    state = {"weight": torch.ones(2, 2, dtype=torch.float16), "bias": torch.zeros(2)}
    fill(module, state, "here")
    assert module.weight.dtype == torch.float64
    assert module.weight.eq(1).all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda s: s.pop("output.bias"), r"here: the tensor 'output\.bias' is missing \(1 of 3"),
        (lambda s: s.update(extra=torch.ones(1)), "here: the tensor 'extra' is unknown"),
        (
            lambda s: s.update({"output.bias": torch.ones(4)}),
            r"here: 'output\.bias' is \(4,\), but the architecture has \(5,\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(change, complaint):
    state = _state()
    change(state)
    with pytest.raises(ConfigError, match=complaint):
        fill(Tied(), state, "here")


def test_what_is_said_to_be_unused_may_be_there():
    state = {**_state(), "head.weight": torch.ones(1), "a.position_ids": torch.ones(1)}
    fill(Tied(), state, "here", ignore=("head.", ".position_ids"))


def test_nothing_is_drawn_and_all_else_is_built():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with WithoutDraws():
        module = Tied()
        nn.init.trunc_normal_(torch.full((100, 100), torch.inf))
        nn.init.xavier_uniform_(torch.full((100, 100), torch.nan))
    assert torch.equal(torch.get_rng_state(), before)
    assert module.places.tolist() == [0, 1, 2, 3, 4]
    assert not module.embedding.weight.any()
    assert module.output.weight is module.embedding.weight
    state = _state()
    fill(module, state, "here")
    assert torch.equal(module.output.bias, state["output.bias"])
    nn.Linear(2, 2)
    assert not torch.equal(torch.get_rng_state(), before), "drawing works again afterwards"
