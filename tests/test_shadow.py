"""Promise: the shadow on a screen is told as the share of its light that is missing, apart from the object."""

import cv2
import numpy as np
import pytest
from small_screens import GREEN, MUTED, Floats, H, W, disc, flat, noisy, uneven

from factory.greenscreen.compositing import composite
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.shadow import shadow_apart


def cast(alpha: Floats, strength: float, softness: float) -> Floats:
    """The object's outline, moved aside and blurred."""
    moved = cv2.warpAffine(alpha, np.array([[1, 0, 0.12 * W], [0, 1, 0.08 * H]]), (W, H))
    return np.asarray(strength * cv2.GaussianBlur(moved, (0, 0), softness), np.float32)


def told(picture: Floats) -> tuple[Floats, Floats]:
    """α and shadow, told apart of what the keyer finds, its plate included."""
    screen = find_screen([picture])
    plate = plate_at(clean_plate([picture], screen), H, W)
    found = key_frame(picture, plate, screen, KeyerSettings())
    shadow, alpha = shadow_apart(picture, plate, found.alpha, screen.noise / 255)
    assert (alpha <= found.alpha).all()
    return alpha, shadow


@pytest.mark.parametrize("levels", [MUTED, (150, 200, 70), (40, 80, 190)], ids=["green", "lime", "blue"])
@pytest.mark.parametrize("strength", [0.1, 0.25, 0.4])
def test_a_cast_shadow_is_told_as_the_light_it_takes(levels: tuple[int, int, int], strength: float) -> None:
    truth = disc(radius=0.25)
    shadow = cast(truth, strength, 5)
    picture = noisy(composite(flat((190, 120, 90)), truth, uneven(levels) * (1 - shadow[..., None])), 1)
    alpha, found = told(picture)
    beside = truth == 0
    assert np.abs(found - shadow)[beside].mean() < 0.012
    assert np.corrcoef(found[beside], shadow[beside])[0, 1] > 0.95
    assert not found[alpha == 1].any(), "the screen behind an object is not seen"
    assert alpha[beside & (shadow > 0.5 * strength)].mean() < 0.02, "shadow is no object"
    assert np.abs(alpha - truth)[truth > 0].mean() < 0.01, "and the object stays"
    shadowed = composite(flat((190, 120, 90)), truth, uneven(levels) * (1 - found[..., None]))
    rms = np.sqrt(np.mean((picture - shadowed)[beside] ** 2))
    assert rms < 0.5 * np.sqrt(np.mean((picture - composite(flat((190, 120, 90)), truth, uneven(levels)))[beside] ** 2))


def test_where_there_is_no_shadow_none_is_told() -> None:
    truth = disc()
    for screen in (flat(GREEN), uneven(MUTED)):
        picture = noisy(composite(flat((190, 120, 90)), truth, screen), 2)
        assert told(picture)[1].mean() < 0.002


def test_black_hair_is_no_shadow() -> None:
    strands = np.zeros((4 * H, 4 * W), np.uint8)
    for x in range(300, 900, 37):
        cv2.line(strands, (x, 100), (x + 90, 800), 255, 5)
    truth = np.asarray(cv2.resize(strands, (W, H), interpolation=cv2.INTER_AREA), np.float32) / 255
    picture = noisy(composite(flat((18, 16, 16)), truth, uneven(MUTED)), 1)
    screen = find_screen([picture])
    plate = plate_at(clean_plate([picture], screen), H, W)
    shadow, alpha = shadow_apart(picture, plate, truth, screen.noise / 255)
    assert shadow.max() < 0.05
    assert np.array_equal(alpha, truth)


def test_creases_and_dark_things_cast_nothing() -> None:
    truth = disc(radius=0.2)
    screen = uneven(MUTED)
    screen[:, W // 6] *= 0.8
    black = np.zeros((H, W), np.float32)
    black[5:20, -40:-25] = 1
    picture = noisy(composite(flat((20, 20, 22)), np.maximum(truth, black), screen), 1)
    found = told(picture)[1]
    assert found[:, W // 6].mean() < 0.02
    assert found[8:16, -36:-28].max() == 0
