"""Separating two colour clouds: for each place the one linear functional of colour that tells α best.

At a place the screen is a point B (the plate) and the foreground a cloud of mean μ and covariance Σ, both read from the
opaque pixels around it. For I = αF + (1 − α)B every functional w with w·(B − μ) = 1 estimates α = w·(B − I), off by
α·w·(μ − F); the one that is off least is Fisher's w ∝ Σ⁻¹(B − μ). It finds by itself what keyers are tuned for by hand:
it looks along the colours in which this object, here, differs from this screen and does not vary in itself.
Fields are computed at a low resolution, for they are smooth, and applied to the pixels at full resolution.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer.screen import dot

Floats = NDArray[np.float32]

SCALES = ((2.0, 1.0), (6.0, 0.1))  # σ in low-resolution pixels, and weight, at which opaque colours are gathered …
FAR = (24.0, 0.01)  # … and where none of these finds any
PRIOR_GREY = 0.5  # mean of a foreground of which nothing is known
PRIOR_SPREAD = 0.07  # σ of a foreground's chroma of which nothing is known, about grey; 0.2: MSE × 1.1, pure and h264
PRIOR_LIGHT = 0.6  # … and of its light: a functional that knows nothing does not look at light; 0.1: MSE × 1.1, h264
SHADE = 0.06  # σ by which an object's colours are brighter or darker as a whole; 0: Grad × 1.07, pure
CAMERA = 0.015  # σ that colours have at the least: four levels
SAME = np.array([1, 0, 0, 1, 0, 1], np.float32)  # the identity; the matrix of ones has 1 in all six entries
# Where nothing is known these divide, and only keep it from being by 0.
NOTHING, NOTHING_GATHERED = 1e-6, 1e-9  # weight of samples in a pixel, and of those gathered about it
BLACK = 1e-3  # light of a mean colour
SINGULAR = 1e-12  # length of a functional
NEAREST = 0.06  # least effective distance of foreground and screen, 0..1: nearer, noise would be blown up 16 times


class Clouds(NamedTuple):
    """The foreground's colours about each low-resolution pixel: mean (h, w, 3), six covariances (h, w, 6)."""

    mean: Floats
    covariance: Floats


class Samples(NamedTuple):
    """Colours of the foreground: (h, w, 3) in 0..1, and (h, w) how much each of them counts."""

    colour: Floats
    weight: Floats


def sampled(picture: Floats, weight: Floats, size: tuple[int, int]) -> Samples:
    """A picture's colours at a size (width, height). picture: (H, W, 3) in 0..1.  weight: (H, W) in 0..1."""
    mass = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), np.float32)
    total = cv2.resize(picture * weight[..., None], size, interpolation=cv2.INTER_AREA)
    return Samples(np.asarray(total / np.maximum(mass, NOTHING)[..., None], np.float32), mass)


def gathered(samples: Samples, scale: float = 1.0) -> Floats:
    """(h, w, 10) what the samples around each place sum up to: weighted colours, their products, and the weight.

    scale: of the samples' pixels to those at low resolution; the sums are over equal parts of the picture.
    """
    return _at_all_scales(_moments(*samples), scale)


def foreground_clouds(sums: Floats, light: float, doubt: float) -> Clouds:
    """Mean and covariance of the colours around each place, drawn to a grey of any light where there are none.

    sums: of `gathered`.  light: σ by which foregrounds vary in light beyond what the samples show.
    doubt: gathered weight at which the samples count as much as the prior.
    """
    known = sums[..., 9]
    average = sums[..., :9] / np.maximum(known, NOTHING_GATHERED)[..., None]
    trust = (known / (known + np.float32(doubt)))[..., None]
    seen = np.ascontiguousarray(average[..., :3], np.float32)
    prior = PRIOR_SPREAD**2 * SAME + np.float32(PRIOR_LIGHT**2)
    spread = trust * (average[..., 3:] - _products(seen)) + (1 - trust) * prior
    mean = np.asarray(PRIOR_GREY + trust * (seen - PRIOR_GREY), np.float32)
    shade = SHADE * mean / (np.sqrt(dot(mean, mean) / 3) + np.float32(BLACK))[..., None]
    spread += CAMERA**2 * SAME + np.float32(light**2) + _products(np.asarray(shade, np.float32))
    return Clouds(mean, np.asarray(spread, np.float32))


