"""BackgroundMattingV2 (Lin et al., CVPR 2021): α of a picture whose clean background is known.

    6 channels ─ backbone ─ ASPP ─ decoder ─→ α, foreground − picture, expected error, 32 hidden     the base, shrunk
                                                 └─ refiner ─→ α, foreground − picture               at full size

Written anew after the paper; names and shapes of the weights are those of the published checkpoints (MIT licence), and
it computes what they were trained to compute.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, relu

from factory.refine.bgmv2 import aspp
from factory.refine.bgmv2.decoder import Decoder
from factory.refine.bgmv2.mobilenetv2 import MobileNetV2
from factory.refine.bgmv2.refiner import PATCH, Choice, Kernel, Refiner, everywhere
from factory.refine.bgmv2.resnet import ResNet

Backbone: TypeAlias = MobileNetV2 | ResNet
BACKBONES: Mapping[str, Callable[[], Backbone]] = {
    "mobilenetv2": MobileNetV2,
    "resnet50": lambda: ResNet(third=6),
    "resnet101": lambda: ResNet(third=23),
}

SCALES = (1 / 8, 1 / 4, 1 / 2)  # of the base before a refiner, finest last
# Pixels of the shorter side that the base must see: its authors shrink HD to a quarter and 4K to an eighth, which are
# 270, and trained it on crops of 256 to 512. At a quarter it would see 128 of a generated picture of 512.
LEAST_SIDE = 256


class Guess(NamedTuple):
    """What the base tells, (B, C, h, w) each. All but `residual` are at least 0; α and error at most 1."""

    alpha: Tensor  # C = 1
    residual: Tensor  # C = 3, foreground − picture
    error: Tensor  # C = 1, what |α − true α| it expects
    hidden: Tensor  # C = 32, for the refiner


class Refined(NamedTuple):
    """Everything that is known after the refiner. α and colours in 0..1."""

    alpha: Tensor  # (B, 1, H, W)
    foreground: Tensor  # (B, 3, H, W)
    guess: Guess  # the base's
    chosen: Tensor  # (B, 1, H/4, W/4) booleans, the patches that were refined


class BackgroundMatting(nn.Module):
    """The network in evaluation mode."""

    def __init__(self, backbone: str, kernel: Kernel | None) -> None:
        """backbone: of BACKBONES.  kernel: of the refiner; None where the checkpoint is of the base alone."""
        super().__init__()
        self.backbone = BACKBONES[backbone]()
        self.aspp = aspp.ASPP(self.backbone.channels)
        self.decoder = Decoder(aspp.OUT, self.backbone.skips)
        self.refiner = None if kernel is None else Refiner(kernel)
        self.eval()

    def forward(self, picture: Tensor, plate: Tensor) -> Tensor:
        """α (B, 1, H, W) in 0..1 of pictures of any size.

        picture, plate: (B, 3, H, W) gamma-encoded RGB in 0..1, as they are: no mean is taken off.
        Pictures whose shorter side is under 512 go through the base whole, for the refiner needs it shrunk; larger ones
        are shrunk for the base and refined everywhere.
        """
        scale = scale_for(*picture.shape[-2:])
        if self.refiner is None or scale == 1:
            return self.guess(picture, plate).alpha
        height, width = picture.shape[-2:]
        wider = [0, -width % PATCH, 0, -height % PATCH]
        picture, plate = (pad(x, wider, mode="replicate") for x in (picture, plate))
        return self.refine(picture, plate, scale, everywhere).alpha[..., :height, :width]

    def guess(self, picture: Tensor, plate: Tensor) -> Guess:
        """The base alone, at the size of the pictures."""
        x, *skips = self.backbone(torch.cat([picture, plate], dim=1))
        alpha, residual, error, hidden = torch.split(self.decoder(self.aspp(x), skips), [1, 3, 1, 32], dim=1)
        return Guess(alpha.clamp(0, 1), residual, error.clamp(0, 1), relu(hidden))

    def refine(self, picture: Tensor, plate: Tensor, scale: float, choice: Choice) -> Refined:
        """The base on shrunk pictures, then the refiner on the patches of 4x4 pixels that are chosen.

        scale: of the base, at most 1/2.  H and W must be divisible by 4.  The network must have a refiner.
        """
        assert self.refiner is not None
        both = torch.cat([picture, plate], dim=1)
        small = interpolate(both, scale_factor=scale, mode="bilinear", recompute_scale_factor=True)
        guess = self.guess(*torch.split(small, 3, dim=1))
        patches = [side // PATCH for side in picture.shape[-2:]]
        chosen = choice(interpolate(guess.error, patches, mode="bilinear"))
        refined = self.refiner(both, torch.cat([guess.alpha, guess.residual], dim=1), guess.hidden, chosen)
        alpha, residual = torch.split(refined, [1, 3], dim=1)
        return Refined(alpha.clamp(0, 1), (picture + residual).clamp(0, 1), guess, chosen)


def scale_for(height: int, width: int) -> float:
    """By how much pictures are shrunk for the base: the most of SCALES that leaves it enough to see, else 1."""
    return next((scale for scale in SCALES if min(height, width) * scale >= LEAST_SIDE), 1.0)
