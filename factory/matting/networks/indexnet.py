"""IndexNet Matting (Lu et al., ICCV 2019): where pooling looks is learned, and the decoder looks there again.

    picture, trimap ─ layer0 ─ layer1,2 ─ layer3 ─ layer4 ─ layer5,6 ─ layer7      at 1, 1/2, 1/4, 1/8, 1/16, 1/32
                       index0    index2    index3   index4     index6    dconv_pp
               α ─ pred ─ 0 ──── 1, 2 ────── 3 ────── 4 ────── 5, 6 ──────┘        decoder layers

The paper's downstream network of DiffuMatting: MobileNetV2 without strides, depthwise many-to-one indices with context
and nonlinearity, ASPP, decoder with 5x5 convolutions. Names and shapes of the weights are those of the published
checkpoint, and it computes what that was trained to compute. Written after the papers, not after the published code.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad, pixel_shuffle

from factory.matting.networks.network import MattingNetwork, normalised

FIRST = 32
STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""Expansion, channels and blocks of layer1 to layer7, as MobileNetV2 has them (Sandler et al., 2018)."""
POOLED = (0, 2, 3, 4, 6)  # layers after which resolution is halved
DECODER = {6: (320, 96), 5: (192, 64), 4: (128, 32), 3: (64, 24), 2: (48, 16), 1: (32, 32), 0: (64, 32)}
DILATIONS = (2, 4, 8)
BRANCH, CONTEXT = 256, 160  # channels of a branch of the ASPP, and of what it hands on


class IndexNet(MattingNetwork):
    """5.95 million weights. A training batch holds at least two crops: the ASPP's pooled branch is normalised, too."""

    multiple = 32

    def __init__(self) -> None:
        super().__init__()
        self.layer0 = _convolution(4, FIRST, 3, padding=1)
        widths = [FIRST, *(channels for _, channels, _ in STAGES)]
        for number, ((before, after), (expansion, _, blocks)) in enumerate(
            zip(pairwise(widths), STAGES, strict=True), start=1
        ):
            ins = [before] + [after] * (blocks - 1)
            self.add_module(f"layer{number}", nn.Sequential(*(InvertedResidual(i, after, expansion) for i in ins)))
        for number in POOLED:
            self.add_module(f"index{number}", IndexBlock(widths[number]))
        self.dconv_pp = ASPP(widths[-1])
        for number, (before, after) in DECODER.items():
            self.add_module(f"decoder_layer{number}", DecoderLayer(before, after))
        self.pred = nn.Sequential(
            _convolution(DECODER[0][1], 1, 5, padding=2), nn.Conv2d(1, 1, 5, padding=2, bias=False)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                size = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0, math.sqrt(2 / size))

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """α; trained without a bound, its values leave 0..1."""
        x = normalised(image, trimap)
        skips, indices = list[Tensor](), dict[int, Tensor]()
        for number in range(len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            if number in POOLED:
                where, indices[number] = self.get_submodule(f"index{number}")(x)
                x = where * x  # the skip has the weighted map, too
            skips.append(x)
            if number in POOLED:
                x = 4 * avg_pool2d(x, 2)
        x = self.dconv_pp(x)
        for number in DECODER:
            if number in POOLED:
                x = indices[number] * interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.get_submodule(f"decoder_layer{number}")(torch.cat([x, skips[number]], dim=1))
        alpha: Tensor = self.pred(x)
        return alpha


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; added to the input where the shapes allow it.

    The input is padded before it is widened, not after: at a border the filter sees what normalisation makes of zeros.
    """

    def __init__(self, channels: int, out: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        widen = list(_convolution(channels, wide, 1)) if expansion > 1 else []
        narrow = (nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.conv = nn.Sequential(*widen, *_convolution(wide, wide, 3, groups=wide), *narrow)
        self.is_residual = channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W)."""
        filtered: Tensor = self.conv(pad(x, (1, 1, 1, 1)))
        return x + filtered if self.is_residual else filtered


class IndexBlock(nn.Module):
    """What each pixel of a square of 2x2 counts, for pooling and for going back; told from all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for number in range(1, 5):  # one for each place in the square
            looked = _convolution(channels, channels, 4, stride=2, padding=1)
            self.add_module(f"indexnet{number}", nn.Sequential(*looked, nn.Conv2d(channels, channels, 1, bias=False)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) twice: the encoder's, which sum to 1 in each square, and the decoder's, each in 0..1."""
        told = torch.stack([self.get_submodule(f"indexnet{number}")(x) for number in range(1, 5)], dim=2)
        gates = told.sigmoid()
        shares = gates.softmax(dim=2)  # of the gates, as published
        return pixel_shuffle(shares.flatten(1, 2), 2), pixel_shuffle(gates.flatten(1, 2), 2)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al., 2017) with depthwise convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.aspp1 = Branch(_convolution(channels, BRANCH, 1))
        for number, dilation in enumerate(DILATIONS, start=2):
            spread = _convolution(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels)
            self.add_module(f"aspp{number}", Branch(nn.Sequential(*spread, *_convolution(channels, BRANCH, 1))))
        self.global_avg_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_convolution(channels, BRANCH, 1))
        self.bottleneck_conv = _convolution((len(DILATIONS) + 2) * BRANCH, CONTEXT, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, CONTEXT, H, W)."""
        seen = [self.get_submodule(f"aspp{number}")(x) for number in range(1, len(DILATIONS) + 2)]
        seen.append(self.global_avg_pool(x).expand(-1, -1, *x.shape[-2:]))
        out: Tensor = self.dropout(self.bottleneck_conv(torch.cat(seen, dim=1)))
        return out


class Branch(nn.Module):
    """One of the ASPP's, under its published name."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.atrous_conv = layers

    def forward(self, x: Tensor) -> Tensor:
        """As its layers."""
        out: Tensor = self.atrous_conv(x)
        return out


class DecoderLayer(nn.Module):
    """A convolution over what comes from below and the skip, under its published name."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.dconv = _convolution(channels, out, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W)."""
        out: Tensor = self.dconv(x)
        return out


def _convolution(
    channels: int, out: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(inplace=True),
    )