def _moments(colour: Floats, weight: Floats) -> Floats:
    """(h, w, 10) weighted: the colours, their products, and the weight itself."""
    return np.asarray(np.dstack([colour, _products(colour), np.ones_like(weight)]) * weight[..., None], np.float32)


def _products(colour: Floats) -> Floats:
    """(h, w, 6) of channels: rr, rg, rb, gg, gb, bb."""
    r, g, b = cv2.split(colour)
    return np.asarray(cv2.merge([r * r, r * g, r * b, g * g, g * b, b * b]), np.float32)


def functional(clouds: Clouds, plate: Floats) -> Floats:
    """(h, w, 4): the functional w of each place and the offset w·B, so that α = offset − w·I.

    plate: (h, w, 3) in 0..1.
    """
    difference = plate - clouds.mean
    xx, xy, xz, yy, yz, zz = cv2.split(clouds.covariance)
    x, y, z = cv2.split(difference)
    # Σ⁻¹d up to its scale, by cofactors; the scale follows from w·d = 1.
    w = cv2.merge([
        (yy * zz - yz * yz) * x + (xz * yz - xy * zz) * y + (xy * yz - xz * yy) * z,
        (xz * yz - xy * zz) * x + (xx * zz - xz * xz) * y + (xy * xz - xx * yz) * z,
        (xy * yz - xz * yy) * x + (xy * xz - xx * yz) * y + (xx * yy - xy * xy) * z,
    ])  # fmt: skip
    length = dot(w, difference)
    # A foreground of the screen's own colour cannot be told from it: the floor keeps w from growing without limit.
    least = np.sqrt(dot(w, w)) * np.float32(NEAREST)
    unit = np.asarray(w / np.maximum(length, np.maximum(least, SINGULAR))[..., None], np.float32)
    return np.dstack([unit, dot(unit, plate)])


def deviation(weights: Floats, clouds: Clouds) -> Floats:
    """(h, w) standard deviation of a functional over the foreground's colours: √(wᵀΣw).

    weights: (h, w, 3), or (3,) for the same functional everywhere.
    """
    xx, xy, xz, yy, yz, zz = cv2.split(clouds.covariance)
    x, y, z = weights[..., 0], weights[..., 1], weights[..., 2]
    variance = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + xz * x * z + yz * y * z)
    return np.asarray(np.sqrt(np.maximum(variance, 0)), np.float32)


def applied(field: Floats, picture: Floats) -> Floats:
    """α = w·B − w·I at the picture's size; not clipped. field: (h, w, 4). Returns (H, W)."""
    size = picture.shape[1::-1]
    *weights, offset = (cv2.resize(f, size, interpolation=cv2.INTER_LINEAR) for f in cv2.split(field))
    for weight, channel in zip(weights, cv2.split(picture), strict=True):
        cv2.multiply(weight, channel, dst=channel)
        cv2.subtract(offset, channel, dst=offset)
    return np.asarray(offset, np.float32)


def _at_all_scales(moments: Floats, scale: float) -> Floats:
    """Weighted sums at all scales, the nearest with the most weight."""
    height, width = moments.shape[:2]
    padded = np.pad(moments, ((0, -height % 8), (0, -width % 8), (0, 0)))
    size = padded.shape[1], padded.shape[0]
    (near, heavy), (middle, light) = SCALES
    total = heavy * cv2.GaussianBlur(padded, (0, 0), near * scale)
    for factor, sigma, weight in ((2, middle, light), (8, *FAR)):
        small = cv2.resize(padded, (size[0] // factor, size[1] // factor), interpolation=cv2.INTER_AREA)
        total += weight * cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma * scale / factor), size)
    return np.asarray(total[:height, :width], np.float32)
