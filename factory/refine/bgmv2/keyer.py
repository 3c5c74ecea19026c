"""BackgroundMattingV2 as a backend of GreenPost (the paper's Eq. 9): the picture against its plate, α out.

Its foreground is not taken: colours are unmixed with the plate like those of the other backend, for what is stored has
to satisfy I = αF + (1 − α)B.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from factory.refine.bgmv2.checkpoint import load, recognised
from factory.refine.bgmv2.network import BackgroundMatting
from factory.refine.known_background import Keyer, Told

Floats = NDArray[np.float32]


class BackgroundMattingKeyer:
    """One network on one device. A mask it needs none."""

    def __init__(self, network: BackgroundMatting, device: str) -> None:
        self._network = network
        self._device = device

    def __call__(self, picture: Floats, plate: Floats, coarse: Floats) -> Told:
        """α of one picture."""
        del coarse
        # On GPUs: products of 10 bits would be seen in 8-bit α, and the quickest algorithms are not the same each time.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            alpha = self._network(self._as_tensor(picture), self._as_tensor(plate))
        return Told(alpha[0, 0].cpu().numpy())

    def _as_tensor(self, picture: Floats) -> Tensor:
        return torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).to(self._device)


class BackgroundMattingV2:
    """The kind of keyer that `greenpost.backend: bgmv2` names."""

    def check(self, weights: Path) -> None:
        """Raises UsageError where the file has not the names and shapes of a published network."""
        recognised(weights)

    def load(self, weights: Path, device: str) -> Keyer:
        """In float32."""
        return BackgroundMattingKeyer(load(weights, device), device)


BGMV2 = BackgroundMattingV2()
