"""The network of the fine pass: a few convolutions at half of the picture's size.

Trained by benchmarks/learn_refinement.py.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from factory.greenscreen.keyer.refinement import CLUES, LAYERS

WEIGHTS = Path(__file__).with_name("refinement.safetensors")
CHANNELS = 32


class RefinementNetwork(nn.Module):
    """Clues (N, CLUES, H, W) → changes of α (N, H − 4·LAYERS, W − 4·LAYERS); H and W are even."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (4 * CLUES, *[CHANNELS] * (LAYERS - 1), 4)
        *hidden, last = (nn.Conv2d(a, b, 3) for a, b in pairwise(sizes))
        for start in last.parameters():
            nn.init.zeros_(start)
        self.hidden, self.last = nn.ModuleList(hidden), last

    def forward(self, clues: Tensor) -> Tensor:
        """It works on blocks of 2 × 2 pixels, as chroma does."""
        x = functional.pixel_unshuffle(clues, 2).contiguous(memory_format=torch.channels_last)
        for layer in self.hidden:
            x = functional.silu(layer(x))
        return functional.pixel_shuffle(self.last(x), 2)[:, 0]


def changes(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is to be added to α inside each tile. (N, CLUES, H, W) to (N, H − 2·REACH, W − 2·REACH)."""
    with torch.inference_mode():
        return np.asarray(_network()(torch.from_numpy(tiles)).numpy(), np.float32)


@cache
def _network() -> RefinementNetwork:
    from safetensors.torch import load_file  # noqa: PLC0415

    network = RefinementNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return network.eval()
