"""MobileNetV2 (Sandler et al., 2018) as BackgroundMattingV2's backbone: six channels in, output stride 16.

Names and shapes are those of the published weights. The last 1x1 convolution and the classifier are left out.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

FIRST = 32  # channels of the first convolution


class Stage(NamedTuple):
    """Inverted residual blocks of one width. The first one has the stride, and the dilation of the stage before."""

    expansion: int
    channels: int
    blocks: int
    stride: int
    dilation: int = 1


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 1, dilation=2),  # of stride 2 where it was made to classify
    Stage(6, 320, 1, 1, dilation=2),
)
TAPS = (1, 3, 6, 17)  # the last blocks at 1/2, 1/4, 1/8 and 1/16


class MobileNetV2(nn.Module):
    """Picture and plate to maps of five sizes."""

    skips = (32, 24, 16, 6)  # channels of what the decoder joins, at 1/8, 1/4, 1/2 and 1
    channels = 320  # of the map at 1/16

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_convolution(6, FIRST, 3, stride=2)]
        channels, before = FIRST, 1
        for stage in STAGES:
            for number in range(stage.blocks):
                stride, dilation = (stage.stride, before) if number == 0 else (1, stage.dilation)
                blocks.append(InvertedResidual(channels, stage.channels, stage.expansion, stride, dilation))
                channels = stage.channels
            before = stage.dilation
        self.features = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (B, 6, H, W).  Returns the maps at 1/16, 1/8, 1/4, 1/2, and x itself."""
        maps = [x]
        for number, block in enumerate(self.features):
            x = block(x)
            if number in TAPS:
                maps.append(x)
        return maps[::-1]


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; added to the input where the shapes allow it."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        wide = channels * expansion
        widen = [_convolution(channels, wide, 1)] if expansion > 1 else []
        depthwise = _convolution(wide, wide, 3, stride=stride, dilation=dilation, groups=wide)
        self.conv = nn.Sequential(*widen, depthwise, nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.is_residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, out, H / stride, W / stride)."""
        filtered: Tensor = self.conv(x)
        return torch.add(x, filtered) if self.is_residual else filtered


def _convolution(
    channels: int, out: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = (kernel - 1) // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(),
    )
