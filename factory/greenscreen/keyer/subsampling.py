"""Telling that a picture's chroma has half of its luma's resolution (4:2:0)."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)
ROWS = 192  # rows that are looked at
STEEPEST = 0.98  # quantile of a picture's first differences from which they are its edges
FLAT = 1e-6  # difference that only keeps an even picture from being 0 by 0
SMOOTHER = 0.7  # roughness of chroma over luma's, from which chroma has luma's resolution


def is_subsampled(picture: Floats) -> bool:
    """Whether colour is blurred against light: at edges its fourth differences are small beside its first ones."""
    rows = np.ascontiguousarray(picture[:: max(1, len(picture) // ROWS)])
    luma = np.asarray(cv2.transform(rows, LUMA), np.float32)
    chroma = sum(_roughness(rows[..., c] - luma) for c in range(3)) / 3
    return bool(chroma < SMOOTHER * _roughness(luma))


def _roughness(channel: Floats) -> float:
    fourth = np.abs(
        channel[:, :-4] - 4 * channel[:, 1:-3] + 6 * channel[:, 2:-2] - 4 * channel[:, 3:-1] + channel[:, 4:]
    )
    first = np.abs(channel[:, 3:-1] - channel[:, 1:-3])
    if first.size == 0:
        return 0.0
    edges = first >= np.quantile(first, STEEPEST)
    return float(fourth[edges].mean() / (first[edges].mean() + FLAT))
