"""The physics of the screen: what mixing does, keying and unmixing undo."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from factory.equation import constant_plate, plate_picture
from factory.errors import DataError
from factory.greenscreen import kmeans
from factory.greenscreen.colours import KEY_COLOURS
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.despill import despill
from factory.greenscreen.filling import around, blurred, fill
from factory.greenscreen.keying import (
    clip_ends,
    colour_difference,
    dominance,
    least_opacity,
    screen_axis,
    screen_share,
)
from factory.greenscreen.kmeans import dominant_colours
from factory.greenscreen.plates import estimate_plate, least_squares, scaled, sure_background
from factory.greenscreen.resizing import size_within
from factory.greenscreen.sampling import SAMPLE, evenly_chosen
from factory.greenscreen.unmixing import SEEN, spread, straight, unmixed

Floats = NDArray[np.float32]
SIDE = 12
SCREENS = [*KEY_COLOURS.values(), (0, 177, 64), (120, 255, 155), (40, 90, 220)]

units = st.floats(0, 1, width=32)
alphas = arrays(np.float32, (SIDE, SIDE), elements=units)
colours = arrays(np.float32, (SIDE, SIDE, 3), elements=units)
screens = st.sampled_from(SCREENS).map(lambda c: as_unit(np.array(c, np.uint8)))


def plate_of(screen: Floats) -> Floats:
    return np.broadcast_to(screen, (SIDE, SIDE, 3)).copy()


# ---- K-Means


def test_clusters_of_separate_colours_are_those_colours() -> None:
    picture = np.zeros((50, 60, 3), np.uint8)
    picture[:30], picture[30:45], picture[45:] = (0, 255, 0), (200, 10, 10), (20, 20, 90)
    centres, shares = dominant_colours(picture, 3)
    np.testing.assert_allclose(centres, [(0, 255, 0), (200, 10, 10), (20, 20, 90)])
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1])


def test_a_picture_of_one_colour_has_one_cluster() -> None:
    centres, shares = dominant_colours(np.full((9, 9, 3), (1, 2, 3), np.uint8), 5)
    np.testing.assert_allclose(centres, [(1, 2, 3)])
    assert shares.tolist() == [1.0]


@settings(max_examples=20, deadline=None)
@given(pixels=arrays(np.uint8, (200, 3)), seed=st.integers(0, 99))
def test_the_order_of_pixels_does_not_matter(pixels: NDArray[np.uint8], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(pixels)
    for one, other in zip(dominant_colours(pixels, 4), dominant_colours(shuffled, 4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_thread_finds_the_same_clusters() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (150, 150, 3), np.uint8) // 24 * 24
    assert picture.size // 3 > SAMPLE
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: dominant_colours(picture, 5)[0].tobytes(), range(6)))
    assert len(set(results)) == 1


def spread_of(pixels: NDArray[np.uint8], centres: NDArray[np.float64]) -> float:
    """Sum of squared distances of the pixels from their nearest centres."""
    return float(((pixels.reshape(-1, 1, 3) - centres) ** 2).sum(axis=2).min(axis=1).sum())


NOISE = {
    "even": np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8),
    "normal": np.random.default_rng(0).normal(128, 30, (160, 160, 3)).clip(0, 255).astype(np.uint8),
    "narrow": np.random.default_rng(0).integers(100, 164, (160, 160, 3), np.uint8),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_noise_is_divided_well_with_bounded_work_and_memory(
    noise: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.cluster import KMeans

    visits = list[int]()
    nearest = kmeans._nearest
    monkeypatch.setattr(
        kmeans,
        "_nearest",
        lambda across, *others: visits.append(across.shape[1] * others[0].shape[1]) or nearest(across, *others),
    )
    tracemalloc.start()
    centres, _ = dominant_colours(noise, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
    assert sum(visits) < 400_000
    pixels = noise.reshape(-1, 3).astype(np.float64)
    assert spread_of(noise, centres) < 1.01 * KMeans(5, n_init=1, random_state=0).fit(pixels).inertia_


def test_the_clusters_of_a_noisy_screen_stay_what_they_were() -> None:
    """Pixels and sums of their colours as the first version divided them: light, noise and an object, 6,023 colours."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:120, :120] / 120
    screen = np.dstack([20 * x, 220 - 40 * y, 30 * y]) + random.normal(0, 2, (120, 120, 3))
    picture = np.where((np.hypot(x - 0.5, y - 0.5) < 0.25)[..., None], (180, 60, 40), screen)
    centres, shares = dominant_colours(picture.clip(0, 255).astype(np.uint8), 5)
    count = np.array([4174, 4081, 2813, 1695, 1637])
    sums = [(39827, 893061, 16179), (38658, 756405, 102701), (506340, 168780, 112520), (4008, 338275, 24325)]
    np.testing.assert_array_equal(shares, count / 120**2)
    np.testing.assert_array_equal(centres, [*sums, (27591, 326680, 23774)] / count[:, None])


