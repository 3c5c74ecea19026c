"""The decoder: from the coarsest map up to the picture's own size, joined at each size with the backbone's map."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

WIDTHS = (128, 64, 48, 37)  # channels after each step; the last are α, the foreground's residual, error, 32 hidden


class Decoder(nn.Module):
    """Four steps up, each a convolution of what comes from below and of the skip."""

    def __init__(self, channels: int, skips: Sequence[int]) -> None:
        """channels: of the coarsest map.  skips: of the backbone's maps, from coarse to fine."""
        super().__init__()
        first, second, third, last = WIDTHS
        self.conv1 = nn.Conv2d(channels + skips[0], first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first + skips[1], second, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second + skips[2], third, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(third)
        self.conv4 = nn.Conv2d(third + skips[3], last, 3, padding=1)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """x: (B, channels, H/16, W/16).  skips: maps at 1/8, 1/4, 1/2, 1.  Returns (B, 37, H, W)."""
        x = relu(self.bn1(self.conv1(_joined(x, skips[0]))))
        x = relu(self.bn2(self.conv2(_joined(x, skips[1]))))
        x = relu(self.bn3(self.conv3(_joined(x, skips[2]))))
        finest: Tensor = self.conv4(_joined(x, skips[3]))
        return finest


def _joined(x: Tensor, skip: Tensor) -> Tensor:
    return torch.cat([interpolate(x, skip.shape[-2:], mode="bilinear"), skip], dim=1)
