"""SAD, MSE, Grad and Conn, the four errors of a matte, as the evaluation code of Deep Image Matting computes them; and
dtSSD of clips.

Xu, Price, Cohen, Huang, "Deep Image Matting", CVPR 2017; Rhemann et al., "A perceptually motivated online benchmark
for image matting", CVPR 2009. Mattes are uint8 and are compared as such; each error is summed over a region only,
while gradients and connectivity look at the whole picture. Four points where ports of that code go astray:

* Grad stretches each whole matte to 0..1 first (MATLAB's `mat2gray`): by its own least and greatest value, not by 255.
* Conn's largest component is one of the object, never the background, is 4-connected, and is empty at a level where
  the two mattes share nothing.
* Conn compares α with tenths. Done in integers: 153/255 is 6/10, which float64 denies.
* MSE is the mean over the region, not over the picture.

Over the whole picture these are the same formulae with another region. The code of papers that report whole pictures
(AIM, P3M) has another kernel and unit for Grad: that number cannot be compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.sample import Matte, Picture

Region: TypeAlias = NDArray[np.bool_]  # (H, W)
Floats: TypeAlias = NDArray[np.float32]

UNITS = {
    "sad": "sum of |Δα|, in thousands",
    "mse": "mean of Δα² (many papers print it × 1000)",
    "grad": "sum of the squared difference of gradient magnitudes at σ = 1.4, in thousands",
    "conn": "sum of |Δφ|, φ = connectivity (step 0.1, θ = 0.15), in thousands",
}
SIGMA = 1.4
EPSILON = 1e-2  # where the Gaussian is cut off
LEVELS = 10  # of connectivity, above 0
THETA = 0.15  # how far α may exceed its connected level before it counts as cut off


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The errors of one matte, in the units of `UNITS`; 0 is perfect."""

    sad: float
    mse: float
    grad: float
    conn: float


def measure(prediction: Matte, target: Matte, region: Region) -> Errors:
    """All four errors of a prediction over a region.

    Nothing is composited here: what a trimap calls known has to be in the prediction already.
    Raises DataError("size") where shapes differ and DataError("empty_region") where there is nothing to measure.
    """
    if not prediction.shape == target.shape == region.shape:
        sizes = (f"{name} {a.shape[1]}×{a.shape[0]}" for name, a in (("prediction", prediction), ("truth", target)))
        raise DataError("size", f"sizes differ: {', '.join(sizes)}, region {region.shape[1]}×{region.shape[0]}")
    if not region.any():
        raise DataError("empty_region", "the region to measure in has no pixel")
    return Errors(
        sad=sad(prediction, target, region),
        mse=mse(prediction, target, region),
        grad=gradient_error(prediction, target, region),
        conn=connectivity_error(prediction, target, region),
    )


def whole(matte: Matte) -> Region:
    """Every pixel of the picture."""
    return np.ones(matte.shape, np.bool_)


def unknown(trimap: Matte) -> Region:
    """Where a trimap is exactly 128."""
    return np.asarray(trimap == 128, np.bool_)


def sad(prediction: Matte, target: Matte, region: Region) -> float:
    """Σ |α − α*| / 1000."""
    return float(_differences(prediction, target, region) @ np.arange(256)) / 255 / 1000


def mse(prediction: Matte, target: Matte, region: Region) -> float:
    """Σ (α − α*)² / number of pixels."""
    count = _differences(prediction, target, region)
    return float(count @ np.arange(256) ** 2) / 255**2 / float(count.sum())


def _differences(prediction: Matte, target: Matte, region: Region) -> NDArray[np.int64]:
    """How many pixels of the region differ by 0, 1, … 255 levels: integers, so that sums are exact."""
    return np.bincount(cv2.absdiff(prediction, target)[region], minlength=256)


def gradient_error(prediction: Matte, target: Matte, region: Region) -> float:
    """Σ (|∇α| − |∇α*|)² / 1000, with ∇ the first derivatives of a Gaussian, over mattes stretched to 0..1."""
    difference = (_gradient(_stretched(prediction)) - _gradient(_stretched(target)))[region]
    return float(np.square(difference).sum(dtype=np.float64)) / 1000


def _stretched(matte: Matte) -> Floats:
    """Least value to 0, greatest to 1. A matte of one value stays so, and has no gradient either way."""
    low, high = int(matte.min()), int(matte.max())
    return (matte.astype(np.float32) - low) / np.float32(max(high - low, 1))


