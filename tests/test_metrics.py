"""SAD, MSE, Grad and Conn are those of the Deep Image Matting evaluation code, to 1e-5."""

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from factory.errors import DataError
from factory.quality.metrics import (
    Errors,
    connectivity_error,
    dtssd,
    gradient_error,
    measure,
    mse,
    sad,
    unknown,
    whole,
)

Matte = NDArray[np.uint8]
CASES = ("disk", "two_blobs", "low_contrast", "plateau153", "identical", "alphamatting_GT01")
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
SIDE = 64
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float64)


def same(errors: Errors, sad: float, mse: float, grad: float, conn: float) -> None:
    expected = {"sad": sad, "mse": mse, "grad": grad, "conn": conn}
    assert asdict(errors) == pytest.approx(expected, rel=1e-5, abs=0)


# --- the original code's own numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_those_of_the_original_code(shared_data: Path, case: str) -> None:
    folder = shared_data / "metrics_reference"
    reference = json.loads((folder / "reference.json").read_text())["values"][case]
    parts = (cv2.imread(str(folder / f"{case}.{part}.png"), cv2.IMREAD_UNCHANGED) for part in ("pred", "gt", "trimap"))
    prediction, target, trimap = (np.asarray(part, np.uint8) for part in parts)
    same(measure(prediction, target, unknown(trimap)), **{name.lower(): value for name, value in reference.items()})


def disc(cx: float, cy: float, core: float, ramp: float) -> NDArray[np.float64]:
    """1 in the core, then linearly to 0 over `ramp` pixels."""
    return np.asarray(np.clip(1 - (np.hypot(X - cx, Y - cy) - core) / ramp, 0, 1), np.float64)


def levels(alpha: NDArray[np.float64]) -> Matte:
    return np.floor(255 * alpha + 0.5).astype(np.uint8)


def trimap_around(target: Matte, growth: int) -> Matte:
    band = cv2.dilate(((target > 0) & (target < 255)).astype(np.uint8), CROSS, iterations=growth)
    return np.where(band > 0, 128, np.where(target == 255, 255, 0)).astype(np.uint8)


def test_a_soft_disc_set_beside_its_place() -> None:
    target, prediction = levels(disc(32, 32, 16, 8)), levels(disc(33, 31, 14, 10))
    region = unknown(trimap_around(target, 5))
    same(measure(prediction, target, region), 0.147662744, 0.0126845436, 0.131007656, 0.14746663)


def test_gradients_are_taken_of_mattes_stretched_to_their_own_range() -> None:
    soft = disc(32, 32, 16, 8)
    target, faint = levels(soft), np.floor(26 + 153 * soft).astype(np.uint8)
    region = unknown(trimap_around(target, 5))
    same(measure(faint, target, region), 0.309035361, 0.0303984191, 5.16870496e-05, 0.236172542)


def test_alpha_of_153_reaches_the_level_of_six_tenths() -> None:
    """In float64, 153/255 < 0.6000000000000001 = 6 × 0.1, and Conn would be half as much again."""
    target = np.zeros((SIDE, SIDE), np.uint8)
    target[8:56, 8:56] = 153
    target[24:40, 24:40] = 255
    prediction, trimap = target.copy(), np.full_like(target, 128)
    prediction[40:44, 40:44] = 200
    trimap[26:38, 26:38] = 255
    same(measure(prediction, target, unknown(trimap)), 0.00294901966, 0.000137536641, 0.00434935652, 0.00294901943)


# --- by hand ------------------------------------------------------------------------------------------------------


def test_sad_and_mse_by_hand() -> None:
    prediction, target = np.array([[0, 51, 255, 255]], np.uint8), np.array([[0, 102, 0, 255]], np.uint8)
    region = np.array([[True, True, True, False]])
    assert sad(prediction, target, region) == pytest.approx((0.2 + 1) / 1000)
    assert mse(prediction, target, region) == pytest.approx((0.04 + 1) / 3)


def test_the_gradient_of_a_step_by_hand() -> None:
    """Against a flat matte only the step's own gradient counts: sums over the kernel's columns, beside the step."""
    step, flat = np.zeros((16, 32), np.uint8), np.zeros((16, 32), np.uint8)
    step[:, 16:] = 255
    x = np.arange(-4, 5)
    kernel = np.outer(np.exp(-(x**2) / 3.92), -x * np.exp(-(x**2) / 3.92))
    kernel /= np.sqrt((kernel**2).sum())
    assert kernel[4, :5] == pytest.approx([0.02748698, 0.12294591, 0.29347417, 0.31543372, 0], abs=1e-8)
    response = np.abs(np.cumsum(kernel.sum(axis=0)))[:-1]  # at the 8 pixels from which the step is seen
    assert response.max() == pytest.approx(2.661997, rel=1e-6)
    assert gradient_error(step, flat, whole(step)) == pytest.approx(16 * (response**2).sum() / 1000, rel=1e-5)


