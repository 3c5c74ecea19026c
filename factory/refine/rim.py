"""The rim of an object is connected, and nothing else of a matte is fractional: the prior of LD-Portrait-20K.

Layer diffusion paints fine rims, and "significant errors in regions of absolute foreground or background". So what lies
between sure foreground and sure background is kept as it is, and what lies within one of them becomes 1 or 0. The paper
shows this in figures only; how it is told apart here is our own:

* Specks of 0 and 255 are no evidence: they belong to the doubtful part about them.
* A narrow part is kept if it touches both sides, and in the background if it lies beside one that does: it may be a
  hair that the matte has torn off.
* A wide part is a blotch, a ghost or haze, but what touches the object has swallowed a piece of its rim. Its opacity
  says which it is, and only what lies deeper in it than a rim is mended.

Lengths are given for pictures of 512 pixels and scale with the shorter side.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import UsageError
from factory.greenscreen.morphology import dilated, square
from factory.greenscreen.plates import scaled
from factory.sample import Matte

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

PASSES = 2  # a ghost in haze stands alone once the haze is gone; a third pass finds nothing more
BESIDE = 2  # pixels beside the kept rim in which values near 0 and 255 are its own tail
MORE_INSIDE = 0.4  # share of foreground about it that a wide, dense part must touch to be a blotch, not a ghost
HALF = 128  # haze is under this level: what is over it is a strand that stands in the haze, or a ghost of its own
BARELY = 64  # a blotch is over this level: what is under it is a gap of the object

SNAPPED = np.array([0, 255], np.uint8)  # sure background, sure foreground


@dataclass(frozen=True, slots=True, kw_only=True)
class RimSettings:
    """What counts as rim."""

    tolerance: int = 5  # levels beside 0 and 255 that mean 0 and 255, away from the rim
    speck: float = 4.0  # pixels at 512: pieces of 0 or 255 with less area than a square of this side are no evidence
    ring: float = 2.0  # pixels at 512 about a doubtful part that tell where it lies
    one_sided: float = 0.02  # share of that ring up to which a side is not touched
    strand: float = 6.0  # pixels at 512 from the rim up to which narrow parts in the background are torn-off strands
    width: float = 5.0  # pixels at 512: parts that hold a disc of this radius are wide
    depth: float = 3.0  # pixels at 512 that the rim may reach into a wide part
    faint: float = 0.4  # mean α up to which a wide part is haze …
    dense: float = 0.55  # … and from which on it is a blotch if it touches the foreground

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        if not 0 <= self.tolerance < HALF:
            raise UsageError(f"connectivity.rim.tolerance is {self.tolerance}: choose 0 to {HALF - 1} levels.")
        if not 0 <= self.one_sided < 0.5:
            raise UsageError(f"connectivity.rim.one_sided is {self.one_sided}: choose 0 to below 0.5.")


class Parts(NamedTuple):
    """The doubtful parts of a matte.

    place, part: (N,) of every doubtful pixel, its place in the flat picture and the number of its part.
    is_wide, inside, opacity, pixels: by number of a part (0 is none); `inside` is the share of foreground among the
    sure pixels about it, `opacity` its mean α.
    """

    place: NDArray[np.intp]
    part: NDArray[np.int32]
    is_wide: Mask
    inside: NDArray[np.float64]
    opacity: NDArray[np.float64]
    pixels: NDArray[np.int64]


def with_mended_inside(matte: Matte, own: RimSettings) -> Matte:
    """The matte, 0 or 255 wherever the prior says that it cannot be fractional; the kept rim has not changed.

    A matte without sure foreground or without sure background is returned as it is.
    """
    for _ in range(PASSES):
        matte = _mended(matte, own)
    return matte


def _mended(matte: Matte, own: RimSettings) -> Matte:
    """One pass."""
    low, high = own.tolerance, 255 - own.tolerance
    least = scaled(own.speck, matte.shape) ** 2
    background, foreground = _without_specks(matte <= low, least), _without_specks(matte >= high, least)
    if not (background.any() and foreground.any()):
        return matte
    parts = _parts(matte, ~(background | foreground), foreground, own)
    outside, inside, alone = _verdicts(parts, int(np.count_nonzero(foreground)), own)

    place, part, level = parts.place, parts.part, matte.ravel()[parts.place]
    depth, whole = scaled(own.depth, matte.shape), (alone | ~parts.is_wide)[part]
    from_background, from_foreground = (_distance(side).ravel()[place] > depth for side in (background, foreground))
    to_zero = outside[part] & (whole | (level < HALF)) & from_foreground
    to_one = inside[part] & (whole | (level >= BARELY)) & from_background
    kept = np.zeros(matte.shape, np.bool_)
    kept.ravel()[place] = ~to_zero & ~to_one
    if kept.any() and to_zero.any():
        torn_off = np.zeros(len(outside), np.bool_)
        torn_off[part[to_zero & (_distance(kept).ravel()[place] <= scaled(own.strand, matte.shape))]] = True
        to_zero &= ~(torn_off & ~parts.is_wide)[part]
        kept.ravel()[place] = ~to_zero & ~to_one

    mended = np.where(dilated(kept, square(BESIDE)), matte, SNAPPED[foreground.view(np.uint8)])
    mended.ravel()[place] = np.where(to_zero, 0, np.where(to_one, 255, level))
    return mended


def _parts(matte: Matte, doubtful: Mask, foreground: Mask, own: RimSettings) -> Parts:
    """Narrow and wide parts apart: what is wide has a core, and reaches as far about it as the core is deep."""
    radius = scaled(own.width, matte.shape)
    cores = cv2.distanceTransform(doubtful.astype(np.uint8), cv2.DIST_L2, 5) > radius
    wide = doubtful & (_distance(cores) <= radius + 1) if cores.any() else cores
    narrow_count, label = _labelled(doubtful & ~wide)
    wide_count, wide_label = _labelled(wide)
    count = narrow_count + wide_count - 1
    label[wide] = wide_label[wide] + narrow_count - 1
    place = np.flatnonzero(doubtful)
    part = label.ravel()[place]
    pixels = np.bincount(part, minlength=count)
    opacity = np.bincount(part, weights=matte.ravel()[place], minlength=count) / (255 * np.maximum(pixels, 1))
    inside = _share_inside(label, count, foreground, scaled(own.ring, matte.shape))
    return Parts(place, part, np.arange(count) >= narrow_count, inside, opacity, pixels)


def _verdicts(parts: Parts, object_pixels: int, own: RimSettings) -> tuple[Mask, Mask, Mask]:
    """By part: what lies outside the object, what inside, and what touches one side alone."""
    in_nothing, in_object = parts.inside <= own.one_sided, parts.inside >= 1 - own.one_sided
    haze = parts.is_wide & (parts.opacity <= own.faint)
    blotch = parts.is_wide & (parts.opacity >= own.dense) & (parts.inside > MORE_INSIDE)
    # What is larger than all that is surely the object is no ghost beside it.
    outside = haze | (in_nothing & ((parts.opacity <= own.faint) | (parts.pixels <= object_pixels)))
    inside = blotch | (in_object & ~haze)
    return outside, inside & ~outside, in_nothing | in_object


def _share_inside(label: Labels, count: int, foreground: Mask, width: int) -> NDArray[np.float64]:
    """By label: of the sure pixels that lie nearest to this part, within `width`, the share of foreground.

    0.5 where there is none.
    """
    sure = label == 0
    distance, nearest = cv2.distanceTransformWithLabels(
        sure.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    doubtful, ring = np.flatnonzero(~sure), np.flatnonzero(sure & (distance < width + 1))
    part_of = np.zeros(int(nearest.max()) + 1, np.int32)
    part_of[nearest.ravel()[doubtful]] = label.ravel()[doubtful]
    part = part_of[nearest.ravel()[ring]]
    total = np.bincount(part, minlength=count)
    within = np.bincount(part, weights=foreground.ravel()[ring], minlength=count)
    return np.where(total > 0, within / np.maximum(total, 1), 0.5)


def _labelled(mask: Mask) -> tuple[int, Labels]:
    """The number of labels, 0 included, and the labels of the mask's pieces."""
    count, label = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return count, np.asarray(label, np.int32)


def _without_specks(mask: Mask, least: int) -> Mask:
    """The mask's pieces of at least so many pixels."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    return np.asarray(large[label], np.bool_)


def _distance(mask: Mask) -> Floats:
    """Pixels from each place to the nearest one of the mask, which is not empty."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
