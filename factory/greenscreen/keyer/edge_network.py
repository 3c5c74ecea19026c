"""The networks that correct α: five convolutions at half of the picture's size, of 36,000 and 49,000 weights.

Trained by benchmarks/learn_edges.py on objects that this project paints and on free renderings, behind screens of many
colours: `half` for such as are filmed and coded, at many strengths, `drawn` for such as are of one colour.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Layers: TypeAlias = Sequence[tuple[Tensor, Tensor]]  # kernel (out, in, 3, 3) and bias (out,) of each convolution

FOLDER = Path(__file__).parent


def corrections(tiles: NDArray[np.float32], *, half: bool) -> NDArray[np.float32]:
    """What is to be added to α inside each tile. (N, C, H, W) to (N, H − 2·REACH, W − 2·REACH), see edges.py.

    half: whether chroma has half of luma's resolution; else the screen is drawn.
    """
    with torch.inference_mode():
        return np.asarray(network(torch.from_numpy(tiles), _layers(half)).numpy(), np.float32)


def network(known: Tensor, layers: Layers) -> Tensor:
    """The same for tensors. H and W must be even: the network works on blocks of 2 × 2 pixels, as chroma does."""
    hidden = functional.pixel_unshuffle(known, 2).contiguous(memory_format=torch.channels_last)  # a third faster
    for kernel, bias in layers[:-1]:
        hidden = functional.relu(functional.conv2d(hidden, kernel, bias))
    return functional.pixel_shuffle(functional.conv2d(hidden, *layers[-1]), 2)[:, 0]


@cache
def _layers(half: bool) -> Layers:
    with np.load(FOLDER / ("edges_half.npz" if half else "edges_drawn.npz")) as file:
        count = len(file.files) // 2
        arrays = [file[f"{name}_{i}"].astype(np.float32) for i in range(count) for name in ("kernel", "bias")]
    tensors = [torch.from_numpy(array) for array in arrays]
    return list(zip(tensors[::2], tensors[1::2], strict=True))
