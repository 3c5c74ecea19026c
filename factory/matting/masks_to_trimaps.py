"""From a mask, as any segmentation tool makes one, to a trimap: its edge and what is about it are unknown."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import UsageError
from factory.sample import Matte

SURE = 0.1  # how near to 0 or 1 a soft mask is sure: JPEGs and enlarged masks reach neither
LARGEST = 50  # per cent of a picture's longer side


@dataclass(frozen=True, slots=True)
class Band:
    """How far from a mask's edge α is unknown, to either side, in pixels or in per cent of the longer side."""

    width: float
    relative: bool

    def pixels(self, shape: tuple[int, ...]) -> float:
        """In a picture of (H, W, …)."""
        return self.width / 100 * max(shape[:2]) if self.relative else self.width

    def __str__(self) -> str:
        return f"{self.width:g}%" if self.relative else f"{self.width:g}"


def band_of(text: str) -> Band:
    """From "12", pixels, or "2%", of the picture. Raises UsageError for what is no such width."""
    number = text.strip().removesuffix("%")
    relative = number != text.strip()
    try:
        width = float(number)
    except ValueError:
        width = np.nan
    if not 0 <= width < (LARGEST if relative else np.inf):
        raise UsageError(f"--band {text} is no width: give pixels (12) or a share of the longer side (2%).")
    return Band(width, relative)


def trimap_of_mask(mask: Matte, band: float, sure: float = SURE) -> Matte:
    """(H, W) uint8 of 0, 128 and 255.

    mask: (H, W) uint8, binary or soft.  band: pixels; what lies nearer than that (Euclidean) to what is not surely
    inside, or not surely outside, is unknown.  sure: distance from 0 and 1 at which a soft mask counts as either.
    Beyond the picture an object goes on: its border makes nothing unknown.
    """
    inside = _deeper(mask >= 255 * (1 - sure), band)
    outside = _deeper(mask <= 255 * sure, band)
    return np.where(inside, np.uint8(255), np.where(outside, np.uint8(0), np.uint8(128)))


def _deeper(region: NDArray[np.bool_], band: float) -> NDArray[np.bool_]:
    """What of a region is further than `band` from its edge."""
    if region.all():  # OpenCV has no distance to nothing
        return region
    depth = cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(depth > band, np.bool_)