def test_what_hangs_on_nothing_is_an_error_of_connectivity() -> None:
    """Two islands of one pair of mattes: one of them has lost half its α. Only the larger counts as connected."""
    target = np.zeros((9, 20), np.uint8)
    target[1:8, 1:8], target[3:6, 15:18] = 255, 255
    prediction = target.copy()
    prediction[3:6, 15:18] = 102
    # l = 0 on the small island: φ = 1 − α for both, as α ≥ 0.15
    assert connectivity_error(prediction, target, whole(target)) == pytest.approx(9 * 0.6 / 1000)
    prediction[1:8, 1:8] = 230  # 0.902: l = 0.9 there, φ* = 1 as 1 − 0.9 < 0.15
    assert connectivity_error(prediction, target, whole(target)) == pytest.approx(9 * 0.6 / 1000)


def test_mattes_that_share_nothing_are_cut_off_everywhere() -> None:
    target, prediction = np.zeros((4, 8), np.uint8), np.zeros((4, 8), np.uint8)
    target[:, :4], prediction[:, 4:] = 255, 255
    assert connectivity_error(prediction, target, whole(target)) == pytest.approx(32 / 1000)


# --- against the definition, written out --------------------------------------------------------------------------

LEVELS = [0, 25, 26, 51, 76, 77, 102, 128, 153, 178, 179, 204, 229, 230, 254, 255]
sides = st.tuples(st.integers(1, 9), st.integers(1, 9))
pairs = sides.flatmap(lambda shape: st.tuples(*[arrays(np.uint8, shape, elements=st.sampled_from(LEVELS))] * 2))
regions = st.integers(0, 2**32 - 1)


def some_region(matte: Matte, seed: int) -> NDArray[np.bool_]:
    region = np.random.default_rng(seed).random(matte.shape) < 0.7
    region.flat[0] = True
    return region


