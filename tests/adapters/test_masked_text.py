"""Neutral tokens keep a group norm's statistics those of the valid tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import group_norm

from zoo_core.adapters.masked_text import neutral_masked, neutral_tokens


def normed(text: torch.Tensor, groups: int) -> torch.Tensor:
    return group_norm(text.mT, groups).mT


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 6),
    st.integers(0, 5),
    st.sampled_from([1, 2, 4]),
    st.integers(2, 5),
    st.integers(0, 99),
)
def test_valid_tokens_are_normed_as_if_alone(valid, masked, groups, per_group, seed):
    generator = torch.Generator().manual_seed(seed)
    text = 3 * torch.randn(2, valid + masked, groups * per_group, generator=generator) + 1
    mask = (torch.arange(valid + masked) < valid).expand(2, -1)
    filled, kept = neutral_masked(text, mask, groups)
    assert filled.shape == text.shape
    assert kept is mask
    torch.testing.assert_close(
        normed(filled, groups)[:, :valid], normed(text[:, :valid], groups), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(filled[mask], text[mask])


@pytest.mark.parametrize(("avoid", "expected"), [([], 4), ([5], 4), ([4], 5), ([4, 5], 6)])
def test_length_steps_over_those_to_avoid(avoid, expected):
    text = torch.randn(2, 4, 8)
    mask = torch.tensor([[True, True, True, True], [True, False, False, False]])
    filled, longer = neutral_masked(text, mask, 2, avoid)
    assert filled.shape == (2, expected, 8)
    assert longer.shape == (2, expected)
    assert longer.sum(dim=1).tolist() == [4, 1]
    alone = normed(text[1:, :1], 2)
    torch.testing.assert_close(normed(filled, 2)[1:, :1], alone, atol=1e-3, rtol=1e-3)


def test_captions_do_not_mix_and_an_empty_mask_is_finite():
    text = torch.randn(2, 3, 8)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    tokens = neutral_tokens(text, mask, 2)
    assert tokens.isfinite().all()
    torch.testing.assert_close(tokens[:1], neutral_tokens(text[:1], mask[:1], 2))
    assert tokens[1].abs().max() == 0


def test_half_precision_keeps_its_type():
    text = torch.randn(1, 3, 8, dtype=torch.bfloat16)
    filled, _ = neutral_masked(text, torch.tensor([[True, True, False]]), 2, [3])
    assert filled.dtype == torch.bfloat16
