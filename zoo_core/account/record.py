"""What one forward pass of a backbone costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """Counts for one forward pass at batch 1 (one multiply-accumulate, MAC, is two FLOPs).

    parameters: all learned parameters.
    macs: convolutions and linear layers, without the two attention products QK^T and AV. This is the
        paper's "GMACs total" (Li et al. 2024, Tables 1 and 2).
    attention_macs: linear layers inside transformer or attention blocks, middle block included.
    middle_attention_macs: the middle block's share of `attention_macs`; the paper's printed attention
        column leaves it out for SDXL.
    attention_products: MACs of QK^T and AV.
    """

    parameters: int
    macs: int
    attention_macs: int
    middle_attention_macs: int
    attention_products: int

    @property
    def true_macs(self) -> int:
        """Everything the device multiplies: `macs` plus the attention products."""
        return self.macs + self.attention_products

    @property
    def weight_bytes(self) -> int:
        """Weights in fp32."""
        return 4 * self.parameters

    @property
    def training_bytes(self) -> int:
        """fp32 master weights, gradients and AdamW's two moments, without activations."""
        return 16 * self.parameters