def test_clusters_are_as_tight_as_those_of_sklearn() -> None:
    from sklearn.cluster import KMeans

    random = np.random.default_rng(1)
    blobs = random.normal(random.uniform(40, 215, (6, 1, 3)), random.uniform(2, 25, (6, 1, 1)), (6, 300, 3))
    pixels = blobs.clip(0, 255).astype(np.uint8).reshape(-1, 3)
    centres, _ = dominant_colours(pixels, 5)
    ours = ((pixels[:, None] - centres) ** 2).sum(axis=2).min(axis=1).sum()
    assert ours <= 1.01 * KMeans(5, n_init=10, random_state=0).fit(pixels.astype(np.float64)).inertia_


# ---- filling


@given(colours, alphas)
@settings(max_examples=30, deadline=None)
def test_filling_keeps_what_is_known_and_stays_within_it(values: Floats, weights: Floats) -> None:
    known = (weights > 0.5).astype(np.float32)
    filled = fill(values, known)
    np.testing.assert_allclose(filled[known > 0], values[known > 0], atol=3e-3)
    assert np.isfinite(filled).all()
    assert filled.min() >= -1e-6
    assert filled.max() <= values.max() + 1e-6


def test_filling_from_one_pixel_gives_its_value_everywhere() -> None:
    weights = np.zeros((33, 17), np.float32)
    weights[4, 5] = 1
    filled = fill(np.full((33, 17, 1), 0.7, np.float32), weights)
    assert filled[4, 5, 0] == pytest.approx(0.7, abs=2e-3)
    assert filled.min() > 0.3  # one pixel of 561 against the doubt


@given(values=colours, weights=alphas, level=units)
@settings(max_examples=30, deadline=None)
def test_gaps_are_closed_by_what_is_known_alone(values: Floats, weights: Floats, level: float) -> None:
    known = (weights > 0.5).astype(np.float32)
    known[0, 0] = 1
    flat = around(np.full((SIDE, SIDE, 3), level, np.float32) * known[..., None], known)
    np.testing.assert_allclose(flat, level, atol=1e-5)
    there = values[known > 0]
    closed = around(values * known[..., None], known)
    assert (closed >= there.min(axis=0) - 1e-5).all()
    assert (closed <= there.max(axis=0) + 1e-5).all()


def test_blurring_sees_only_what_has_weight() -> None:
    weights = np.zeros((20, 20), np.float32)
    weights[5:9, 5:9] = 1
    values = np.where(weights[..., None] > 0, np.float32(0.3), np.float32(77))
    mean, mass = blurred(values, weights, 2.0)
    np.testing.assert_allclose(mean[mass > 1e-3], 0.3, atol=1e-4)
    assert mass.max() < 1


