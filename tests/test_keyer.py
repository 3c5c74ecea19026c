"""The keyer on scenes whose α is known, on real material, and what must be refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.clean_plate import clean_plate, plate_at
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.garbage import wanted
from factory.greenscreen.keyer import denoised, key_frame
from factory.greenscreen.keyer_settings import KeyerSettings
from factory.greenscreen.keying import dominance
from factory.greenscreen.screen import Screen, find_screen
from factory.greenscreen.separation import Clouds, applied, functional
from factory.greenscreen.solid import solid_parts
from factory.greenscreen.subsampling import is_subsampled
from factory.sources.procedural.render import render

Floats = NDArray[np.float32]
SETTINGS = KeyerSettings()
GREEN, MUTED = (0, 255, 0), (70, 160, 80)
SCREENS = {"green": (10, 200, 40), "blue": (20, 60, 210), "yellow": (215, 205, 20), "magenta": (210, 20, 200)}
H, W = 240, 320


def key(picture: Floats) -> tuple[Floats, Floats]:
    """α and foreground of a picture of which nothing else is known."""
    screen = find_screen([picture])
    return key_frame(picture, plate_at(clean_plate([picture], screen), *picture.shape[:2]), screen, SETTINGS)


def colour(levels: tuple[float, float, float]) -> Floats:
    return np.asarray(np.array(levels) / 255, np.float32)


def flat(levels: tuple[float, float, float], height: int = H, width: int = W) -> Floats:
    return np.broadcast_to(colour(levels), (height, width, 3)).copy()


def uneven(levels: tuple[float, float, float]) -> Floats:
    """A screen that falls off to one side and to the corners."""
    v, u = np.meshgrid(np.linspace(-1, 1, H), np.linspace(-1, 1, W), indexing="ij")
    return np.asarray((1 + 0.15 * u - 0.08 * v - 0.1 * (u * u + v * v))[..., None] * colour(levels), np.float32)


def disc(x: float = 0.5, y: float = 0.5, radius: float = 0.3, softness: float = 1.0) -> Floats:
    """α of a disc: centre in shares of the frame, radius in shares of its height, edge in pixels."""
    row, column = np.mgrid[:H, :W] + 0.5
    distance = np.hypot(column - x * W, row - y * H)
    return np.asarray(np.clip((radius * H - distance) / softness + 0.5, 0, 1), np.float32)


def noisy(picture: Floats, sigma: float, seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed).normal(0, sigma / 255, picture.shape)
    return as_unit(as_levels(picture + noise.astype(np.float32)))


def exact(picture: Floats) -> Floats:
    """As an 8-bit file would hold it."""
    return as_unit(as_levels(picture))


def error(alpha: Floats, truth: Floats) -> float:
    """MSE × 1000."""
    return float(1e3 * np.mean((alpha - truth) ** 2))


# ---- which screen


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_of_any_colour_is_found_and_keyed_by_the_same_code(name: str) -> None:
    background = uneven(SCREENS[name])
    truth = disc()
    picture = noisy(composite(flat((120, 110, 125)), truth, background), 1.5)
    assert np.abs(np.array(find_screen([picture]).colour) - 255 * background[truth == 0].mean(axis=0)).max() < 8
    alpha, foreground = key(picture)
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


def test_most_photographs_are_refused(shared_data: Path) -> None:
    files = sorted((shared_data / "backgrounds/kodak24").glob("*.png"))
    taken = []
    for file in files:
        picture = as_unit(np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1])
        try:
            find_screen([picture])
        except DataError:
            continue
        taken.append(file.name)
    assert files
    assert len(taken) <= 1, taken


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
    alpha, _ = key(exact(composite(flat((170, 170, 170)), truth, flat(GREEN))))
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
    alpha, _ = key(noisy(composite(flat((130, 130, 130), 720, 1280), truth, screen), 1))
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


# ---- α


@settings(max_examples=12, deadline=None)
@given(
    levels=st.tuples(*[st.integers(20, 235)] * 3).filter(lambda c: c[1] < max(c[0], c[2]) + 12),
    x=st.floats(0.3, 0.7),
    radius=st.floats(0.12, 0.35),
    softness=st.floats(1, 6),
)
def test_on_a_pure_screen_any_object_comes_back(
    levels: tuple[int, int, int], x: float, radius: float, softness: float
) -> None:
    truth = disc(x, 0.5, radius, softness)
    alpha, foreground = key(exact(composite(flat(levels), truth, flat(GREEN))))
    assert error(alpha, truth) < 0.05
    assert float(np.abs(alpha - truth).max()) < 0.12
    assert float(np.abs(foreground[truth > 0.1] - colour(levels)).mean()) < 0.02


@settings(max_examples=10, deadline=None)
@given(grey=st.integers(0, 255), peak=st.floats(0.3, 1.0))
def test_on_a_pure_screen_smoke_keeps_its_alpha(grey: int, peak: float) -> None:
    truth = np.asarray(peak * disc(softness=100, radius=0.25), np.float32)
    alpha, _ = key(exact(composite(flat((grey, grey, grey)), truth, flat(GREEN))))
    assert float(np.abs(alpha - truth).max()) < 0.08


@pytest.mark.parametrize("name", ["birdcage", "feather", "wig", "net"])
def test_fine_things_come_back_from_a_pure_screen(name: str) -> None:
    drawn = render(name, 5, 320)
    truth = as_unit(drawn.alpha)
    alpha, _ = key(exact(composite(as_unit(drawn.foreground), truth, flat(GREEN, *truth.shape))))
    assert error(alpha, truth) < 0.5


@pytest.mark.parametrize(
    "levels", [(250, 215, 30), (30, 210, 225), (235, 235, 235), (15, 15, 15), (150, 235, 60)],
    ids=["yellow", "cyan", "white", "black", "lime"],
)  # fmt: skip
@pytest.mark.parametrize("screen", [GREEN, MUTED], ids=["pure", "studio"])
def test_objects_near_the_screens_colour_are_solid(levels: tuple[int, int, int], screen: tuple[int, int, int]) -> None:
    truth = disc()
    pure = screen == GREEN
    picture = composite(flat(levels), truth, flat(screen) if pure else uneven(screen))
    alpha, foreground = key(exact(picture) if pure else noisy(picture, 2))
    assert error(alpha, truth) < 0.1
    assert np.quantile(alpha[truth == 1], 0.01) > 0.93
    assert np.abs(foreground[truth == 1] - colour(levels)).mean() < 0.05


def test_spill_is_taken_off_and_leaves_no_hole() -> None:
    truth = disc()
    background = uneven(MUTED)
    spilled = flat((90, 90, 90)) + 0.1 * background
    alpha, foreground = key(noisy(composite(spilled, truth, background), 2))
    assert np.quantile(alpha[truth == 1], 0.01) > 0.97
    assert np.abs(foreground[truth == 1] - colour((90, 90, 90))).mean() < 0.015


def test_a_hole_stays_open() -> None:
    truth = disc(radius=0.35) * (1 - disc(radius=0.15))
    for picture in (
        exact(composite(flat((190, 40, 60)), truth, flat(GREEN))),
        noisy(composite(flat((190, 40, 60)), truth, uneven(MUTED)), 2),
    ):
        alpha, _ = key(picture)
        assert alpha[disc(radius=0.13) == 1].max() < 0.02
        assert error(alpha, truth) < 0.6


def test_a_soft_shadow_on_the_screen_leaves_no_haze() -> None:
    background = noisy(uneven(MUTED), 0) * (1 - 0.3 * disc(0.62, 0.75, 0.2, softness=60))[..., None]
    background *= (1 + 0.06 * np.sin(np.linspace(0, 25, W)))[None, :, None]  # hung in folds: a screen with shadows
    truth = disc(0.45, 0.45, 0.25)
    alpha, _ = key(noisy(composite(flat((60, 60, 160)), truth, np.asarray(background, np.float32)), 2))
    shadow = (disc(0.62, 0.75, 0.15) == 1) & (disc(0.45, 0.45, 0.29) == 0)
    assert np.quantile(alpha[shadow], 0.95) < 0.05
    assert np.quantile(alpha[truth == 1], 0.01) > 0.97


def test_a_change_of_exposure_leaves_no_haze() -> None:
    truth = disc()
    frames = [noisy(composite(flat((60, 60, 160)), truth, uneven(MUTED)) * gain, 1.5) for gain in (1, 0.85)]
    screen = find_screen(frames[:1])
    plate = clean_plate(frames[:1], screen)
    alpha, _ = key_frame(frames[1], plate_at(plate, H, W), screen, SETTINGS)
    assert np.quantile(alpha[disc(radius=0.36) == 0], 0.99) < 0.03


def test_tracking_marks_and_a_stand_at_the_side_are_garbage() -> None:
    truth = disc(0.5, 0.55, 0.3)
    background = uneven(MUTED)
    for y, x in ((30, 40), (30, 280), (200, 50)):
        background[y : y + 4, x : x + 4] = colour((230, 230, 230))
    background[:, -14:] = colour((70, 65, 60))
    alpha, _ = key(noisy(composite(flat((180, 40, 60)), truth, background), 2))
    assert alpha[disc(0.5, 0.55, 0.34) == 0].max() < 0.05
    assert error(alpha, truth) < 0.6


def test_haze_that_hangs_on_garbage_alone_goes_with_it() -> None:
    alpha = disc(0.5, 0.5, 0.2)
    alpha[:, :20] = 1  # a wall beside the screen
    alpha[150:160, 20:60] = 0.05
    alpha[140:170, 60:90] = 0.2  # a shadow that falls from it
    kept = wanted(alpha, 0.0)
    assert not kept[145:165, 65:85].any()
    assert kept[disc(0.5, 0.5, 0.2) > 0].all()


def test_a_subject_cut_by_the_frame_is_kept_whole() -> None:
    truth = np.maximum(disc(0.5, 0.45, 0.2), disc(0.5, 1.1, 0.5))
    alpha, _ = key(noisy(composite(flat((50, 45, 60)), truth, uneven(MUTED)), 2))
    assert error(alpha, truth) < 0.6
    assert alpha[-1, W // 2] > 0.99
    beside = disc(1.0, 0.5, 0.4)  # most of the way out of the frame
    alpha, _ = key(noisy(composite(flat((50, 45, 60)), beside, uneven(MUTED)), 2))
    assert error(alpha, beside) < 0.6


def test_noise_stays_out_of_the_screen_and_the_core() -> None:
    truth = disc()
    alpha, _ = key(noisy(composite(flat((150, 60, 140)), truth, uneven(MUTED)), 4))
    assert alpha[disc(radius=0.33) == 0].mean() < 0.002
    assert alpha[disc(radius=0.27) == 1].min() > 0.99
    assert error(alpha, truth) < 0.8


def test_the_edge_shows_no_screen_over_black_and_white() -> None:
    truth = disc(softness=5)
    alpha, foreground = key(noisy(composite(flat((120, 100, 100)), truth, uneven(MUTED)), 2))
    for ground in (0, 1):
        shown = composite(foreground, alpha, np.full(3, ground, np.float32))
        assert float(np.percentile(dominance(shown, MUTED), 99.5)) < 4 / 255


def test_the_foreground_is_defined_everywhere() -> None:
    alpha, foreground = key(noisy(composite(flat((200, 50, 60)), disc(), uneven(MUTED)), 2))
    assert alpha.dtype == foreground.dtype == np.float32
    assert foreground.shape == (*alpha.shape, 3)
    for values in (alpha, foreground):
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1


def test_the_same_frame_gives_the_same_bytes() -> None:
    picture = noisy(composite(flat((200, 50, 60)), disc(), uneven(MUTED)), 2)
    first, second = key(picture.copy()), key(picture.copy())
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_the_picture_and_the_plate_are_left_alone() -> None:
    picture = noisy(composite(flat((200, 50, 60)), disc(), uneven(MUTED)), 2)
    screen = find_screen([picture])
    plate = plate_at(clean_plate([picture], screen), H, W)
    before = picture.tobytes(), plate.tobytes()
    key_frame(picture, plate, screen, SETTINGS)
    assert (picture.tobytes(), plate.tobytes()) == before


def test_a_clean_screen_and_a_tiny_frame_are_keyed_too() -> None:
    for height, width in ((H, W), (9, 13), (2, 300)):
        picture = exact(flat(GREEN, height, width))
        alpha, foreground = key(picture)
        assert alpha.max() == 0
        assert foreground.shape == (height, width, 3)


def test_a_plate_of_another_size_serves_as_well() -> None:
    picture = exact(composite(flat((200, 50, 60)), disc(), flat(GREEN)))
    screen = find_screen([picture])
    small = plate_at(clean_plate([picture], screen), 60, 80)
    assert error(key_frame(picture, small, screen, SETTINGS)[0], disc()) < 0.1


# ---- the parts


@settings(max_examples=50, deadline=None)
@given(
    plate=st.tuples(*[st.floats(0, 1, width=32)] * 3),
    mean=st.tuples(*[st.floats(0, 1, width=32)] * 3),
    alpha=st.floats(0, 1, width=32),
    spread=st.floats(0.01, 0.3),
)
def test_the_functional_is_exact_on_the_line_from_screen_to_object(
    plate: tuple[float, ...], mean: tuple[float, ...], alpha: float, spread: float
) -> None:
    b, f = np.array(plate, np.float32), np.array(mean, np.float32)
    if np.linalg.norm(b - f) < 0.15:
        return  # too near for any keyer
    covariance = np.array([1, 0, 0, 1, 0, 1], np.float32) * np.float32(spread**2)
    clouds = Clouds(f[None, None], covariance[None, None])
    pixel = composite(f[None, None], np.full((1, 1), alpha, np.float32), b)
    assert applied(functional(clouds, b[None, None]), pixel)[0, 0] == pytest.approx(alpha, abs=2e-3)


def test_a_plateau_with_a_sharp_edge_is_solid_and_smoke_is_not() -> None:
    assert solid_parts(np.asarray(0.6 * disc(softness=2), np.float32), 0.9, 0)[H // 2, W // 2]
    assert not solid_parts(np.asarray(0.6 * disc(softness=90, radius=0.2), np.float32), 0.9, 0).any()


def test_half_resolution_chroma_is_told_from_full() -> None:
    truth = np.maximum(disc(0.3, 0.5, 0.2), disc(0.7, 0.5, 0.2))
    picture = exact(composite(flat((180, 60, 90)), truth, uneven(MUTED)))
    luma = cv2.transform(picture, np.array([[0.299, 0.587, 0.114]], np.float32))[..., None]
    chroma = cv2.resize(picture - luma, (W // 2, H // 2), interpolation=cv2.INTER_AREA)
    halved = luma + cv2.resize(chroma, (W, H), interpolation=cv2.INTER_CUBIC)
    assert not is_subsampled(picture)
    assert is_subsampled(np.asarray(halved, np.float32))


def test_the_denoiser_flattens_noise_and_keeps_edges() -> None:
    alpha = np.asarray(disc() + np.random.default_rng(0).normal(0, 0.02, (H, W)), np.float32)
    quiet = denoised(alpha, 0.03)
    assert quiet[disc(radius=0.2) == 1].std() < 0.01
    assert error(quiet, disc()) < error(alpha, disc())


# ---- real material


def test_the_real_pictures_come_out_clean(shared_data: Path) -> None:
    """The dancer on a dim teal screen, 1080p: solid, no haze, and a frame's worth of nothing else."""
    picture = as_unit(np.asarray(cv2.imread(str(shared_data / "greenscreen/xintong/fg4.jpg")), np.uint8)[..., ::-1])
    alpha, foreground = key(picture)
    body, far = np.s_[330:520, 860:960], np.s_[:, 1350:]
    assert np.quantile(alpha[body], 0.01) > 0.98
    assert np.quantile(alpha[far], 0.99) < 0.02
    shown = composite(foreground, alpha, np.full(3, 0.5, np.float32))
    assert float(np.percentile(dominance(shown, GREEN), 99.9)) < 0.05


def test_the_crew_beside_the_actor_is_garbage(shared_data: Path) -> None:
    picture = as_unit(np.asarray(cv2.imread(str(shared_data / "greenscreen/xintong/fg3.jpg")), np.uint8)[..., ::-1])
    alpha, _ = key(picture)
    assert alpha[:, :180].max() < 0.05
    assert alpha[320:340, 817:838].min() > 0.95
