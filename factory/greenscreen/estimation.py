"""The foreground of a photograph whose matte is known: estimated, or computed where its background is known too."""

from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.resizing import size_within
from factory.greenscreen.unmixing import spread, straight
from factory.sample import Matte, Picture

Floats = NDArray[np.float32]

_NUMBA = Lock()  # numba's simplest threading layer ends the process when two threads of ours enter it at once


def estimated_foreground(picture: Picture, alpha: Matte, longest: int) -> tuple[Picture, Matte]:
    """Straight foreground colour by multilevel estimation (Germer et al. 2020), and the matte that belongs to it.

    picture: (H, W, 3).  alpha: (H, W).  longest: pixels; a longer side is shrunk to it first. Averaging I and α
    over the same areas keeps I = αF + (1 − α)B exact, with F averaged by coverage: thin strands lose nothing but the
    differences of colour inside one new pixel.
    """
    size = size_within(alpha.shape, longest)
    i, a = _averaged(picture, size), _averaged(alpha, size)
    return as_levels(_multilevel(i, a)), as_levels(a)


def unmixed_foreground(picture: Picture, alpha: Matte, background: Picture, longest: int) -> tuple[Picture, Matte]:
    """Exact straight foreground F = (I − (1 − α)B) / α, and its matte; colour is filled in where α is under 2 %.

    picture, background: (H, W, 3).  alpha: (H, W).  longest: as for `estimated_foreground`; I, α and (1 − α)B are
    averaged, which keeps αF exact.
    """
    size = size_within(alpha.shape, longest)
    i, a = _averaged(picture, size), _averaged(alpha, size)
    behind = np.dstack([_averaged_product(255 - alpha, background[..., c], size) for c in range(3)])
    return as_levels(spread(straight(i - behind, a), a)), as_levels(a)


def _multilevel(picture: Floats, alpha: Floats) -> Floats:
    """PyMatting's estimate, on one thread. Its relaxation runs in one fixed order; only its resizing is parallel.

    Of a single pixel it has none: there is nothing to tell its foreground by.
    """
    if alpha.size == 1:
        return picture
    import numba  # noqa: PLC0415  (half a second, and compiled on a machine's first use)
    from pymatting import estimate_foreground_ml  # noqa: PLC0415

    with _NUMBA:
        numba.set_num_threads(1)
        return np.asarray(estimate_foreground_ml(picture, alpha), np.float32)


def _averaged(levels: NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    """Area average as float32 in 0..1, one channel after the other: a large picture is never whole in floats."""
    if size == (levels.shape[1], levels.shape[0]):
        return as_unit(levels)
    shrunk = [cv2.resize(c.astype(np.float32), size, interpolation=cv2.INTER_AREA) / 255 for c in cv2.split(levels)]
    return np.asarray(shrunk[0] if levels.ndim == 2 else np.dstack(shrunk), np.float32)


def _averaged_product(one: NDArray[np.uint8], other: NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    """Area average of the product of two channels, in 0..1."""
    product = np.asarray(np.multiply(one, other, dtype=np.float32) / (255 * 255), np.float32)
    if size == (one.shape[1], one.shape[0]):
        return product
    return np.asarray(cv2.resize(product, size, interpolation=cv2.INTER_AREA), np.float32)
