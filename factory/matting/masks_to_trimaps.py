"""From a mask, as any segmentation tool makes one, to a trimap: its edge and what is about it are unknown."""

from dataclasses import dataclass

import numpy as np

from factory.errors import UsageError
from factory.greenscreen.compositing import as_levels
from factory.matting.data.trimaps import banded_trimap
from factory.sample import Matte

SURE = 0.1  # how near to 0 or 1 a soft mask is sure: JPEGs and enlarged masks reach neither
LARGEST = 50  # per cent of a picture's longer side
FARTHEST = 16_384  # pixels: no picture is larger


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
    if not 0 <= width < (LARGEST if relative else FARTHEST):
        raise UsageError(f"--band {text} is no width: give pixels (12) or a share of the longer side (2%).")
    return Band(width, relative)


def trimap_of_mask(mask: Matte, band: float, sure: float = SURE) -> Matte:
    """(H, W) uint8 of 0, 128 and 255.

    mask: (H, W) uint8, binary or soft.  band: pixels; what lies nearer than that (Euclidean) to what is not surely
    inside, or not surely outside, is unknown.  sure: distance from 0 and 1 at which a soft mask counts as either.
    Beyond the picture an object goes on: its border makes nothing unknown.
    """
    inside, outside = mask >= 255 * (1 - sure), mask <= 255 * sure
    alpha = np.where(inside, np.float32(1), np.where(outside, np.float32(0), np.float32(0.5)))
    return as_levels(banded_trimap(alpha, band, band))
