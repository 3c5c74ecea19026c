"""A small network of IndexNet's kind: learned indices for pooling and for going back, made to learn on two cores.

    picture, trimap ─ 8 ─┬─ 24 ─┬─ 48 ─┬─ 96, dilated            channels at 1, 1/2, 1/4, 1/8
                  α ─ 8 ─┴─ 24 ─┴─ 48 ─┘

Indices are holistic, one map for all channels (Lu et al., 2019, section 4.2), and told by one convolution: at full
resolution every channel costs. There are full 3x3 convolutions, for depthwise ones are slow on a CPU. No cell takes a
mean over the picture: tiles answer as the whole does.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, relu

from factory.matting.networks.network import MattingNetwork, normalised

CHANNELS = (8, 24, 48, 96)
DILATIONS = (1, 2, 4)  # of the blocks at the lowest resolution


class SmallNetwork(MattingNetwork):
    """0.86 million weights."""

    multiple = 2 ** (len(CHANNELS) - 1)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(4, CHANNELS[0]))
        self.index = nn.ModuleList(nn.Conv2d(channels, 4, 4, stride=2, padding=1) for channels in CHANNELS[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(*_convolution(before, after), Residual(after)) for before, after in pairwise(CHANNELS)
        )
        self.deep = nn.Sequential(*(Residual(CHANNELS[-1], dilation) for dilation in DILATIONS))
        self.up = nn.ModuleList(
            nn.Sequential(*_convolution(below + skip, skip)) for below, skip in pairwise(CHANNELS[::-1])
        )
        self.pred = nn.Conv2d(CHANNELS[0], 1, 3, padding=1)

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """α in 0..1."""
        x = normalised(image, trimap).contiguous(memory_format=torch.channels_last)  # a quarter quicker
        x = self.stem(x)
        skips, indices = list[Tensor](), list[Tensor]()
        for index, block in zip(self.index, self.down, strict=True):
            gates = index(x).sigmoid()
            x = pixel_shuffle(gates.softmax(dim=1), 2) * x
            skips.append(x)
            indices.append(pixel_shuffle(gates, 2))
            x = block(4 * avg_pool2d(x, 2))
        x = self.deep(x)
        for block in self.up:
            x = indices.pop() * interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skips.pop()], dim=1))
        alpha: Tensor = self.pred(x).sigmoid()
        return alpha


class Residual(nn.Module):
    """Two convolutions, added to their input."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        first, second = (_convolution(channels, channels, dilation) for _ in range(2))
        self.layers = nn.Sequential(*first, *second[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W), as it comes."""
        return relu(x + self.layers(x))


def _convolution(channels: int, out: int, dilation: int = 1) -> tuple[nn.Module, nn.Module, nn.Module]:
    convolution = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation, bias=False)
    return convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)