def components(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """4-connected, in the order in which MATLAB meets them: column by column."""
    left = {(int(y), int(x)) for x, y in np.argwhere(mask.T)}
    found = []
    for seed in sorted(left, key=lambda place: (place[1], place[0])):
        if seed not in left:
            continue
        left.discard(seed)
        component, edge = {seed}, [seed]
        while edge:
            y, x = edge.pop()
            near = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left
            left -= near
            component |= near
            edge += near
        found.append(component)
    return found


def connectivity_written_out(prediction: Matte, target: Matte, region: NDArray[np.bool_]) -> float:
    p, t = prediction.astype(np.float32) / np.float32(255), target.astype(np.float32) / np.float32(255)
    steps = [np.float32(k / 10) for k in range(11)]
    level = np.full(p.shape, -1, np.float32)
    for low, high in pairwise(steps):
        found = components((p >= high) & (t >= high))
        omega = max(found, key=len) if found else set[tuple[int, int]]()
        for place in np.ndindex(p.shape):
            if level[place] == -1 and place not in omega:
                level[place] = low
    level[level == -1] = 1
    phi = [1 - (a - level) * (a - level >= np.float32(0.15)) for a in (p, t)]
    return float(np.abs(phi[0] - phi[1])[region].sum()) / 1000


@given(pairs, regions)
@settings(max_examples=150, deadline=None)
def test_connectivity_follows_its_definition(pair: tuple[Matte, Matte], seed: int) -> None:
    region = some_region(pair[0], seed)
    expected = connectivity_written_out(*pair, region)
    assert connectivity_error(*pair, region) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def gradient_written_out(matte: Matte) -> NDArray[np.float64]:
    x = np.arange(-4, 5)
    gauss = np.exp(-(x**2) / (2 * 1.4**2)) / (1.4 * np.sqrt(2 * np.pi))
    kernel = np.outer(gauss, -x * gauss / 1.4**2)
    kernel /= np.sqrt((kernel**2).sum())
    low, high = float(matte.min()), float(matte.max())
    padded = np.pad((matte - low) / max(high - low, 1), 4, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (9, 9))
    x_and_y = [(windows * k).sum(axis=(2, 3)) for k in (kernel, kernel.T)]
    return np.asarray(np.hypot(*x_and_y), np.float64)


@given(pairs, regions)
@settings(max_examples=100, deadline=None)
def test_gradients_follow_their_definition(pair: tuple[Matte, Matte], seed: int) -> None:
    region = some_region(pair[0], seed)
    difference = gradient_written_out(pair[0]) - gradient_written_out(pair[1])
    expected = float((difference[region] ** 2).sum()) / 1000
    assert gradient_error(*pair, region) == pytest.approx(expected, rel=1e-4, abs=1e-9)


# --- laws ---------------------------------------------------------------------------------------------------------


@given(pairs)
@settings(max_examples=100, deadline=None)
def test_a_perfect_prediction_has_no_error_at_all(pair: tuple[Matte, Matte]) -> None:
    assert measure(pair[0], pair[0].copy(), whole(pair[0])) == Errors(sad=0, mse=0, grad=0, conn=0)


@given(pairs, regions)
@settings(max_examples=100, deadline=None)
def test_prediction_and_truth_may_change_places(pair: tuple[Matte, Matte], seed: int) -> None:
    region = some_region(pair[0], seed)
    assert measure(pair[0], pair[1], region) == measure(pair[1], pair[0], region)


@given(pairs)
@settings(max_examples=50, deadline=None)
def test_a_mirrored_pair_has_the_same_errors_but_for_ties(pair: tuple[Matte, Matte]) -> None:
    """Which of two equally large components counts depends on the side one comes from; no other error does."""
    errors = measure(*pair, whole(pair[0]))
    prediction, target = (np.ascontiguousarray(matte[::-1]) for matte in pair)
    mirrored = measure(prediction, target, whole(target))
    for name in ("sad", "mse", "grad"):
        assert getattr(mirrored, name) == pytest.approx(getattr(errors, name), rel=1e-4, abs=1e-9)


@given(pairs, regions)
@settings(max_examples=50, deadline=None)
def test_sums_over_two_parts_of_a_picture_add_up(pair: tuple[Matte, Matte], seed: int) -> None:
    region = np.random.default_rng(seed).random(pair[0].shape) < 0.5
    for error in (sad, gradient_error, connectivity_error):
        parts = error(*pair, region) + error(*pair, ~region)
        assert parts == pytest.approx(error(*pair, whole(pair[0])), rel=1e-6, abs=1e-9)


def test_nothing_is_measured_over_nothing_or_over_unlike_shapes() -> None:
    matte = np.zeros((4, 5), np.uint8)
    with pytest.raises(DataError, match="no pixel") as empty:
        measure(matte, matte, np.zeros((4, 5), np.bool_))
    with pytest.raises(DataError, match="prediction 5×4, truth 4×5") as size:
        measure(matte, np.ascontiguousarray(matte.T), whole(matte))
    assert (empty.value.kind, size.value.kind) == ("empty_region", "size")


# --- clips --------------------------------------------------------------------------------------------------------


def test_dtssd_is_the_root_mean_square_of_how_changes_differ_step_by_step() -> None:
    """By hand: of 4 pixels one changes by 51 levels (0.2) too much, then two by 102 (0.4)."""
    truth = [np.zeros((2, 2), np.uint8), np.full((2, 2), 100, np.uint8), np.full((2, 2), 100, np.uint8)]
    found = [truth[0], truth[1] + np.array([[51, 0], [0, 0]], np.uint8), truth[2].copy()]
    found[2] += np.array([[153, 102], [0, 0]], np.uint8)
    expected = (np.sqrt(0.2**2 / 4) + np.sqrt(2 * 0.4**2 / 4)) / 2
    assert dtssd(found, truth) == pytest.approx(expected, rel=1e-12)


def test_dtssd_forgives_what_stays_and_counts_what_moves() -> None:
    truth = [np.zeros((8, 8), np.uint8)] * 4
    still, moving = ([t.copy() for t in truth] for _ in range(2))
    for number in range(4):
        still[number][0, 0] = 200
        moving[number][0, number] = 200
    assert dtssd(still, truth) == 0
    assert dtssd(moving, truth) == pytest.approx(200 / 255 * np.sqrt(2 / 64))
    for wrong in (truth[:3], [*truth[:3], np.zeros((9, 8), np.uint8)]):
        with pytest.raises(DataError):
            dtssd(wrong, truth)
    with pytest.raises(DataError):
        dtssd(truth[:1], truth[:1])
