"""What every matting network is, whatever it is made of."""

import torch
from torch import Tensor, nn

from factory.matting.networks.colours import IMAGENET, Colours


class MattingNetwork(nn.Module):
    """Picture and trimap in, α out. Pictures are normalised inside."""

    multiple: int
    """Pixels that H and W must be multiples of."""

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """α of a batch.

        image: (N, 3, H, W) float32 sRGB in 0..1.  trimap: (N, 1, H, W) float32, exactly 0, 0.5 or 1.
        Returns (N, 1, H, W) float32, not clamped: it may leave 0..1 a little.
        """
        raise NotImplementedError


def normalised(image: Tensor, trimap: Tensor, colours: Colours = IMAGENET) -> Tensor:
    """(N, 4, H, W): the picture less a mean, over a deviation, and the trimap as it is."""
    shift, scale = (image.new_tensor(values)[:, None, None] for values in colours)
    return torch.cat([(image - shift) / scale, trimap], dim=1)