# ---- sizes and choices


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), longest=st.integers(1, 1000))
def test_a_picture_within_a_long_side_keeps_its_shape(height: int, width: int, longest: int) -> None:
    across, down = size_within((height, width, 3), longest)
    assert max(across, down) == min(longest, max(height, width))
    assert abs(across * height - down * width) <= max(height, width)  # half a pixel's rounding, either way


@given(count=st.integers(1, 500), most=st.integers(1, 200))
def test_chosen_pixels_are_even_and_different(count: int, most: int) -> None:
    chosen = evenly_chosen(np.arange(count), most)
    assert len(chosen) == min(count, most)
    steps = np.diff(chosen)
    assert len(steps) == 0 or (steps.min() >= 1 and np.ptp(steps) <= 1)


# ---- plates


@given(seed=st.integers(0, 99))
def test_alike_weights_fit_the_plate_that_no_weights_fit(seed: int) -> None:
    random = np.random.default_rng(seed)
    basis = np.column_stack([np.ones(50), random.uniform(-1, 1, (50, 5))])
    values = random.uniform(0, 255, (50, 3))
    without = least_squares(basis, values)
    np.testing.assert_allclose(least_squares(basis, values, np.full(50, 0.3)), without, atol=1e-8)
    truth = random.uniform(0, 255, (6, 3))
    np.testing.assert_allclose(least_squares(basis, basis @ truth), truth, atol=1)  # the ridge is that light


def sky(height: int, width: int, slope: float) -> tuple[tuple[float, ...], ...]:
    return (
        (20.0, 3 * slope, 0.0, slope, 0.0, 2 * slope),
        (200.0, -8 * slope, 5 * slope, -6 * slope, slope, 0.0),
        (40.0, 0.0, 2 * slope, 0.0, -slope, slope),
    )


