"""Promise: what stands in a frame and is no subject goes, and the subject stays whole."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from factory.greenscreen.keyer.garbage import wanted

Floats = NDArray[np.float32]
SIDE = 256


def subject() -> Floats:
    alpha = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(alpha, (128, 128), 50, 1.0, -1, cv2.LINE_AA)
    return alpha


def with_crosses(alpha: Floats, places: list[tuple[int, int]], *arms: int) -> Floats:
    for i, place in enumerate(places):
        cv2.drawMarker(alpha, place, 1.0, cv2.MARKER_CROSS, arms[i % len(arms)], 3)
    return alpha


GRID = [(30, 30), (128, 30), (226, 30), (30, 226), (128, 226), (226, 226), (30, 128), (226, 128)]


@pytest.mark.parametrize("hidden", [0, 2, 5])
def test_tracking_marks_go_even_where_some_are_hidden(hidden: int) -> None:
    marked = with_crosses(subject(), GRID[hidden:], 13)
    kept = marked * wanted(marked, 0.0)
    np.testing.assert_array_equal(kept, subject())


def test_particles_of_many_sizes_stay() -> None:
    """A burst of powder, sparks, confetti: small, many, and of no one kind."""
    random = np.random.default_rng(0)
    burst = subject()
    for _ in range(60):
        place = tuple(int(v) for v in random.integers(8, SIDE - 8, 2))
        cv2.circle(burst, place, int(random.integers(3, 8)), 1.0, -1, cv2.LINE_AA)
    np.testing.assert_array_equal(burst * wanted(burst, 0.0), burst)


def test_two_things_beside_a_subject_are_no_marks() -> None:
    juggled = with_crosses(subject(), GRID[:2], 13)
    np.testing.assert_array_equal(juggled * wanted(juggled, 0.0), juggled)


def test_a_subject_of_several_like_things_stays() -> None:
    """Where nothing larger is seen, they are what was filmed."""
    alone = with_crosses(np.zeros((SIDE, SIDE), np.float32), GRID, 13)
    np.testing.assert_array_equal(alone * wanted(alone, 0.0), alone)
