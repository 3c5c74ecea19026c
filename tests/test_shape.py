"""Promise: an object's shape mends what colours cannot tell, invents nothing, and leaves what colours do tell."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_screens import Floats, H, error, key, noisy, uneven

from factory.greenscreen.compositing import composite
from factory.greenscreen.keyer.shape import WEIGHTS, Shape, agreed, shape_of, whole
from factory.sources.groups import group_of

SCREEN = (70, 160, 80)


def shape(alpha: float, deviation: float = 0.02, seen: float = 1.0) -> Shape:
    """The same everywhere."""
    return Shape(*(np.full((16, 16), value, np.float32) for value in (alpha, deviation, seen)))


def fields(value: float) -> Floats:
    return np.full((64, 64), value, np.float32)


@pytest.mark.parametrize(
    ("name", "colour_alone"), [("snake", 197), ("rose", 22), ("map_of_japan", 32), ("man_farmer", 64)]
)
def test_objects_with_green_of_their_own_lose_little_of_it(shared_data: Path, name: str, colour_alone: float) -> None:
    """Of pictures that nothing was trained with. What colour alone leaves is the error (e-3) without a shape."""
    path = shared_data / "rgba_fluent_emoji_3d" / f"{name}.webp"
    assert group_of(path.name) != "develop"
    bgra = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.float32)[:H] / 255
    foreground, truth = np.ascontiguousarray(bgra[..., 2::-1]), np.ascontiguousarray(bgra[..., 3])
    alpha, *_ = key(noisy(composite(foreground, truth, uneven(SCREEN)[:, : truth.shape[1]]), 1.5))
    assert error(alpha, truth) < 0.55 * colour_alone


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 257), (512, 20), (90, 160)])
def test_pictures_of_any_size_are_looked_at(height: int, width: int) -> None:
    plate = np.full((height, width, 3), (0.2, 0.7, 0.3), np.float32)
    found = shape_of(plate, plate, plate[0, 0])
    assert max(found.alpha.shape) <= 128
    assert found.alpha.shape == found.deviation.shape == found.seen.shape
    assert not found.seen.any()
    assert not whole(found, plate).any(), "where there is only the screen nothing is whole"


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 1))
def test_alpha_stays_between_what_colour_and_shape_say(
    colour: float, by_shape: float, deviation: float, seen: float
) -> None:
    alpha = agreed(fields(colour), shape(by_shape, deviation, seen))
    assert colour - 1e-6 <= float(alpha.min()) <= float(alpha.max()) <= max(colour, by_shape) + 1e-6


def test_colour_has_it_where_the_two_differ_little_and_nothing_is_invented() -> None:
    assert np.array_equal(agreed(fields(0.4), shape(0.5)), fields(0.4))
    assert np.allclose(agreed(fields(0.0), shape(1.0)), 1)
    assert np.array_equal(agreed(fields(0.0), shape(1.0, seen=0.0)), fields(0.0)), "only the plate is seen"
    assert np.array_equal(agreed(fields(0.9), shape(0.0)), fields(0.9)), "a set around its screen stays"


def test_the_weights_that_ship_are_small() -> None:
    assert WEIGHTS.stat().st_size < 10_000_000