@settings(max_examples=15, deadline=None)
@given(slope=st.floats(-4, 4), noise=st.floats(0, 3), seed=st.integers(0, 1000))
def test_the_plate_behind_an_object_is_recovered(slope: float, noise: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = plate_picture(sky(90, 120, slope), 90, 120)
    picture = truth + random.normal(0, noise, truth.shape)
    picture[30:60, 40:80] = random.uniform(0, 255, (30, 40, 3))  # the object
    coarse = np.zeros((90, 120), np.uint8)
    coarse[30:60, 40:70] = 255  # the mask has missed a part of it
    plate, sigma = estimate_plate(picture.round().clip(0, 255).astype(np.uint8), sure_background(coarse))
    # Up to 3 levels of spread a screen counts as one colour; its corners may then be a few levels off.
    assert np.abs(plate_picture(plate, 90, 120) - truth).max() < 8
    assert sigma < noise + 3.5


def test_an_even_screen_has_no_slope() -> None:
    picture = np.full((40, 40, 3), (0, 254, 1), np.uint8)
    plate, sigma = estimate_plate(picture, np.ones((40, 40), np.bool_))
    assert plate == constant_plate((0, 254, 1))
    assert sigma == 0


def test_no_background_left_is_an_error_of_the_data() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(DataError, match="too little") as caught:
        estimate_plate(picture, np.zeros((64, 64), np.bool_))
    assert caught.value.kind == "no_screen"


def test_lengths_scale_with_the_shorter_side() -> None:
    assert [scaled(8, shape) for shape in ((512, 900), (256, 256), (64, 64), (16, 16))] == [8, 4, 1, 1]


# ---- keying


@settings(max_examples=25, deadline=None)
@given(alpha=alphas, grey=alphas, screen=screens)
def test_keying_a_grey_object_returns_its_alpha(alpha: Floats, grey: Floats, screen: Floats) -> None:
    picture = composite(np.dstack([grey] * 3), alpha, screen)
    share = screen_share(picture, plate_of(screen), screen_axis(screen))
    np.testing.assert_allclose(colour_difference(share), alpha, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(alpha=alphas, foreground=colours, screen=screens)
def test_keying_returns_alpha_once_the_foregrounds_own_share_is_known(
    alpha: Floats, foreground: Floats, screen: Floats
) -> None:
    axis, plate = screen_axis(screen), plate_of(screen)
    own = screen_share(foreground, plate, axis)
    keyable = own < 0.7
    share = screen_share(composite(foreground, alpha, screen), plate, axis)
    np.testing.assert_allclose(colour_difference(share, own)[keyable], alpha[keyable], atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(alpha=alphas, foreground=colours, screen=screens)
def test_alpha_is_never_below_the_least_opacity(alpha: Floats, foreground: Floats, screen: Floats) -> None:
    bound = least_opacity(composite(foreground, alpha, screen), plate_of(screen), 1e-6)
    assert (bound <= alpha + 1e-4).all()


def test_yellow_and_cyan_are_not_green_but_grass_is() -> None:
    samples = as_unit(np.array([(255, 255, 0), (0, 255, 255), (255, 255, 255), (60, 160, 40)], np.uint8))
    assert (dominance(samples, (0, 255, 0)) <= [0, 0, 0, 1]).all()
    assert dominance(samples, (0, 255, 0))[3] == pytest.approx(100 / 255)
    assert dominance(np.array([1, 0, 1], np.float32), (255, 0, 255)) == 1
    assert dominance(np.array([1, 0, 0], np.float32), (255, 0, 255)) == 0


def test_a_grey_screen_cannot_be_keyed() -> None:
    with pytest.raises(DataError, match="too grey"):
        screen_axis(np.array([0.5, 0.52, 0.5], np.float32))


@given(alpha=alphas, threshold=st.floats(0, 0.15))
def test_clipping_the_ends_leaves_the_middle_alone(alpha: Floats, threshold: float) -> None:
    clipped = clip_ends(alpha, threshold)
    assert clipped.min() >= 0
    assert clipped.max() <= 1
    middle = (alpha >= 2 * threshold) & (alpha <= 1 - 2 * threshold)
    np.testing.assert_array_equal(clipped[middle], alpha[middle])
    assert (clipped[alpha < threshold] == 0).all()
    assert (np.diff(clip_ends(np.linspace(0, 1, 200, dtype=np.float32), threshold)) >= -1e-6).all()


# ---- unmixing


@settings(max_examples=25, deadline=None)
@given(alpha=alphas, foreground=colours, screen=screens)
def test_unmixing_undoes_compositing(alpha: Floats, foreground: Floats, screen: Floats) -> None:
    found = spread(unmixed(composite(foreground, alpha, screen), alpha, plate_of(screen)), alpha)
    seen = alpha > SEEN
    np.testing.assert_allclose(found[seen], foreground[seen], atol=1e-4)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


@given(alpha=alphas, foreground=colours)
@settings(max_examples=25, deadline=None)
def test_straight_colour_undoes_premultiplying_where_it_can(alpha: Floats, foreground: Floats) -> None:
    there = alpha > 1 / 255
    found = straight(foreground * alpha[..., None], alpha, least=1 / 255)
    np.testing.assert_allclose(found[there], foreground[there], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(foreground=colours, band=arrays(np.bool_, (SIDE, SIDE)), own=units, key=st.sampled_from(SCREENS))
def test_despill_caps_the_key_colour_in_the_band_and_nowhere_else(
    foreground: Floats, band: NDArray[np.bool_], own: float, key: tuple[int, int, int]
) -> None:
    allowed = np.full((SIDE, SIDE), own, np.float32)
    cleaned = despill(foreground, band, key, allowed)
    np.testing.assert_array_equal(cleaned[~band], foreground[~band])
    assert (dominance(cleaned, key)[band] <= own + 1e-6).all()
    assert (cleaned <= foreground).all()


@given(arrays(np.uint8, (SIDE, SIDE, 3)))
def test_levels_survive_the_way_to_unit_and_back(picture: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(as_levels(as_unit(picture)), picture)
