"""A small network of IndexNet's kind: learned indices for pooling and for going back, made to learn on two cores.

    picture, trimap, clues ─ halved ─ 32 ─┬─ 64 ─┬─ 96, dilated       channels at 1/2, 1/4, 1/8
    α − propagated α ───── doubled ─ 32 ─┴─ 64 ─┘

It learns what to change of the α that the trimap and local colour lines give, for to learn to carry α along colours
takes longest (Cho, Tai, Kweon, "Natural image matting using deep convolutional neural networks", 2016, feed theirs with
closed-form matting). At full resolution every channel costs: pixels are folded into channels first, and α is unfolded
last. Indices are holistic, one map for all channels (Lu et al., 2019, section 4.2), and told by one convolution. No
cell takes a mean over the picture: tiles answer as the whole does, but for α that comes from further than they share.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, pixel_unshuffle

from factory.matting.networks import known_colours, propagation
from factory.matting.networks.network import MattingNetwork, normalised

CHANNELS = (32, 64, 96)
DILATIONS = (2, 4)  # at the lowest resolution
SEEN = 4 + 1 + known_colours.CLUES + 1  # picture, trimap, whether unknown, colours known nearby, α propagated


class SmallNetwork(MattingNetwork):
    """0.51 million weights."""

    multiple = 2 ** max(len(CHANNELS), known_colours.LEVELS, propagation.LEVELS)

    def __init__(self, begins_with: Literal["propagated", "trimap"] = "propagated") -> None:
        """begins_with: the α that it learns to change."""
        super().__init__()
        self.begins_with = begins_with
        self.stem = nn.Sequential(_convolution(4 * SEEN, CHANNELS[0]), _convolution(CHANNELS[0], CHANNELS[0]))
        self.index = nn.ModuleList(nn.Conv2d(channels, 4, 4, stride=2, padding=1) for channels in CHANNELS[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, after), _convolution(after, after))
            for before, after in pairwise(CHANNELS)
        )
        self.deep = nn.Sequential(*(_convolution(CHANNELS[-1], CHANNELS[-1], dilation) for dilation in DILATIONS))
        self.up = nn.ModuleList(_convolution(below + skip, skip) for below, skip in pairwise(CHANNELS[::-1]))
        self.pred = nn.Conv2d(CHANNELS[0], 4, 3, padding=1)
        nn.init.normal_(self.pred.weight, std=0.01)  # begins near what it is told

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """As any network."""
        unknown = (trimap == 0.5).to(image.dtype)
        near = propagation.propagated(image, trimap).clamp(0, 1) if self.begins_with == "propagated" else trimap
        seen = torch.cat([normalised(image, trimap), unknown, known_colours.colour_clues(image, trimap), near], dim=1)
        x = self.stem(pixel_unshuffle(seen, 2).contiguous(memory_format=torch.channels_last))  # quicker on a CPU
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
        return near + pixel_shuffle(self.pred(x), 2)


def _convolution(channels: int, out: int, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True))
