"""The network that sees shapes: what of a picture is object, where colours alone cannot tell.

A U-Net (Ronneberger et al. 2015) over the whole picture at low resolution, whose deepest cells see all of it: that a
leaf is part of a bouquet, a lens part of spectacles, a shadow part of nothing. It answers with α, with the deviation
that it expects of it, and with how much of the screen's colour the object has of its own.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from factory.greenscreen.keyer.clues import CLUES

CHANNELS = (24, 48, 96, 128, 128)  # of the levels, each of half the size of the one before
GROUPS = 8
MULTIPLE = 2 ** (len(CHANNELS) - 1)  # that a picture's sides must be of
SURE = 0.02  # distance from 0 and 1 that the first guess keeps, so that it can be turned over
DEVIATIONS = (-6.0, 0.0)  # range of the logarithm of a deviation
EXPECTED = -3.0  # the same before anything is learned: most pixels are easy
RARELY = -2.0  # logit of an object's own share of the screen's colour, before anything is learned


class Answers(NamedTuple):
    """(N, H, W) each."""

    logits: Tensor  # of α
    spread: Tensor  # logarithm of the deviation that α is expected to have
    own: Tensor  # logit of the object's dominance of the screen's channels ÷ the plate's: with mirrors, without spill


class ShapeNetwork(nn.Module):
    """Clues (N, CLUES, H, W) → Answers.

    H and W must be multiples of `MULTIPLE`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _block(before, own) for before, own in zip((CLUES, *CHANNELS), CHANNELS, strict=False)
        )
        self.up = nn.ModuleList(
            _block(below + own, own) for below, own in zip(CHANNELS[:0:-1], CHANNELS[-2::-1], strict=True)
        )
        self.whole = nn.Linear(2 * CHANNELS[-1], CHANNELS[-1])
        nn.init.zeros_(self.whole.weight)
        nn.init.zeros_(self.whole.bias)
        self.out = nn.Conv2d(CHANNELS[0], len(Answers._fields), 1)
        nn.init.zeros_(self.out.weight)
        self.out.bias = nn.Parameter(torch.tensor([0.0, EXPECTED, RARELY]))

    def forward(self, clues: Tensor) -> Answers:
        """The first guess is what the screen's dominance tells, the second of the clues; shapes correct it."""
        skips: list[Tensor] = []
        x = clues.contiguous(memory_format=torch.channels_last)  # half as slow
        for level, block in enumerate(self.down):
            x = block(functional.avg_pool2d(x, 2) if level else x)
            skips.append(x)
        # what kind of thing it is, metal or smoke, is told to every cell
        x = x + self.whole(torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))[..., None, None]
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))
        correction, spread, own = self.out(x).float().unbind(dim=1)
        guess = torch.logit(clues[:, 1].float().clamp(SURE, 1 - SURE))
        return Answers(guess + correction, spread.clamp(*DEVIATIONS), own)


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[Any] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.GroupNorm(GROUPS, after), nn.SiLU()]
    return nn.Sequential(*layers)
