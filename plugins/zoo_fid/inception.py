"""The Inception network of FID: TensorFlow's graph of 2015-12-05, up to its last pooling.

Structure: Szegedy et al. 2016 (arXiv 1512.00567), as the graph that Heusel et al. 2017 scored with has
it; three things differ from torchvision's `inception_v3`: average pools do not count their padding, the
last block pools by maximum, and there are 1008 classes. Weights are those of the file
``pt_inception-2015-12-05-6726825d.pth``, whose names the modules here carry.

For speed, and equal to the published arithmetic up to rounding: each normalisation is folded into the
convolution before it (in double precision), tensors are channels-last, and an average pool comes after
the 1 x 1 convolution it fed, since the two commute and there are fewer channels then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo_core.adapters.state_dict import fill

SIZE = 299
DIMENSIONS = 2048
_EPSILON = 1e-3  # of the normalisations


@final
class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation with fixed statistics, ReLU.

    As stored, `conv` and `bn` are apart; `fold` makes one convolution of them.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 1,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_EPSILON)

    @torch.no_grad()
    def fold(self) -> None:
        """Put the normalisation into the convolution's weight and a new bias."""
        norm, weight = self.bn, self.conv.weight
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        folded = (weight.double() * scale[:, None, None, None]).float()
        shift = (norm.bias.double() - norm.running_mean.double() * scale).float()
        self.conv.weight = nn.Parameter(folded.contiguous(memory_format=torch.channels_last))
        self.conv.bias = nn.Parameter(shift)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv(x))

    def after_pool(self, x: Tensor) -> Tensor:
        """As of the 3 x 3 average pool of `x`, whose border does not count."""
        mixed = self.conv(x)  # its bias goes through the mean unchanged
        return F.relu_(F.avg_pool2d(mixed, 3, 1, 1, count_include_pad=False))


@final
class BlockA(nn.Module):
    """[B, C, 35, 35] to [B, 224 + P, 35, 35]."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(inputs, 64)
        self.branch5x5_1 = ConvNorm(inputs, 48)
        self.branch5x5_2 = ConvNorm(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = ConvNorm(inputs, 64)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, padding=1)
        self.branch_pool = ConvNorm(inputs, pooled)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch5x5_2(self.branch5x5_1(x)),
                self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
                self.branch_pool.after_pool(x),
            ],
            dim=1,
        )


@final
class BlockB(nn.Module):
    """[B, 288, 35, 35] to [B, 768, 17, 17]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = ConvNorm(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = ConvNorm(inputs, 64)
        self.branch3x3dbl_2 = ConvNorm(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNorm(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], dim=1)


@final
class BlockC(nn.Module):
    """[B, 768, 17, 17] to the same; `width` is that of the factorised 7 x 7 convolutions."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        row, column = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = ConvNorm(inputs, 192)
        self.branch7x7_1 = ConvNorm(inputs, width)
        self.branch7x7_2 = ConvNorm(width, width, **row)  # type: ignore[arg-type]
        self.branch7x7_3 = ConvNorm(width, 192, **column)  # type: ignore[arg-type]
        self.branch7x7dbl_1 = ConvNorm(inputs, width)
        self.branch7x7dbl_2 = ConvNorm(width, width, **column)  # type: ignore[arg-type]
        self.branch7x7dbl_3 = ConvNorm(width, width, **row)  # type: ignore[arg-type]
        self.branch7x7dbl_4 = ConvNorm(width, width, **column)  # type: ignore[arg-type]
        self.branch7x7dbl_5 = ConvNorm(width, 192, **row)  # type: ignore[arg-type]
        self.branch_pool = ConvNorm(inputs, 192)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool.after_pool(x)], dim=1)


@final
class BlockD(nn.Module):
    """[B, 768, 17, 17] to [B, 1280, 8, 8]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvNorm(inputs, 192)
        self.branch3x3_2 = ConvNorm(192, 320, 3, stride=2)
        self.branch7x7x3_1 = ConvNorm(inputs, 192)
        self.branch7x7x3_2 = ConvNorm(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvNorm(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvNorm(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        small = self.branch3x3_2(self.branch3x3_1(x))
        large = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([small, self.branch7x7x3_4(large), F.max_pool2d(x, 3, 2)], dim=1)


@final
class BlockE(nn.Module):
    """[B, C, 8, 8] to [B, 2048, 8, 8]; the last block of the network pools by maximum."""

    def __init__(self, inputs: int, max_pool: bool) -> None:
        super().__init__()
        self.max_pool = max_pool
        self.branch1x1 = ConvNorm(inputs, 320)
        self.branch3x3_1 = ConvNorm(inputs, 384)
        self.branch3x3_2a = ConvNorm(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = ConvNorm(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = ConvNorm(inputs, 448)
        self.branch3x3dbl_2 = ConvNorm(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = ConvNorm(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = ConvNorm(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = ConvNorm(inputs, 192)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        if self.max_pool:
            pooled = self.branch_pool(F.max_pool2d(x, 3, 1, 1))
        else:
            pooled = self.branch_pool.after_pool(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                pooled,
            ],
            dim=1,
        )


@final
class Inception(nn.Module):
    """Pixels to pooled features. Made by `load_inception`, which folds the normalisations."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(768, 128)
        self.Mixed_6c = BlockC(768, 160)
        self.Mixed_6d = BlockC(768, 160)
        self.Mixed_6e = BlockC(768, 192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280, max_pool=False)
        self.Mixed_7c = BlockE(2048, max_pool=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features [B, 2048] of pixels [B, 3, 299, 299] in [-1, 1), float32."""
        x = self.Conv2d_1a_3x3(pixels)  # [B, 32, 149, 149]
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(x))  # [B, 64, 147, 147]
        x = F.max_pool2d(x, 3, 2)  # [B, 64, 73, 73]
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))  # [B, 192, 71, 71]
        x = F.max_pool2d(x, 3, 2)  # [B, 192, 35, 35]
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # [B, 288, 35, 35]
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))  # [B, 768, 17, 17]
        x = self.Mixed_6e(self.Mixed_6d(x))  # [B, 768, 17, 17]
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # [B, 2048, 8, 8]
        return x.mean(dim=(2, 3))  # [B, 2048]


def load_inception(state: Mapping[str, Tensor], source: str) -> Inception:
    """The network with weights of the published format, on the CPU, ready for `forward`.

    state: tensors by name, the classifier (``fc.``) among them or not. source: the file, for messages.
    Raises `ConfigError` naming a tensor that is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        network = Inception()
    network.to_empty(device="cpu")
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name in network.state_dict()
        if name.endswith("num_batches_tracked")  # not all files hold these; nothing depends on them
    }
    fill(network, {**counters, **state}, source, ignore=("fc.",))
    for block in _convolutions(network):
        block.fold()
    return network.eval().requires_grad_(False)


def _convolutions(network: Inception) -> Iterator[ConvNorm]:
    return (module for module in network.modules() if isinstance(module, ConvNorm))
