"""Steady mattes: α of a frame, averaged with its neighbours' along the motion between them.

A neighbour has a say where it can be followed there and back, shows the same and has an α much like it. α moves by no
more than noise may have moved it, and where it is exactly nothing or exactly all it stays so. Only neighbours as they
were keyed are looked at, never steadied ones: a frame depends on a few frames, and nothing is dragged along.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels
from factory.greenscreen.keyer.screen import Screen
from factory.greenscreen.motion import belief, brought, flow

Floats = NDArray[np.float32]

GRAIN = 1.0  # σ in pixels over which pictures are compared
SAME = 0.05  # difference of two pictures up to which they show the same; from twice that on they do not
ALIKE = 0.15  # the same of two α
REACH = (1.0, 2.0)  # (full, half chroma) standard deviations of α by which it may move; without bound laces blur
PALE = 0.25  # of a screen's colour above grey, below which it is not taken to be
TOP = 255


class Frame(NamedTuple):
    """A frame and the α that it was keyed to by itself. picture: (H, W, 3) in 0..1.  alpha: (H, W) in 0..1."""

    picture: Floats
    alpha: Floats


def steadied(frame: Frame, beside: Sequence[Frame], screen: Screen, *, halved: bool) -> Floats:
    """(H, W) α of the frame in 0..1.

    beside: its neighbours in the clip, of its size, as many as there are.  screen, halved: as for `key_frame`.
    """
    here = as_levels(frame.picture)
    ways = []
    for other in beside:
        there = as_levels(other.picture)
        way = flow(here, there)
        ways.append((other, way, belief(way, flow(there, here))))
    mean = mean_along(frame, ways)
    reach = REACH[halved] * screen.noise / max(np.ptp(screen.colour), PALE * TOP)
    steady = frame.alpha + np.clip(mean - frame.alpha, -reach, reach)
    levels = as_levels(frame.alpha)
    is_exact = (levels == 0) | (levels == TOP)
    return np.asarray(np.where(is_exact, frame.alpha, steady), np.float32)


def mean_along(frame: Frame, beside: Sequence[tuple[Frame, Floats, Floats]]) -> Floats:
    """(H, W): the mean of a frame's α and of its neighbours', each as heavy as it may be believed.

    beside: neighbours, the flow from the frame to each, and its belief.
    """
    total, weight = frame.alpha.copy(), np.ones_like(frame.alpha)
    for other, way, believed in beside:
        unlike = cv2.GaussianBlur(brought(other.picture, way) - frame.picture, (0, 0), GRAIN)
        alpha = np.clip(brought(other.alpha, way), 0, 1)
        trust = believed * _within(np.abs(unlike).max(axis=2), SAME) * _within(np.abs(alpha - frame.alpha), ALIKE)
        total += trust * alpha
        weight += trust
    return np.asarray(total / weight, np.float32)


def _within(difference: Floats, limit: float) -> Floats:
    """1 up to a limit, 0 from twice the limit on."""
    return np.asarray(np.clip(2 - difference / limit, 0, 1), np.float32)
