"""Atrous spatial pyramid pooling (DeepLabV3; Chen et al., 2017): one map seen at several widths at once.

Its dropout is left out: it does nothing where nothing is trained.
"""

import torch
from torch import Tensor, nn

OUT = 256  # channels
RATES = (3, 6, 9)


class ASPP(nn.Module):
    """Five views of a map, joined: each point, three rings around it, and the mean of the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_convolution(channels, 1))
        rings = [_convolution(channels, 3, rate) for rate in RATES]
        self.convs = nn.ModuleList([_convolution(channels, 1), *rings, whole])
        self.project = _convolution(OUT * len(self.convs), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 256, H, W)."""
        *near, whole = [view(x) for view in self.convs]
        joined: Tensor = self.project(torch.cat([*near, whole.expand_as(near[0])], dim=1))
        return joined


def _convolution(channels: int, kernel: int, rate: int = 1) -> nn.Sequential:
    padding = (kernel - 1) // 2 * rate
    return nn.Sequential(
        nn.Conv2d(channels, OUT, kernel, padding=padding, dilation=rate, bias=False), nn.BatchNorm2d(OUT), nn.ReLU()
    )
