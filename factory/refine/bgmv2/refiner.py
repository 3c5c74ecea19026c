"""The refiner: two convolutions at half size and two at full size over what the base network only guesses.

The published code crops patches of 4x4 pixels and refines those that are chosen. Here the whole picture is refined and
what is not chosen keeps the base's values: the same numbers, with one way through the convolutions. The padding is that
of the crops: zeros around the picture and convolutions without padding of their own.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, relu

PATCH = 4  # pixels of a patch's side: what is chosen is chosen by patches

Kernel: TypeAlias = Literal[1, 3]

Choice: TypeAlias = Callable[[Tensor], Tensor]
"""Which patches to refine, from the error that the base expects in each: (B, 1, H/4, W/4) in 0..1 to booleans."""


def everywhere(error: Tensor) -> Tensor:
    """All patches ("full")."""
    return torch.ones_like(error, dtype=torch.bool)


def above(threshold: float) -> Choice:
    """Those with a larger error ("thresholding")."""
    return lambda error: error > threshold


def worst(pixels: int) -> Choice:
    """As many as these pixels fill, of those with an error the ones with the largest ("sampling").

    There may be more of them than the picture has patches, where the published code stops.
    """

    def choice(error: Tensor) -> Tensor:
        flat = error.flatten(1)
        patches = min(pixels // PATCH**2, flat.shape[1])
        chosen = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, flat.topk(patches).indices, value=True)
        return chosen.view_as(error) & (error > 0)

    return choice


class Refiner(nn.Module):
    """α and the foreground's residual at full size."""

    def __init__(self, kernel: Kernel) -> None:
        """kernel: side of the convolutions; 3 as published, 1 sees no neighbours and is quicker."""
        super().__init__()
        self.conv1 = nn.Conv2d(42, 24, kernel, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.conv2 = nn.Conv2d(24, 16, kernel, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(22, 12, kernel, bias=False)
        self.bn3 = nn.BatchNorm2d(12)
        self.conv4 = nn.Conv2d(12, 4, kernel)
        self.rim = kernel // 2  # pixels by which a convolution shrinks each side

    def forward(self, both: Tensor, coarse: Tensor, hidden: Tensor, chosen: Tensor) -> Tensor:
        """Refine what is chosen.

        both: (B, 6, H, W) picture and plate, H and W divisible by 4.  coarse: (B, 4, h, w) α and residual of the base.
        hidden: (B, 32, h, w).  chosen: (B, 1, H/4, W/4) booleans.  Returns (B, 4, H, W) α and residual, not clamped.
        """
        full, half = both.shape[-2:], [side // 2 for side in both.shape[-2:]]
        x = torch.cat([_resized(torch.cat([hidden, coarse], dim=1), half), _resized(both, half)], dim=1)
        x = _framed(x, 3 * self.rim)  # two for the convolutions here; the third, doubled, for the two at full size
        x = relu(self.bn1(self.conv1(x)))
        x = relu(self.bn2(self.conv2(x)))
        x = torch.cat([interpolate(x, scale_factor=2, mode="nearest"), _framed(both, 2 * self.rim)], dim=1)
        x = relu(self.bn3(self.conv3(x)))
        refined: Tensor = self.conv4(x)
        return torch.where(interpolate(chosen.float(), full, mode="nearest") > 0, refined, _resized(coarse, full))


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    return interpolate(x, list(size), mode="bilinear")


def _framed(x: Tensor, width: int) -> Tensor:
    return pad(x, [width] * 4)
