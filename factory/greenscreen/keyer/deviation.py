"""How far α may be off: the error that is to be expected of it, pixel by pixel.

What the fine pass was told leaves something open of every pixel, and so does what it made of it: by how much it changed
α, by how much the composite misses the picture. None of these is an error by itself; how large an error goes with them
is told by a small regression, of each pixel by itself, which benchmarks/learn_deviation.py fits to scenes whose α is
known.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer import refinement
from factory.greenscreen.keyer.refinement import scaled

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Layers: TypeAlias = list[tuple[Floats, Floats]]  # weights (in, out) and bias (out,)

WEIGHTS = Path(__file__).with_name("deviation.npz")
CLUES = refinement.CLUES + 4
AT_ONCE = 8192  # pixels: what is made of them fits into a processor's cache
HALF_A_LEVEL = 0.5 / 255  # the least error: what is expected to be smaller is none


def clues_of_error(known: Sequence[Floats], before: Floats, alpha: Floats, missed: Floats) -> list[Floats]:
    """CLUES fields (H, W): what the fine pass was told, and what came of it.

    known: `refinement.clues_of`.  before, alpha: (H, W) without and with the fine pass.  missed: (H, W) in 0..1, by how
    much the composite misses the picture.
    """
    return [*known, *map(scaled, (alpha, 1 - alpha, alpha - before, missed))]


def expected_error(clues: Sequence[Floats], where: Mask) -> Floats:
    """(H, W) the |error| that α is expected to have, in 0..1: in nine of ten pixels it has no more than twice that.

    It is 0 where nothing is open.  clues: see `clues_of_error`.  where: (H, W) what is open.
    """
    error, there = np.zeros(where.size, np.float32), np.flatnonzero(where)  # by number: ten times as fast as by mask
    for first in range(0, len(there), AT_ONCE):
        some = there[first : first + AT_ONCE]
        error[some] = regression(np.stack([clue.ravel()[some] for clue in clues], axis=-1), _layers())
    return error.reshape(where.shape)


def regression(clues: Floats, layers: Layers) -> Floats:
    """(N,) expected |error| in 0..1 of pixels with these clues (N, CLUES)."""
    x = clues
    for weights, bias in layers[:-1]:
        x = np.maximum(x @ weights + bias, 0)
    log_of_twice = (x @ layers[-1][0] + layers[-1][1])[:, 0]
    error = (np.exp(np.minimum(log_of_twice, 0)) - HALF_A_LEVEL) / 2
    return np.asarray(np.where(error < HALF_A_LEVEL, 0, error), np.float32)


@cache
def _layers() -> Layers:
    with np.load(WEIGHTS) as file:
        return [(file[f"weights_{i}"], file[f"bias_{i}"]) for i in range(len(file.files) // 2)]
