"""The clean plate: what the camera would see of the screen if the object were not there."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.equation import TERMS, plate_basis
from factory.errors import DataError
from factory.greenscreen.kmeans import dominant_colours
from factory.greenscreen.morphology import eroded, square
from factory.greenscreen.sampling import evenly_chosen
from factory.sample import Matte, Picture, PlateCoefficients

Doubles: TypeAlias = NDArray[np.float64]

CLUSTERS = 3  # the object's stray pixels, the screen's dark side, the screen
BACKGROUND_BELOW = 0.05  # coarse mask under which a pixel may be sure background
MARGIN = 5  # pixels at 512 that sure background keeps from the object
ENOUGH = 16  # pixels from which a plate can be told, …
LEAST_PART = 200  # … or one in so many of the picture's, if that is more
EVEN = 3.0  # levels of spread up to which a screen counts as one colour
SIGMA_OF_MEDIAN = 1.4826  # a normal distribution's σ over the median of its absolute deviations
RIDGE = 1e-4  # against all terms but the constant: keeps the far side of a half-seen screen from bending away
WORTHWHILE = 0.8  # of a constant's spread that a curved plate must get below to be taken
FIRST_REACH = 48.0  # levels from K-Means' colour up to which a pixel may be screen in another light; 16 or 200 do too
LEAST_REACH = 8.0  # levels from the fitted plate that no screen pixel is dropped for: noise and rounding
STRAY = 4  # standard deviations from the fitted plate that are still the screen: all but one of 16,000 of normal noise
PIXELS_PER_TERM = 3  # under which a polynomial would follow single pixels
FIT_PIXELS = 4096  # some hundred for each coefficient
FIT_ROUNDS = 6  # 20 give the same mattes on the scenes of benchmarks/keyer.py


def scaled(pixels_at_512: float, shape: tuple[int, ...]) -> int:
    """A length given for a picture of 512 pixels, in pixels of this picture (its shorter side), at least 1."""
    return max(1, round(pixels_at_512 * min(shape[:2]) / 512))


def sure_background(coarse: Matte) -> NDArray[np.bool_]:
    """Where the coarse mask is under 5 %, at a distance from everything else and open to the picture's border."""
    background = coarse < BACKGROUND_BELOW * 255
    return open_to_border(eroded(background, square(scaled(MARGIN, coarse.shape))))


def open_to_border(background: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of the background that reach the picture's border; the others only if none does.

    What the object encloses may be a true hole or clear glass that a mask takes for one; only the colour can tell.
    """
    number, label = cv2.connectedComponents(background.astype(np.uint8), connectivity=4)
    is_open = np.zeros(number, np.bool_)
    for side in (label[0], label[-1], label[:, 0], label[:, -1]):
        is_open[side] = True
    is_open[0] = False  # label 0 is what is not background
    return np.asarray(is_open[label], np.bool_) if is_open.any() else background


def estimate_plate(picture: Picture, background: NDArray[np.bool_]) -> tuple[PlateCoefficients, float]:
    """The screen behind the object, from pixels that lie surely on it.

    The largest of K-Means' clusters says which pixels are screen; a constant is fitted to them and, if they spread by
    more than `EVEN` levels about it, a polynomial of 2nd order per channel, both by least squares that drop outliers
    round by round.

    picture: (H, W, 3) 8-bit.  background: (H, W).
    Returns the coefficients and the noise about the plate: its robust standard deviation in levels, of the noisiest
    channel.  Raises DataError("no_screen") if too little background is left.
    """
    known = int(np.count_nonzero(background))
    if known < max(ENOUGH, background.size // LEAST_PART):
        share = 100 * known / background.size
        raise DataError("no_screen", f"only {share:.1f} % of the picture lies surely on the screen: too little to key")
    where = evenly_chosen(np.flatnonzero(background), FIT_PIXELS)
    pixels = picture.reshape(-1, 3)[where]
    centre = dominant_colours(pixels, CLUSTERS)[0][0]
    basis = plate_basis(*picture.shape[:2]).reshape(-1, TERMS)[where].astype(np.float64)
    even, spread = _fit(pixels.astype(np.float64), basis[:, :1], centre)
    if spread > EVEN:
        curved, left = _fit(pixels.astype(np.float64), basis, even[0])
        if left < WORTHWHILE * spread:
            even, spread = curved, left
    coefficients = np.zeros((TERMS, 3))
    coefficients[: len(even)] = even
    return tuple(tuple(round(float(c), 4) for c in channel) for channel in coefficients.T), spread


def least_squares(basis: Doubles, values: Doubles, weight: Doubles | None = None) -> Doubles:
    """The plate's coefficients (T,) or (T, C) for which basis @ coefficients comes nearest to the values.

    basis: (N, T), constant term first.  values: (N,) or (N, C).  weight: (N,) how much each counts; None for alike.
    """
    weighted = basis if weight is None else basis * weight[:, None]
    mass = len(basis) if weight is None else weight.sum()
    ridge = RIDGE * mass * np.diag(np.arange(basis.shape[1]) > 0)
    return np.asarray(np.linalg.solve(weighted.T @ basis + ridge, weighted.T @ values), np.float64)


def _fit(pixels: Doubles, basis: Doubles, colour: Doubles) -> tuple[Doubles, float]:
    """Least squares on the pixels that agree with the last round's plate, starting from one colour.

    pixels: (N, 3) levels.  basis: (N, T).  Returns (T, 3) coefficients and the robust noise in levels.
    """
    terms = basis.shape[1]
    coefficients = np.zeros((terms, 3))
    coefficients[0] = colour
    reach = FIRST_REACH
    spread = 0.0
    _, worst = _errors(pixels, basis, coefficients)
    for _ in range(FIT_ROUNDS):
        agree = worst <= reach
        if np.count_nonzero(agree) < PIXELS_PER_TERM * terms:
            break
        coefficients = least_squares(basis[agree], pixels[agree])
        error, worst = _errors(pixels, basis, coefficients)
        spread = float(SIGMA_OF_MEDIAN * np.median(error[worst <= reach], axis=0).max(initial=0.0))
        reach = max(LEAST_REACH, STRAY * spread)
    return coefficients, spread


def _errors(pixels: Doubles, basis: Doubles, coefficients: Doubles) -> tuple[Doubles, Doubles]:
    """How far each pixel is from the plate, by channel (N, 3) and in its worst one (N,)."""
    error = np.abs(pixels - basis @ coefficients)
    return error, np.maximum(np.maximum(error[:, 0], error[:, 1]), error[:, 2])  # faster than over the last axis
