"""What a trimap tells of an unknown pixel's α by colour alone: object and background as they are known nearby."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

LEVELS = 5  # of halves: colours are looked for within some 2^LEVELS pixels
NEARER = 1 / 16  # what a level counts, against the next finer one
APART = 0.01  # squared distance of two colours below which they tell little
CLUES = 7


def colour_clues(image: Tensor, trimap: Tensor) -> Tensor:
    """(N, CLUES, H, W): the picture less the object's colour, less the background's, and α as these two give it.

    image: (N, 3, H, W) in 0..1, H and W multiples of 2^LEVELS.  trimap: (N, 1, H, W) of 0, 0.5 and 1.
    α is (I − B)·(F − B) / |F − B|², within −0.5..1.5; where no colour is known nearby, it is taken for black.
    """
    foreground, background = (_nearby(image, (trimap == known).to(image.dtype)) for known in (1, 0))
    apart = foreground - background
    along = ((image - background) * apart).sum(dim=1, keepdim=True)
    alpha = along / (apart.square().sum(dim=1, keepdim=True) + APART)
    return torch.cat([image - foreground, image - background, alpha.clamp(-0.5, 1.5)], dim=1)


def _nearby(image: Tensor, there: Tensor) -> Tensor:
    """(N, 3, H, W): the mean colour of what is `there` (N, 1, H, W), nearer pixels counting far more."""
    parts = torch.cat([image * there, there], dim=1)
    gathered = torch.zeros_like(parts)
    for level in range(1, LEVELS + 1):
        parts = avg_pool2d(parts, 2)
        raised = interpolate(parts, size=image.shape[-2:], mode="bilinear", align_corners=False)
        gathered = gathered + NEARER**level * raised
    return gathered[:, :3] / (gathered[:, 3:] + 1e-9)
