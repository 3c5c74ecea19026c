"""What stands in a frame and is no subject: marks and dirt on the screen, the studio beyond the screen's edge."""

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.morphology import dilated, disc, square

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

PRESENT = 0.1  # α from which something is there
RIM = 5  # pixels from garbage within which what is too faint to belong to anything goes with it
ALONE = 11  # pixels in which something denser than dirt must stand for a faint thing to be none
SOLID = 0.5  # α that a thing must reach somewhere
FAINT = 0.02  # α from which haze could be seen
SPECK = 3e-4  # of the frame: the largest mark or speck
APART = 0.02  # of the long side that separates a speck from an object
MARK = 2e-3  # of the frame: the largest of several marks that are alike
ALIKE = 0.25  # by which the logarithms of their areas, widths and heights may differ
ENOUGH = 3  # of them
SPACED = 3.0  # of their size that lies between two at the least
MANY = 200  # of them, the largest, that are compared
MOSTLY = 0.6  # share of all small things of at least half their size that they must be, else it is a burst of particles
REGULAR = 2.5  # the longest of the distances to the nearest of them, over the shortest: some are hidden
OFF_CENTRE = 0.25  # weight, against 1 in the middle, that a thing's pixels at the frame's border have in its rank
FROM_OUTSIDE = 0.25  # factor of a thing's rank if it comes in through the frame's top or sides


def wanted(alpha: Floats, dirt: float) -> Floats:
    """(h, w) 1 where α is to stay and 0 where it is garbage, at low resolution.

    dirt: α that creases, stains and uneven light make of the screen; what is nowhere near anything denser is they.
    """
    present = alpha > PRESENT
    densest = cv2.dilate(alpha, square(ALONE))
    garbage = _specks(present) | _marks(present) | _haze(alpha) | (densest < dirt)
    garbage |= _intruders(present & ~garbage, alpha)
    garbage |= _haze(np.where(garbage, 0, alpha))  # what hung together with garbage alone
    kept = dilated(present & ~garbage, square(1))  # with its soft edge
    return np.asarray(~dilated(garbage, square(RIM)) | kept, np.float32)


def _specks(present: Mask) -> Mask:
    """Small things that stand apart from all large ones."""
    number, label, stats, _ = cv2.connectedComponentsWithStats(present.astype(np.uint8), connectivity=8)
    large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] > SPECK * present.size)
    large = large[large > 0]
    if len(large) == 0 or len(large) == number - 1:
        return np.zeros_like(present)
    near = dilated(np.isin(label, large), disc(max(1, round(APART * max(present.shape)))))
    return np.asarray(present & ~np.isin(label, np.unique(label[near])), np.bool_)


def _marks(present: Mask) -> Mask:
    """Small things of one kind at regular distances: tracking marks, larger than specks."""
    number, label, stats, centres = cv2.connectedComponentsWithStats(present.astype(np.uint8), connectivity=8)
    small = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] <= MARK * present.size)
    if len(small) < ENOUGH or len(small) == number - 1:
        return np.zeros_like(present)
    small = small[np.argsort(-stats[small, cv2.CC_STAT_AREA])][:MANY]
    size = stats[small][:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].astype(np.float64)
    looks = np.log(np.column_stack([stats[small, cv2.CC_STAT_AREA], size]))
    alike = (np.abs(looks[:, None] - looks) < ALIKE).all(axis=-1)
    apart = np.linalg.norm(centres[small][:, None] - centres[small], axis=-1)
    found = np.zeros_like(present)
    for one in np.flatnonzero(alike.sum(axis=1) >= ENOUGH):
        group = np.flatnonzero(alike[one])
        if len(group) < MOSTLY * np.count_nonzero(looks[:, 0] > looks[one, 0] - np.log(2)):
            continue
        between = apart[np.ix_(group, group)] + np.diag(np.full(len(group), np.inf))
        nearest = between.min(axis=1)
        if nearest.min() > SPACED * size[group].max() and nearest.max() < REGULAR * nearest.min():
            found |= np.isin(label, small[group])
    return found


def _haze(alpha: Floats) -> Mask:
    """Faint things that no solid one is part of: glare and dirt. Where nothing is solid, the faint is the subject."""
    solid = alpha > SOLID
    faint = alpha > FAINT
    if not solid.any():
        return np.zeros_like(faint)
    _, label = cv2.connectedComponents(faint.astype(np.uint8), connectivity=8)
    return np.asarray(faint & ~np.isin(label, np.unique(label[solid])), np.bool_)


def _intruders(present: Mask, alpha: Floats) -> Mask:
    """Things that come in through the frame's top or sides beside a subject that ranks above them.

    Walls beyond the screen, stands, crew. The subject is the thing of most α, counted more in the frame's middle. What
    comes in from below stays: subjects do.
    """
    number, label = cv2.connectedComponents(present.astype(np.uint8), connectivity=8)
    if number <= 2:
        return np.zeros_like(present)
    height, width = present.shape
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    middle = 1 - (1 - OFF_CENTRE) * np.maximum(np.abs(u), np.abs(v))
    rank = np.bincount(label.ravel(), (alpha * middle).ravel(), number)
    rank[0] = 0
    outside = np.zeros(number, np.bool_)
    for side in (label[0], label[:, 0], label[:, -1]):
        outside[side] = True
    subject = int(np.argmax(np.where(outside, FROM_OUTSIDE, 1) * rank))
    outside[[0, subject]] = False
    return np.asarray(outside[label], np.bool_)
