"""Finding the screen, what must be refused, and the clean plate."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from small_screens import (
    GREEN,
    MUTED,
    SCREENS,
    Floats,
    H,
    W,
    colour,
    disc,
    error,
    exact,
    flat,
    key,
    noisy,
    uneven,
)

from factory.errors import DataError
from factory.greenscreen.compositing import as_unit, composite
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.screen import Screen, find_screen

# ---- which screen


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_of_any_colour_is_found_and_keyed_by_the_same_code(name: str) -> None:
    background = uneven(SCREENS[name])
    truth = disc()
    picture = noisy(composite(flat((120, 110, 125)), truth, background), 1.5)
    assert np.abs(np.array(find_screen([picture]).colour) - 255 * background[truth == 0].mean(axis=0)).max() < 8
    alpha, foreground, _ = key(picture)
    assert error(alpha, truth) < 0.5
    assert np.abs(foreground[truth == 1] - colour((120, 110, 125))).mean() < 0.03


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (flat((128, 130, 127)), "no one colour"),
        (flat((150, 90, 50)), "skin and wood"),
        (flat((140, 190, 240)), "sky"),
        (flat((100, 125, 100)), "no one colour|too grey"),
        (np.random.default_rng(0).uniform(0, 1, (H, W, 3)).astype(np.float32), "no one colour"),
    ],
    ids=["grey", "wood", "sky", "drab", "confetti"],
)
def test_what_is_no_screen_is_refused_with_the_reason(picture: Floats, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as refused:
        find_screen([picture])
    assert refused.value.kind == "no_screen"


def textured(sigma: float, strength: float, seed: int = 0) -> Floats:
    """(H, W) about 1: blotches of so many pixels."""
    blotches = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (H, W)).astype(np.float32), (0, 0), sigma)
    return np.asarray(1 + strength * blotches / blotches.std(), np.float32)


def beach() -> Floats:
    """A deep blue sky that pales towards the sea, and sand."""
    down = np.clip(np.linspace(0, 2, H, dtype=np.float32), 0, 1)[:, None, None]
    picture = (1 - down) * flat((40, 100, 190)) + down * flat((170, 205, 235))
    picture[H // 2 :] = flat((20, 100, 130))[H // 2 :] * textured(1.5, 0.15)[H // 2 :, :, None]
    picture[3 * H // 4 :] = flat((215, 190, 150))[3 * H // 4 :] * textured(1, 0.06)[3 * H // 4 :, :, None]
    return noisy(picture, 2)


def waves() -> Floats:
    return noisy(flat((20, 110, 130)) * textured(3, 0.18)[..., None], 1)


def leaves() -> Floats:
    return noisy(flat((70, 130, 45)) * textured(4, 0.3)[..., None], 1)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [(beach(), "changes its hue"), (waves(), "varies"), (leaves(), "varies")],
    ids=["a beach under a blue sky", "a sea", "leaves"],
)
def test_nature_is_no_screen_however_much_of_the_picture_it_fills(picture: Floats, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as refused:
        find_screen([picture])
    assert refused.value.kind == "no_screen"


def test_a_blue_thing_before_a_blue_screen_makes_no_sky_of_it() -> None:
    """Its hues drift as a sky's do, but not those along the picture's border."""
    across = np.linspace(0, 1, W, dtype=np.float32)[None, :, None]
    thing = colour((13, 40, 204)) + across * colour((0, 80, 0)) + np.zeros((H, 1, 1), np.float32)
    found = find_screen([noisy(composite(thing, disc(radius=0.42), flat((10, 40, 230))), 1)])
    assert found.colour[2] > 200


@pytest.mark.parametrize("horizon", [(60, 150, 235), (20, 130, 200)])
def test_a_sky_that_fills_the_border_is_no_screen(horizon: tuple[int, int, int]) -> None:
    down = np.linspace(0, 1, H, dtype=np.float32)[:, None, None]
    sky = (1 - down) * flat((20, 60, 200)) + down * flat(horizon)
    with pytest.raises(DataError, match="as a sky") as refused:
        find_screen([noisy(composite(flat((120, 90, 70)), disc(), sky), 1)])
    assert refused.value.kind == "no_screen"


def hair_before(screen: Floats) -> Floats:
    """Brown hair that fills the frame but for a corner."""
    hair = noisy(flat((95, 62, 30)) * textured(1.2, 0.25)[..., None], 2)
    row, column = np.mgrid[:H, :W]
    alpha = np.clip((row + column - 110) / 3, 0, 1).astype(np.float32)
    return noisy(composite(hair, alpha, screen), 1)


@pytest.mark.parametrize("screen", [GREEN, MUTED, (20, 60, 210)], ids=["green", "studio green", "blue"])
def test_a_subject_may_fill_the_frame_where_the_border_shows_some_of_the_screen(screen: tuple[int, int, int]) -> None:
    found = find_screen([hair_before(flat(screen))])
    assert np.abs(np.array(found.colour) - screen).max() < 6


def test_a_subject_of_nearly_the_screens_hue_may_fill_the_frame() -> None:
    """A toy crocodile on pure green: there is more of it than of its screen."""
    picture = flat((0, 255, 0)).copy()
    picture[H // 12 : -H // 12, W // 12 : -W // 12] = colour((46, 204, 113))
    assert find_screen([picture]).colour == pytest.approx((0, 255, 0), abs=3)


def test_of_many_flat_colours_none_is_the_screen() -> None:
    bars = [(255, 255, 255), (255, 255, 0), (0, 255, 255), GREEN, (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)]
    chart = np.repeat(np.stack([colour(bar) for bar in bars]), W // len(bars), axis=0)
    with pytest.raises(DataError, match="no one colour"):
        find_screen([exact(np.broadcast_to(chart, (H, W, 3)))])


def test_photographs_are_refused(shared_data: Path) -> None:
    folders = ("backgrounds/kodak24", "backgrounds/mam", "backgrounds/mdn_cc0")
    files = sorted(file for folder in folders for file in (shared_data / folder).iterdir())
    files = [file for file in files if file.stat().st_size < 1_000_000]  # larger ones take long to decode
    taken = []
    for file in files:
        picture = as_unit(np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1])
        try:
            find_screen([picture])
        except DataError:
            continue
        taken.append(file.name)
    assert len(files) > 50
    assert taken in ([], ["23.png"])  # parrots before leaves that are far out of focus


def test_a_muted_cloth_in_a_telephones_white_balance_is_a_screen() -> None:
    """(71, 123, 83) of GreenBench: once called too grey, and an empty matte."""
    truth = disc()
    picture = noisy(composite(flat((200, 90, 60)), truth, flat((71, 123, 83))), 2)
    assert error(key(picture).alpha, truth) < 1


def test_the_screens_noise_is_measured_in_levels() -> None:
    assert find_screen([exact(flat(GREEN))]).noise == 0
    assert find_screen([noisy(uneven(MUTED), 3)]).noise == pytest.approx(3, rel=0.15)


def test_a_screen_that_hangs_inside_the_frame_is_found() -> None:
    picture = flat((30, 30, 32))
    picture[30:-30, 40:-40] = colour(GREEN)
    assert find_screen([exact(picture)]).colour[1] > 200


# ---- the clean plate


def test_the_plate_is_the_screen_behind_the_object() -> None:
    background = uneven(MUTED)
    picture = noisy(composite(flat((200, 60, 60)), disc(), background), 2)
    plate = plate_at(clean_plate([picture], find_screen([picture])), H, W)
    assert np.abs(plate - background).max() < 4 / 255


def test_smoke_does_not_stain_the_plate() -> None:
    background = flat(GREEN)
    smoke = 0.9 * disc(softness=120, radius=0.25)
    picture = exact(composite(flat((250, 250, 250)), smoke, background))
    plate = plate_at(clean_plate([picture], find_screen([picture])), H, W)
    assert np.abs(plate - background).max() < 1.5 / 255


def test_haze_before_a_drawn_screen_is_the_objects() -> None:
    wide = np.zeros((H, W), np.float32)
    wide[14:-14, 14:-14] = 0.012
    truth = np.maximum(disc(radius=0.2), cv2.GaussianBlur(wide, (0, 0), 2))
    alpha, *_ = key(exact(composite(flat((170, 170, 170)), truth, flat(GREEN))))
    haze = (truth > 0.01) & (truth < 0.013)
    assert haze.mean() > 0.5
    assert abs(float((alpha - truth)[haze].mean())) < 0.001


@pytest.mark.parametrize("screen", [flat(GREEN), flat((0, 177, 64))], ids=["green", "chroma key green"])
def test_a_screen_of_one_level_is_told_from_a_lit_one(screen: Floats) -> None:
    drawn = exact(composite(flat((250, 250, 250)), disc(softness=40), screen))
    assert np.array_equal(plate_at(clean_plate([drawn], find_screen([drawn])), H, W), screen)
    for lit in (noisy(drawn, 1), exact(drawn * (0.9 + 0.1 * uneven((255, 255, 255))))):
        plate = plate_at(clean_plate([lit], find_screen([lit])), H, W)
        assert np.unique(plate.reshape(-1, 3), axis=0).shape[0] > 1


def test_a_filmed_screen_is_none_of_one_colour_however_even_its_border_is() -> None:
    truth = cv2.resize(disc(radius=0.15), (1280, 720))
    row, column = np.mgrid[-1:1:720j, -1:1:1280j]
    fall = np.exp(-4 * (row**2 + column**2))
    screen = np.asarray(flat((0, 177, 64), 720, 1280) * (1 - 0.1 * fall)[..., None], np.float32)
    alpha, *_ = key(noisy(composite(flat((130, 130, 130), 720, 1280), truth, screen), 1))
    assert np.quantile(alpha[truth == 0], 0.99) < 0.05


def test_over_time_the_plate_sees_what_any_frame_sees() -> None:
    rng = np.random.default_rng(3)
    background = uneven(MUTED)
    spot = disc(0.35, 0.5, 0.12, softness=60)[..., None] * colour((0, -14, 0))  # a stain that a moving object hides
    frames = [noisy(composite(flat((40, 40, 50)), disc(x), background + spot), 1) for x in rng.uniform(0.2, 0.8, 9)]
    plate = plate_at(clean_plate(frames, find_screen(frames)), H, W)
    inside = np.s_[100:140, 92:132]
    assert np.abs(plate[inside] - (background + spot)[inside]).mean() < 2.5 / 255


def test_a_plate_is_small_and_16_bit() -> None:
    picture = exact(flat(GREEN, 720, 1280))
    plate = clean_plate([picture], find_screen([picture]))
    assert plate.dtype == np.uint16
    assert plate.shape == (180, 320, 3)
    assert plate_at(plate, 720, 1280).shape == (720, 1280, 3)


def test_a_picture_all_but_without_screen_is_refused() -> None:
    picture = flat((90, 60, 60))
    with pytest.raises(DataError, match="surely screen"):
        clean_plate([picture], Screen(colour=GREEN, noise=0))


def sea(near: tuple[int, int, int], far: tuple[int, int, int], swell: float, foam: float, time: int) -> Floats:
    """From a cliff: waves that run, smaller and paler with distance, glitter, and crests that break."""
    down = np.linspace(0, 1, H, dtype=np.float32)[:, None]
    x = np.arange(W, dtype=np.float32)[None]
    depth = 1 / (0.15 + down)  # how many waves a pixel is high
    phase = 9 * depth + 0.25 * time + 0.4 * np.sin(0.11 * x + time)
    light = 1 + swell * np.sin(phase) + 0.5 * swell * np.sin(1.7 * phase + 0.2 * x)
    water = (1 - down[..., None]) * flat(far) + down[..., None] * flat(near)
    crest = np.clip((light * textured(2, 0.2, time) - 1 - swell) * 8, 0, 1) * foam
    seen = water * light[..., None] * (1 - crest[..., None]) + 0.9 * crest[..., None]
    return noisy(np.asarray(np.clip(seen, 0, 1), np.float32), 1)


WINDS = (0.12, 0.5), (0.25, 1.0)
LAGOON, GREY, BLUE = ((30, 150, 150), (20, 90, 150)), ((18, 92, 110), (90, 140, 170)), ((16, 60, 120), (60, 110, 180))


@pytest.mark.parametrize(
    ("water", "swell", "foam"),
    [(GREY, 0.05, 0), (LAGOON, 0.05, 0), *((water, *wind) for water in (GREY, LAGOON, BLUE) for wind in WINDS)],
)
def test_a_clip_of_a_sea_has_no_screen(water: tuple[tuple[int, int, int], ...], swell: float, foam: float) -> None:
    """It was once keyed, and then turned away for the wrong reason: that its foam has nearly the screen's colour."""
    with pytest.raises(DataError, match="water") as refused:
        find_screen([sea(water[0], water[1], swell, foam, time) for time in range(12)])
    assert refused.value.kind == "no_screen"


def test_a_blue_screen_may_be_panned_over_while_its_lamps_flicker() -> None:
    wall = uneven((40, 70, 180))
    frames = [noisy(np.roll(wall, 4 * time, axis=1) * (1 + 0.04 * (time % 3)), 3) for time in range(12)]
    assert find_screen(frames).colour == pytest.approx((40, 70, 180), abs=12)
