"""The keyer on scenes whose α is known, and on real material."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_screens import (
    GREEN,
    MUTED,
    SETTINGS,
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
from factory.greenscreen.keyer.frame import denoised, key_frame
from factory.greenscreen.keyer.garbage import wanted
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.separation import Clouds, applied, functional
from factory.greenscreen.keyer.solid import solid_parts
from factory.greenscreen.keyer.subsampling import is_subsampled
from factory.greenscreen.keying import dominance
from factory.sources.procedural.render import render

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
    alpha, foreground, _ = key(exact(composite(flat(levels), truth, flat(GREEN))))
    assert error(alpha, truth) < 0.05
    assert float(np.abs(alpha - truth).max()) < 0.12
    assert float(np.abs(foreground[truth > 0.1] - colour(levels)).mean()) < 0.02


@settings(max_examples=10, deadline=None)
@given(grey=st.integers(0, 255), peak=st.floats(0.3, 1.0))
def test_on_a_pure_screen_smoke_keeps_its_alpha(grey: int, peak: float) -> None:
    truth = np.asarray(peak * disc(softness=100, radius=0.25), np.float32)
    alpha, *_ = key(exact(composite(flat((grey, grey, grey)), truth, flat(GREEN))))
    assert float(np.abs(alpha - truth).max()) < 0.08


@pytest.mark.parametrize("name", ["birdcage", "feather", "wig", "net"])
def test_fine_things_come_back_from_a_pure_screen(name: str) -> None:
    drawn = render(name, 5, 320)
    truth = as_unit(drawn.alpha)
    alpha, *_ = key(exact(composite(as_unit(drawn.foreground), truth, flat(GREEN, *truth.shape))))
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
    alpha, foreground, _ = key(exact(picture) if pure else noisy(picture, 2))
    assert error(alpha, truth) < 0.1
    assert np.quantile(alpha[truth == 1], 0.01) > 0.93
    assert np.abs(foreground[truth == 1] - colour(levels)).mean() < 0.05


def test_spill_is_taken_off_and_leaves_no_hole() -> None:
    truth = disc()
    background = uneven(MUTED)
    spilled = flat((90, 90, 90)) + 0.1 * background
    alpha, foreground, _ = key(noisy(composite(spilled, truth, background), 2))
    assert np.quantile(alpha[truth == 1], 0.01) > 0.97
    assert np.abs(foreground[truth == 1] - colour((90, 90, 90))).mean() < 0.018


def test_a_hole_stays_open() -> None:
    truth = disc(radius=0.35) * (1 - disc(radius=0.15))
    for picture in (
        exact(composite(flat((190, 40, 60)), truth, flat(GREEN))),
        noisy(composite(flat((190, 40, 60)), truth, uneven(MUTED)), 2),
    ):
        alpha, *_ = key(picture)
        assert alpha[disc(radius=0.13) == 1].max() < 0.02
        assert error(alpha, truth) < 0.6


def test_a_soft_shadow_on_the_screen_leaves_no_haze() -> None:
    background = noisy(uneven(MUTED), 0) * (1 - 0.3 * disc(0.62, 0.75, 0.2, softness=60))[..., None]
    background *= (1 + 0.06 * np.sin(np.linspace(0, 25, W)))[None, :, None]  # hung in folds: a screen with shadows
    truth = disc(0.45, 0.45, 0.25)
    alpha, *_ = key(noisy(composite(flat((60, 60, 160)), truth, np.asarray(background, np.float32)), 2))
    shadow = (disc(0.62, 0.75, 0.15) == 1) & (disc(0.45, 0.45, 0.29) == 0)
    assert np.quantile(alpha[shadow], 0.95) < 0.05
    assert np.quantile(alpha[truth == 1], 0.01) > 0.97


def test_a_change_of_exposure_leaves_no_haze() -> None:
    truth = disc()
    frames = [noisy(composite(flat((60, 60, 160)), truth, uneven(MUTED)) * gain, 1.5) for gain in (1, 0.85)]
    screen = find_screen(frames[:1])
    plate = clean_plate(frames[:1], screen)
    alpha = key_frame(frames[1], plate_at(plate, H, W), screen, SETTINGS).alpha
    assert np.quantile(alpha[disc(radius=0.36) == 0], 0.99) < 0.03


def test_tracking_marks_and_a_stand_at_the_side_are_garbage() -> None:
    truth = disc(0.5, 0.55, 0.3)
    background = uneven(MUTED)
    for y, x in ((30, 40), (30, 280), (200, 50)):
        background[y : y + 4, x : x + 4] = colour((230, 230, 230))
    background[:, -14:] = colour((70, 65, 60))
    alpha, *_ = key(noisy(composite(flat((180, 40, 60)), truth, background), 2))
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
    alpha, *_ = key(noisy(composite(flat((50, 45, 60)), truth, uneven(MUTED)), 2))
    assert error(alpha, truth) < 0.6
    assert alpha[-1, W // 2] > 0.99
    beside = disc(1.0, 0.5, 0.4)  # most of the way out of the frame
    alpha, *_ = key(noisy(composite(flat((50, 45, 60)), beside, uneven(MUTED)), 2))
    assert error(alpha, beside) < 0.6


def test_noise_stays_out_of_the_screen_and_the_core() -> None:
    truth = disc()
    alpha, *_ = key(noisy(composite(flat((150, 60, 140)), truth, uneven(MUTED)), 4))
    assert alpha[disc(radius=0.33) == 0].mean() < 0.002
    assert alpha[disc(radius=0.27) == 1].min() > 0.99
    assert error(alpha, truth) < 0.8


def test_the_edge_shows_no_screen_over_black_and_white() -> None:
    truth = disc(softness=5)
    alpha, foreground, _ = key(noisy(composite(flat((120, 100, 100)), truth, uneven(MUTED)), 2))
    for ground in (0, 1):
        shown = composite(foreground, alpha, np.full(3, ground, np.float32))
        assert float(np.percentile(dominance(shown, MUTED), 99.5)) < 4 / 255


def test_the_foreground_is_defined_everywhere() -> None:
    alpha, foreground, _ = key(noisy(composite(flat((200, 50, 60)), disc(), uneven(MUTED)), 2))
    assert alpha.dtype == foreground.dtype == np.float32
    assert foreground.shape == (*alpha.shape, 3)
    for values in (alpha, foreground):
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1


def test_the_deviation_is_of_edges_and_nothing_of_sure_screen_and_object() -> None:
    truth = disc(softness=6)
    keyed = key(noisy(composite(flat((200, 50, 60)), truth, uneven(MUTED)), 2))
    sure = (disc(radius=0.2) == 1) | (disc(radius=0.45) == 0)
    assert keyed.deviation[sure].max() == 0
    band = (truth > 0.1) & (truth < 0.9)
    assert keyed.deviation[band].min() > 0
    off = np.abs(keyed.alpha - truth)
    assert np.mean(off[band] <= 2 * keyed.deviation[band]) > 0.9
    assert keyed.deviation[band].mean() < 8 * off[band].mean()


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
        alpha, foreground, _ = key(picture)
        assert alpha.max() == 0
        assert foreground.shape == (height, width, 3)


def test_frames_of_a_few_pixels_are_keyed_or_refused() -> None:
    keyed = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        height, width = random.integers(1, 10, 2)
        light = flat(GREEN, height, width) * random.uniform(0.2, 1, (height, 1, 1))
        frames = np.asarray(light + random.normal(0, 0.03, (3, height, width, 3)), np.float32).clip(0, 1)
        try:
            screen = find_screen(list(frames))
            plate = plate_at(clean_plate(list(frames), screen), height, width)
        except DataError as refused:
            assert refused.kind == "no_screen"
            continue
        alpha = key_frame(frames[0], plate, screen, SETTINGS).alpha
        assert alpha.shape == (height, width)
        keyed += 1
    assert keyed > 20


def test_a_plate_of_another_size_serves_as_well() -> None:
    picture = exact(composite(flat((200, 50, 60)), disc(), flat(GREEN)))
    screen = find_screen([picture])
    small = plate_at(clean_plate([picture], screen), 60, 80)
    assert error(key_frame(picture, small, screen, SETTINGS).alpha, disc()) < 0.1


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
    alpha, foreground, _ = key(picture)
    body, far = np.s_[330:520, 860:960], np.s_[:, 1350:]
    assert np.quantile(alpha[body], 0.01) > 0.98
    assert np.quantile(alpha[far], 0.99) < 0.02
    shown = composite(foreground, alpha, np.full(3, 0.5, np.float32))
    assert float(np.percentile(dominance(shown, GREEN), 99.9)) < 0.05


def test_the_crew_beside_the_actor_is_garbage(shared_data: Path) -> None:
    picture = as_unit(np.asarray(cv2.imread(str(shared_data / "greenscreen/xintong/fg3.jpg")), np.uint8)[..., ::-1])
    alpha, *_ = key(picture)
    assert alpha[:, :180].max() < 0.05
    assert alpha[320:340, 817:838].min() > 0.95
