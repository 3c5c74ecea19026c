"""Chroma of half resolution (4:2:0): telling that a picture has it, and giving α the edges that only luma kept."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)
ROWS = 192  # rows that are looked at
SMOOTHER = 0.7  # roughness of chroma over luma's, from which chroma has luma's resolution
RADIUS = 2  # pixels of the window in which α is a line of luma
BLUR = 1.0  # σ in pixels of what half resolution does to chroma
FLAT = 0.01  # σ of luma (0..1) under which it has nothing to say
SHARPEN = 1.0  # of what the blur took, where luma cannot help


def is_subsampled(picture: Floats) -> bool:
    """Whether colour is blurred against light: at edges its fourth differences are small beside its first ones."""
    rows = np.ascontiguousarray(picture[:: max(1, len(picture) // ROWS)])
    luma = np.asarray(cv2.transform(rows, LUMA), np.float32)
    chroma = sum(_roughness(rows[..., c] - luma) for c in range(3)) / 3
    return bool(chroma < SMOOTHER * _roughness(luma))


def with_luma_edges(alpha: Floats, picture: Floats) -> Floats:
    """α with the edges of full resolution.

    In a small window α is about a line of luma (He et al.'s guided filter). The line is fitted to luma blurred as
    chroma is, and then read at the sharp luma, in so far as it fits; elsewhere only the missing detail is added.
    alpha: (H, W), may lie outside 0..1.  picture: (H, W, 3).
    """
    window = (2 * RADIUS + 1, 2 * RADIUS + 1)
    alpha = alpha + SHARPEN * (alpha - cv2.GaussianBlur(alpha, (0, 0), BLUR))
    luma = cv2.transform(picture, LUMA)
    blurred = cv2.GaussianBlur(luma, (0, 0), BLUR)
    bounded = np.clip(alpha, 0, 1)
    mean_alpha, mean_luma = cv2.blur(bounded, window), cv2.blur(blurred, window)
    covariance = cv2.blur(bounded * blurred, window) - mean_alpha * mean_luma
    variance = cv2.blur(blurred * blurred, window) - mean_luma * mean_luma
    spread = cv2.blur(bounded * bounded, window) - mean_alpha * mean_alpha
    slope = covariance / (variance + np.float32(FLAT**2))
    fit = np.square(np.clip(covariance * slope / (spread + np.float32(1e-6)), 0, 1))
    weight = cv2.blur(fit, window)
    line = cv2.blur(slope * fit, window) * luma + cv2.blur((mean_alpha - slope * mean_luma) * fit, window)
    detailed = alpha + slope * (luma - blurred)
    return np.asarray(detailed + weight * (line / (weight + np.float32(1e-4)) - detailed), np.float32)


def _roughness(channel: Floats) -> float:
    fourth = np.abs(
        channel[:, :-4] - 4 * channel[:, 1:-3] + 6 * channel[:, 2:-2] - 4 * channel[:, 3:-1] + channel[:, 4:]
    )
    first = np.abs(channel[:, 3:-1] - channel[:, 1:-3])
    if first.size == 0:
        return 0.0
    edges = first >= np.quantile(first, 0.98)
    return float(fourth[edges].mean() / (first[edges].mean() + 1e-6))
