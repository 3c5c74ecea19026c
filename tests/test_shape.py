"""Promise: an object's shape mends what colours cannot tell, invents nothing, and leaves what colours do tell."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_screens import SETTINGS, Floats, H, W, error, key, noisy, uneven

from factory.greenscreen.compositing import composite
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.clues import own_share
from factory.greenscreen.keyer.evidence import evidence
from factory.greenscreen.keyer.recovery import recovered_colours
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.shape import WEIGHTS, Shape, agreed, own_share_about, shape_of, whole
from factory.greenscreen.resizing import enlarged, resized
from factory.refine.shape_weights import shape_weights
from factory.sources.groups import group_of

SCREEN = (70, 160, 80)


def shape(alpha: float, deviation: float = 0.02, seen: float = 1.0) -> Shape:
    """The same everywhere."""
    return Shape(*(np.full((16, 16), value, np.float32) for value in (alpha, deviation, 0.0, seen)))


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


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 1), st.booleans())
def test_alpha_stays_between_what_colour_and_shape_say(
    colour: float, by_shape: float, deviation: float, seen: float, filmed: bool
) -> None:
    alpha = agreed(fields(colour), shape(by_shape, deviation, seen), filmed=filmed)
    assert colour - 1e-6 <= float(alpha.min()) <= float(alpha.max()) <= max(colour, by_shape) + 1e-6


def test_colour_has_it_where_the_two_differ_little_and_nothing_is_invented() -> None:
    assert np.array_equal(agreed(fields(0.4), shape(0.5), filmed=True), fields(0.4))
    assert np.allclose(agreed(fields(0.0), shape(1.0), filmed=True), 1)
    assert np.array_equal(agreed(fields(0.0), shape(1.0, seen=0.0), filmed=True), fields(0.0)), "only the plate is seen"
    assert np.array_equal(agreed(fields(0.9), shape(0.0), filmed=True), fields(0.9)), "a set around its screen stays"


@pytest.mark.parametrize(("deviation", "believed"), [(0.3, False), (0.18, False), (0.1, True)])
def test_what_reaches_the_border_is_object_only_where_the_network_is_sure(deviation: float, believed: bool) -> None:
    alpha = np.zeros((16, 16), np.float32)
    alpha[4:8] = 1
    told = shape(0.0, deviation)._replace(alpha=alpha)
    assert (float(agreed(fields(0.0), told, filmed=True).max()) > 0.9) == believed
    alpha[:, [0, -1]] = 0
    within = float(agreed(fields(0.0), told, filmed=True).max()) > 0.9
    assert within == (deviation < 0.2), "what does not reach it may be less sure"
    by_colour = np.where(enlarged(alpha, fields(0.0)) > 0.5, np.float32(0.3), np.float32(0))
    assert float(agreed(by_colour, told, filmed=True).max()) > 0.9, "and what is no mere screen"


def test_exact_colours_give_way_only_in_breadth() -> None:
    told = shape(0.0)
    told.alpha[4:10, 4:10] = 1  # a mirror
    told.alpha[12, 2:14] = 1  # a hair
    by_colour = np.where(cv2.resize(told.alpha, (64, 64), interpolation=cv2.INTER_NEAREST) > 0, np.float32(0.5), 0)
    by_colour[48:] = 0
    by_colour *= np.where(np.arange(64) % 8 < 4, np.float32(0.5), np.float32(1))  # what it mirrors has edges
    filmed, drawn = (agreed(by_colour, told, filmed=filmed) for filmed in (True, False))
    assert filmed[50].max() > 0.3
    assert drawn[50].max() == 0
    smoke = np.asarray(cv2.GaussianBlur(told.alpha, (0, 0), 5), np.float32)
    soft = np.clip(4 * cv2.resize(smoke, (64, 64)), 0, 1) / 2
    assert np.array_equal(agreed(soft, told, filmed=False), soft), "smoke has no edge"
    assert filmed[28, 28] == drawn[28, 28] == 1


def test_beside_the_object_its_own_share_of_the_screens_colour_is_that_near_by() -> None:
    alpha, own = np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32)
    alpha[4:8, 4:8], own[4:8, 4:8] = 1, 0.3
    about = own_share_about(shape(0.0)._replace(alpha=alpha, own=own), np.zeros((64, 64, 3), np.float32))
    assert about.shape == (64, 64)
    assert np.abs(about[16:32, 16:32] - 0.3).max() < 0.01
    assert np.abs(about[40:, 40:] - 0.3).max() < 0.05, "what the network says of clear screen counts for nothing"


@pytest.mark.parametrize("screen", [(0.1, 0.8, 0.2), (0.1, 0.2, 0.8), (0.8, 0.1, 0.7), (0.8, 0.75, 0.1)])
def test_a_share_of_one_is_the_screen_and_greys_have_none(screen: tuple[float, float, float]) -> None:
    plate = np.full((4, 4, 3), screen, np.float32)
    assert np.allclose(own_share(plate, plate, plate[0, 0]), 1)
    assert not own_share(np.full((4, 4, 3), 0.5, np.float32), plate, plate[0, 0]).any()
    half = own_share(0.5 * plate + 0.25, plate, plate[0, 0])
    assert np.allclose(half, 0.5)


def test_what_a_shape_says_to_be_the_objects_own_green_is_no_spill() -> None:
    """A greenish card before a green screen, with a fifth of the screen's green in it."""
    picture, alpha = uneven(SCREEN), np.zeros((H, W), np.float32)
    alpha[60:-60, 80:-80] = 1
    card = np.float32((0.4, 0.4, 0.4)) + 0.2 * np.float32(SCREEN) / 255
    picture = noisy(composite(np.broadcast_to(card, picture.shape), alpha, picture), 0.5)
    screen = find_screen([picture])
    behind = evidence(picture, plate_at(clean_plate([picture], screen), H, W), screen, SETTINGS).behind
    small = resized(picture, behind.plate.shape[1::-1])
    kept = []
    for own in (0.0, 0.1, 0.2, 0.9):
        field = np.full(small.shape[:2], own, np.float32)
        found = recovered_colours(picture, alpha, small, behind, small, own=field, spill=SETTINGS.spill, doubt=0.02)
        middle = found[H // 2, W // 2]
        kept.append(float(middle[1] - max(middle[0], middle[2])))
    there = float(card[1] - max(card[0], card[2]))
    assert kept[0] < kept[1] < kept[2]
    assert abs(kept[2] - there) < 0.02
    assert abs(kept[3] - there) < 0.02, "never more than the picture shows"


def test_the_weights_that_ship_are_small_and_of_this_network() -> None:
    assert WEIGHTS.stat().st_size < 10_000_000
    assert shape_weights(WEIGHTS, "these") == WEIGHTS
