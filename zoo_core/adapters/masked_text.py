"""Masked text tokens for attention that group-normalises the text over its tokens.

diffusers' added-key/value attention (DeepFloyd's blocks) has two properties that matter with a mask:

- the text passes a group norm whose mean and variance run over all tokens, masked ones included, so
  the padding of a caption changes how its words are seen;
- the mask is extended to the image positions only when its length differs from their number, so it
  fails when the two happen to be equal.

Replacing masked tokens by *neutral* ones, with the mean and the variance that the valid tokens have
in each group, leaves the norm's statistics those of the valid tokens; one more neutral token changes
the length without changing anything else.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor


def neutral_tokens(text: Tensor, mask: Tensor, groups: int) -> Tensor:
    """A token [B, 1, D] per caption with the valid tokens' mean and variance in each channel group.

    text: [B, L, D] float, D / groups at least 2. mask: [B, L] bool, True where a token counts.
    """
    batch, length, width = text.shape
    per_group = width // groups
    assert per_group >= 2, "a group of one channel has no room for a variance"
    grouped = text.float().reshape(batch, length, groups, per_group)
    weight = mask.to(grouped.dtype)[:, :, None, None]
    count = per_group * weight.sum(dim=1).clamp_min(1)  # [B, 1, 1]
    mean = (grouped * weight).sum(dim=(1, 3)).unsqueeze(-1) / count  # [B, G, 1]
    spread = (grouped - mean.unsqueeze(1)).square() * weight
    variance = spread.sum(dim=(1, 3)).unsqueeze(-1) / count  # [B, G, 1]

    # Channels alternate above and below the mean; an odd one out stays at it.
    pairs = per_group // 2
    signs = torch.zeros(per_group, dtype=grouped.dtype, device=text.device)
    signs[0 : 2 * pairs : 2] = 1
    signs[1 : 2 * pairs : 2] = -1
    step = (variance * per_group / (2 * pairs)).sqrt()
    return (mean + step * signs).reshape(batch, 1, width).to(text.dtype)


def neutral_masked(
    text: Tensor, mask: Tensor, groups: int, avoid_lengths: Collection[int] = ()
) -> tuple[Tensor, Tensor]:
    """The text with neutral tokens where it is masked, and the mask.

    Both are longer by one masked token when their length L is among `avoid_lengths` (by two when
    L + 1 is as well).
    """
    neutral = neutral_tokens(text, mask, groups)
    text = torch.where(mask.unsqueeze(-1), text, neutral)
    while text.shape[1] in avoid_lengths:
        text = torch.cat([text, neutral], dim=1)
        mask = torch.cat([mask, mask.new_zeros(mask.shape[0], 1)], dim=1)
    return text, mask