def _gradient(alpha: Floats) -> Floats:
    """Gradient magnitude (H, W); the border's values go on beyond it.

    Not by cv2.magnitude: its last bit depends on where in memory its result lies, and equal mattes must give 0.
    """
    smooth, slope = _gaussian_kernels()
    x = cv2.sepFilter2D(alpha, cv2.CV_32F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    y = cv2.sepFilter2D(alpha, cv2.CV_32F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.sqrt(x * x + y * y), np.float32)


def _gaussian_kernels() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Gaussian and its derivative (9 taps), scaled so that the squares of their outer product sum to 1."""
    half = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * EPSILON)))
    x = np.arange(-half, half + 1)
    gaussian = np.exp(-(x**2) / (2 * SIGMA**2))
    derivative = x * gaussian
    return gaussian / np.linalg.norm(gaussian), derivative / np.linalg.norm(derivative)


def connectivity_error(prediction: Matte, target: Matte, region: Region) -> float:
    """Σ |φ(α, l) − φ(α*, l)| / 1000, l = the highest level at which a pixel hangs together with the common object."""
    level = _connected_level(prediction, target)[region].astype(np.int32) * 256
    phi = _connectivity().ravel()
    difference = phi[level + prediction[region]] - phi[level + target[region]]
    return float(np.abs(difference).sum(dtype=np.float64)) / 1000


def _connectivity() -> Floats:
    """φ = 1 − d·[d ≥ θ], d = α − l: (11 levels, 256 values of α)."""
    d = np.arange(256) / 255 - np.arange(LEVELS + 1)[:, None] / LEVELS
    return np.asarray(1 - d * (d >= THETA), np.float32)


def _connected_level(prediction: Matte, target: Matte) -> NDArray[np.uint8]:
    """(H, W), in tenths: how many levels a pixel stays in the largest component that both mattes have there.

    Works on the transposed pictures, so that of two components of one size the one is taken that is met first
    column by column, as MATLAB goes.
    """
    common = np.ascontiguousarray(np.minimum(prediction, target).T)
    level = np.zeros(common.shape, np.uint8)
    inside = np.ones(common.shape, np.bool_)
    for k in range(1, LEVELS + 1):
        inside &= _largest_component(common >= math.ceil(255 * k / LEVELS))
        if not inside.any():
            break
        level += inside
    return level.T


def _largest_component(mask: Region) -> Region:
    """The largest 4-connected component of a mask, the first one row by row among equals; empty if the mask is."""
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    if count == 1:  # label 0, the background, alone
        return np.zeros(mask.shape, np.bool_)
    areas = np.bincount(labels.ravel())  # several times faster than OpenCV's own statistics
    return np.asarray(labels == 1 + int(areas[1:].argmax()), np.bool_)


def dtssd(predictions: Sequence[Matte], targets: Sequence[Matte]) -> float:
    """How far a matte's changes from frame to frame are from the true ones, in 0..1; papers print it × 100.

    Per step of time √(mean over the picture of (Δα − Δα*)²), then the mean over the steps: Erofeev et al.,
    "Perceptually motivated benchmark for video matting", BMVC 2015, with the mean in place of their sum, as video
    matting has it since Robust Video Matting. An error that stays where it is costs nothing; one that moves with the
    object does.

    Raises DataError("length") for other than two sequences of one length of at least two, DataError("size").
    """
    if len(predictions) != len(targets) or len(targets) < 2:
        raise DataError("length", f"{len(predictions)} mattes and {len(targets)} true ones: give two each, or more")
    if len({matte.shape for matte in (*predictions, *targets)}) > 1:
        raise DataError("size", "the mattes of a clip differ in size")
    errors = [p.astype(np.int64) - t for p, t in zip(predictions, targets, strict=True)]
    return float(np.mean([np.sqrt(np.square(b - a).mean()) / 255 for a, b in pairwise(errors)]))


def foreground_error(prediction: Picture, target: Picture, alpha: Matte) -> float:
    """Mean of (F − F*)² over the channels and over the pixels of α* > 0, each as heavy as its α*; colours in 0..1.

    alpha: the true one. Where little of the object is seen, its colour matters little. 0 where nothing is seen.
    Raises DataError("size") where shapes differ.
    """
    if prediction.shape != target.shape:
        sizes = f"{prediction.shape[1]}×{prediction.shape[0]}, the truth {target.shape[1]}×{target.shape[0]}"
        raise DataError("size", f"the foreground is {sizes}")
    weight = int(alpha.sum(dtype=np.int64))
    squares = np.square(prediction.astype(np.int32) - target).sum(axis=2, dtype=np.int64)
    return float((squares * alpha).sum()) / (3 * 255**2 * weight) if weight else 0.0
