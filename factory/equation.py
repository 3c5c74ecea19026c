"""The equation every stored sample promises to satisfy: I = αF + (1 − α)B, B the plate in its JSON.

It lives beside the writer and the verifier because it is part of the format: a reader can recompute it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from factory.sample import Matte, Picture, PlateCoefficients

TERMS = 6  # 1, u, v, u², uv, v² with u, v in −1..1 from the first to the last pixel centre


def constant_plate(colour: tuple[float, float, float]) -> PlateCoefficients:
    """Coefficients of a screen of one colour (8-bit levels)."""
    return tuple((float(c), 0.0, 0.0, 0.0, 0.0, 0.0) for c in colour)


@lru_cache(maxsize=8)
def plate_basis(height: int, width: int) -> NDArray[np.float32]:
    """(H, W, 6) values of the polynomial's terms at each pixel centre; read-only, because it is shared."""
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    basis = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1).astype(np.float32)
    basis.flags.writeable = False
    return basis


def plate_picture(plate: PlateCoefficients, height: int, width: int) -> NDArray[np.float32]:
    """(H, W, 3) clean screen in 8-bit levels (float, clipped to 0..255); read-only where it is of one colour."""
    terms = np.asarray(plate, np.float32)
    if not terms[:, 1:].any():
        return np.broadcast_to(np.clip(terms[:, 0], 0, 255), (height, width, 3))
    picture: NDArray[np.float32] = plate_basis(height, width) @ terms.T
    return np.clip(picture, 0, 255)


def residual(rgb: Picture, alpha: Matte, foreground: Picture, plate: PlateCoefficients) -> float:
    """95th percentile over pixels of max over channels of |I − αF − (1 − α)B|, in 8-bit levels."""
    background = plate_picture(plate, *rgb.shape[:2])
    a = alpha.astype(np.float32) / 255
    through = 1 - a
    worst = np.zeros_like(a)
    for c in range(3):  # plane by plane: more than twice as fast as over the last axis
        error = np.ascontiguousarray(rgb[..., c]) - a * foreground[..., c]
        error -= through * background[..., c]
        np.maximum(worst, np.abs(error, out=error), out=worst)
    return float(np.percentile(worst, 95))
