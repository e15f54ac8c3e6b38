"""Scores are computed in full precision, whatever is switched on around them."""

from __future__ import annotations

import pytest
import torch

from zoo_core.adapters.precision import full_precision

CPU = torch.device("cpu")


def test_autocast_gradients_and_tf32_are_off_inside_and_on_again():
    weight = torch.randn(8, 8, requires_grad=True)
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with full_precision(CPU):
                product = weight @ weight
                assert product.dtype == torch.float32
                assert not product.requires_grad
                assert torch.get_float32_matmul_precision() == "highest"
                assert not torch.backends.cudnn.allow_tf32
            assert (weight @ weight).dtype == torch.bfloat16
            assert (weight @ weight).requires_grad
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_settings_come_back_after_an_error():
    convolutions = torch.backends.cudnn.allow_tf32
    with pytest.raises(RuntimeError, match="inside"), full_precision(CPU):
        raise RuntimeError("inside")
    assert torch.backends.cudnn.allow_tf32 == convolutions
    assert torch.get_float32_matmul_precision() == "highest"
