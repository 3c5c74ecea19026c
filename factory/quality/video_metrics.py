"""MAD, MSE, Grad, Conn and dtSSD of whole frames, and errors of the foreground, as Robust Video Matting reports them.

Lin, Yang, Saleemi, Sengupta, "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022, section 5.1.
The measures are those of metrics.py over the whole frame; what differs is how they are written:

* MAD and MSE × 1000, Grad and Conn in thousands, dtSSD × 100.
* Grad stretches each frame's two mattes to 0..1, each by itself: an object that fades is not seen to.
* The first frame has no step of time and counts as 0 in the mean of dtSSD, so short clips look steadier.
* The foreground is measured where the true α > 0, each such pixel as heavy as any other.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.quality.metrics import connectivity_error, dtssd, gradient_error, mse, sad, whole
from factory.sample import Matte, Picture

VIDEO_UNITS = {
    "mad": "mean of |Δα| × 1000",
    "mse": "mean of Δα² × 1000",
    "grad": "sum of the squared difference of gradient magnitudes, in thousands",
    "conn": "sum of |Δφ|, φ = connectivity, in thousands",
    "dtssd": "√ of the mean of (Δα − Δα*)² from frame to frame × 100; the first frame counts as 0",
    "fgr_mad": "mean of |ΔF| over α* > 0 × 1000",
    "fgr_mse": "mean of ΔF² over α* > 0 × 1000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoErrors:
    """The errors of a frame, or their means, in the units of `VIDEO_UNITS`; NaN is what could not be measured."""

    mad: float
    mse: float
    grad: float
    conn: float
    dtssd: float
    fgr_mad: float
    fgr_mse: float

    @classmethod
    def mean(cls, errors: Iterable[Self]) -> Self:
        """Of each error the mean of what could be measured; NaN where nothing could."""
        table = list(errors)
        columns = {field.name: [getattr(each, field.name) for each in table] for field in fields(cls)}
        measured = {name: [value for value in column if not math.isnan(value)] for name, column in columns.items()}
        return cls(**{name: float(np.mean(column)) if column else math.nan for name, column in measured.items()})


class Frame(NamedTuple):
    """What a side has of a frame.  alpha: (H, W).  foreground: (H, W, 3), straight; None where there is none."""

    alpha: Matte
    foreground: Picture | None = None


def frame_errors(prediction: Frame, target: Frame, step: float) -> VideoErrors:
    """All errors of one frame.  step: its dtSSD, which takes the frame before; see `time_step`.

    Raises DataError("size") where shapes differ.
    """
    alpha, true = prediction.alpha, target.alpha
    shown = [each.shape[:2] for side in (prediction, target) for each in side if each is not None]
    if len(set(shown)) > 1:
        sizes = ", ".join(f"{width}×{height}" for height, width in dict.fromkeys(shown))
        raise DataError("size", f"prediction and truth, mattes and foregrounds, are not of one size: {sizes}")
    everywhere = whole(true)
    colour = _foreground_errors(prediction.foreground, target.foreground, true)
    return VideoErrors(
        mad=sad(alpha, true, everywhere) * 1e6 / true.size,
        mse=mse(alpha, true, everywhere) * 1e3,
        grad=gradient_error(alpha, true, everywhere),
        conn=connectivity_error(alpha.T, true.T, everywhere.T),  # of two largest components the first row by row
        dtssd=step,
        fgr_mad=colour[0],
        fgr_mse=colour[1],
    )


def time_step(before: tuple[Matte, Matte], now: tuple[Matte, Matte]) -> float:
    """The dtSSD of one step, × 100.  before, now: prediction and truth. Raises DataError("size")."""
    return 100 * dtssd((before[0], now[0]), (before[1], now[1]))


def _foreground_errors(prediction: Picture | None, target: Picture | None, alpha: Matte) -> tuple[float, float]:
    """MAD and MSE; NaN where a foreground is missing or nothing of the object is seen."""
    seen: NDArray[np.bool_] = alpha > 0
    if prediction is None or target is None or not seen.any():
        return math.nan, math.nan
    difference = (prediction[seen].astype(np.float64) - target[seen]) / 255
    return float(np.abs(difference).mean()) * 1e3, float(np.square(difference).mean()) * 1e3
