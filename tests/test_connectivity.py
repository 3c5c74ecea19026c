"""Promise: connectivity-aware refinement mends a matte inside and outside, never its rim, and the colours still fit."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from layer_faults import FAULTS, faulty
from numpy.typing import NDArray

from factory.engine.plan import read_plan
from factory.equation import constant_plate, residual
from factory.errors import UsageError
from factory.greenscreen.compositing import as_levels, paint_on_screen
from factory.jobs.refine import RefineRecipe
from factory.models.device import CPU
from factory.quality.metrics import mse, whole
from factory.refine.connectivity import ConnectivitySettings, connected
from factory.refine.rim import RimSettings, with_mended_inside
from factory.refine.translucent import TRANSLUCENT, is_one_of, pattern
from factory.review.verify import verify_set
from factory.run.execute import execute
from factory.sample import Matte, Origin, Picture, Rejection, Request, Sample
from factory.shards.layout import Layout
from factory.shards.reader import read_samples
from factory.sources.procedural.render import render

OLD_SET = Path(__file__).parent / "old_sets" / "built"
OWN = RimSettings()
ANY = ConnectivitySettings(repaired_max=None)
SCREEN = (0, 255, 0)
OBJECTS = ("mushroom", "cat", "gear", "mug")


def disc(side: int, radius: float, centre: tuple[float, float] = (0.5, 0.5)) -> NDArray[np.float64]:
    """An antialiased disc; lengths in shares of the side, the centre as row and column."""
    y, x = np.mgrid[:side, :side] + 0.5
    return np.clip(radius * side - np.hypot(y - centre[0] * side, x - centre[1] * side) + 0.5, 0, 1)


def levels(alpha: NDArray[np.float64]) -> Matte:
    return as_levels(alpha)


def sample_of(
    alpha: Matte,
    foreground: Picture,
    rgb: Picture | None = None,
    seen: Literal["unmixed", "given"] = "given",
    class_name: str = "",
) -> Sample:
    return Sample(
        request=Request(key="0000000000", slot=0, attempt=0, seed=0),
        origin=Origin(kind="generated", class_name=class_name, foreground=seen, key_rgb=SCREEN),
        rgb=paint_on_screen(foreground, alpha, SCREEN) if rgb is None else rgb,
        alpha=alpha,
        foreground=foreground,
        plate=constant_plate(SCREEN),
    )


def mended(sample: Sample, own: ConnectivitySettings = ANY) -> tuple[Matte, Picture, Picture, float]:
    """α, foreground and picture of the refined sample, and the equation's error in levels."""
    result = own.stage(CPU, 1)(sample)
    assert isinstance(result, Sample)
    assert result.alpha is not None
    assert result.foreground is not None
    return (
        result.alpha,
        result.foreground,
        result.rgb,
        residual(result.rgb, result.alpha, result.foreground, result.plate),
    )


# ---- laws


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 48), st.integers(1, 48)), elements=st.sampled_from([0, 2, 60, 200, 253, 255])
    )
)
def test_any_matte_is_only_ever_made_0_or_255(matte: Matte) -> None:
    before = matte.copy()
    result = with_mended_inside(matte, OWN)
    assert np.array_equal(matte, before), "the input is not written to"
    assert (result.shape, result.dtype) == (matte.shape, np.uint8)
    assert np.isin(result[result != matte], [0, 255]).all()


@pytest.mark.parametrize("level", [0, 3, 128, 252, 255])
def test_a_matte_of_one_level_survives(level: int) -> None:
    matte = np.full((40, 50), level, np.uint8)
    assert np.array_equal(with_mended_inside(matte, OWN), matte)


@pytest.mark.parametrize(
    ("side", "inverted"), [(32, False), (32, True), (64, False), (300, True), (512, True), (2048, False)]
)
def test_a_true_matte_of_any_size_stays_as_it_is(side: int, inverted: bool) -> None:
    matte = render("cat", 3, min(side, 512)).alpha
    matte = cv2.resize(matte, (side, side), interpolation=cv2.INTER_LINEAR)
    matte = np.asarray(255 - matte if inverted else matte, np.uint8)
    assert np.mean(with_mended_inside(matte, OWN) != matte) <= 1e-3


@pytest.mark.parametrize("fault", [*FAULTS, "all"])
def test_each_fault_is_mended_and_a_second_time_finds_next_to_nothing(fault: str) -> None:
    raw, left = 0.0, 0.0
    for name in OBJECTS:
        truth = render(name, 5, 256).alpha
        spoilt = faulty(truth, name, fault)
        result = with_mended_inside(spoilt, OWN)
        raw, left = raw + mse(spoilt, truth, whole(truth)), left + mse(result, truth, whole(truth))
        assert np.mean(with_mended_inside(result, OWN) != result) <= 2e-3, name
    assert left < 0.35 * raw


def test_the_rim_of_a_spoilt_matte_is_that_of_the_true_one() -> None:
    truth = levels(disc(256, 0.3) + disc(256, 0.03, (0.12, 0.5)))
    spoilt = truth.copy()
    spoilt[110:150, 100:160] = 180  # a blotch far from the rim
    spoilt[230:250, 10:60] = 50  # haze
    rim = (truth > 0) & (truth < 255)
    result = with_mended_inside(spoilt, OWN)
    assert rim.any()
    assert np.array_equal(result[rim], truth[rim])
    assert np.array_equal(result, truth)


def test_a_hole_keeps_its_rim_and_what_fills_the_object_goes() -> None:
    truth = levels(disc(256, 0.4) - disc(256, 0.1, (0.4, 0.5)))
    spoilt = truth.copy()
    spoilt[160:200, 100:150] = 120
    assert np.array_equal(with_mended_inside(spoilt, OWN), truth)


def test_hairs_that_are_torn_off_are_kept_and_a_far_ghost_is_not() -> None:
    body = levels(disc(512, 0.25))
    with_hair = body.copy()
    for column in range(150, 370, 20):  # four pixels above the rim
        top = int(np.flatnonzero(body[:, column] > 0)[0])
        with_hair[top - 34 : top - 4, column] = 150
    spoilt = with_hair.copy()
    spoilt[20:50, 20:60] = 150
    assert np.array_equal(with_mended_inside(spoilt, OWN), with_hair)


@pytest.mark.parametrize("wrong", [{"tolerance": 128}, {"tolerance": -1}, {"one_sided": 0.5}])
def test_settings_that_leave_no_sense_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=rf"^connectivity\.rim\.{next(iter(wrong))} is .*: choose"):
        RimSettings(**wrong)  # type: ignore[arg-type]


# ---- which objects


@pytest.mark.parametrize(
    "said", ["a wine glass", "Glasses", "fishing nets", "smoke", "a see-through dress", "Ice cube"]
)
def test_what_is_translucent_by_nature_is_left_alone(said: str) -> None:
    spoilt = faulty(render("mug", 5, 128).alpha, said, "blotches")
    sample = sample_of(spoilt, np.full((128, 128, 3), 90, np.uint8), class_name=said)
    assert ANY.stage(CPU, 1)(sample) is sample
    assert (mended(sample, replace(ANY, left_alone=()))[0] != spoilt).any(), "a recipe may have other words"
    assert (mended(sample, replace(ANY, left_alone=("unicorn", " ")))[0] != spoilt).any()


@pytest.mark.parametrize(
    "said",
    [
        "grass",
        "dice and mice",
        "a woman with wavy hair, soft window light, 85 mm lens, flash",
        "green screen, a dog",
        "",
        "a network",
    ],
)
def test_words_that_only_look_like_it_are_not_heeded(said: str) -> None:
    words = pattern(TRANSLUCENT)
    assert not is_one_of(Origin(kind="generated", class_name=said), words)
    for place in ({"caption": f"{said} of lace"}, {"prompt": f"a veil, {said}"}):
        assert is_one_of(replace(Origin(kind="generated"), **place), words)


# ---- colours


def with_faults() -> tuple[Matte, Matte]:
    """A true disc, and the disc with a blotch inside and a ghost outside."""
    truth = levels(disc(128, 0.3))
    spoilt = truth.copy()
    spoilt[58:70, 58:70] = 140
    spoilt[8:24, 8:24] = 100
    return truth, spoilt


def test_a_composed_picture_is_composed_again() -> None:
    truth, spoilt = with_faults()
    foreground = np.full((128, 128, 3), (200, 40, 60), np.uint8)
    foreground[:40, :40] = (10, 20, 250)  # the ghost's
    alpha, colours, picture, error = mended(sample_of(spoilt, foreground))
    assert np.array_equal(alpha, truth)
    assert np.array_equal(picture, paint_on_screen(colours, truth, SCREEN))
    assert error <= 1
    assert np.abs(colours[8:24, 8:24].astype(int) - (10, 20, 250)).max() < 200, "padded, no longer the ghost's"
    same = alpha == spoilt
    assert np.array_equal(colours[same], foreground[same])


def test_a_picture_that_was_seen_stays_and_has_a_say() -> None:
    truth, spoilt = with_faults()
    foreground = np.full((128, 128, 3), (200, 40, 60), np.uint8)
    shown = paint_on_screen(foreground, truth, SCREEN)
    alpha, colours, picture, error = mended(sample_of(spoilt, foreground, shown, "unmixed"))
    assert np.array_equal(alpha, truth), "there it shows the object, and there the bare screen"
    assert picture is shown
    assert error <= 1
    assert np.array_equal(colours[58:70, 58:70], shown[58:70, 58:70])

    against = paint_on_screen(foreground, spoilt, SCREEN)  # a true ghost
    against[58:70, 58:70] = SCREEN  # and a true hole
    alpha, _, picture, _ = mended(sample_of(spoilt, foreground, against, "unmixed"))
    assert np.array_equal(alpha, spoilt)
    assert picture is against


def test_a_sample_without_alpha_or_foreground_is_no_fault() -> None:
    truth, spoilt = with_faults()
    sample = sample_of(spoilt, np.zeros((128, 128, 3), np.uint8))
    bare = replace(sample, foreground=None)
    result = connected(bare, ANY)
    assert isinstance(result, Sample)
    assert np.array_equal(result.alpha, truth)
    assert connected(replace(sample, alpha=None), ANY).alpha is None  # type: ignore[union-attr]


def test_too_much_to_mend_is_a_rejection_with_its_number() -> None:
    _, spoilt = with_faults()
    sample = sample_of(spoilt, np.zeros((128, 128, 3), np.uint8))
    verdict = connected(sample, ConnectivitySettings(repaired_max=0.01))
    assert isinstance(verdict, Rejection)
    assert verdict.reason == "repaired"
    assert verdict.detail == (
        "the share of the picture whose alpha the connectivity prior mends is 0.0244, asked is at most 0.01"
    )
    assert isinstance(connected(sample, ConnectivitySettings(repaired_max=0.03)), Sample)
    noisy = np.where(spoilt == 0, 4, spoilt).astype(np.uint8)
    assert isinstance(connected(replace(sample, alpha=noisy), ConnectivitySettings(repaired_max=0.03)), Sample)


def test_a_job_mends_a_set_that_stays_whole(tmp_path: Path) -> None:
    def refined(out: Path, **fields: object) -> Path:
        own = {"data": OLD_SET, "out": out, "executor": "local", "workers": 1, "gates": {"duplicate_distance": -1}}
        recipe = RefineRecipe.model_validate({**own, **fields})
        assert execute(recipe, lambda sentence: None).accepted == 6
        return out

    plain, out = refined(tmp_path / "plain"), refined(tmp_path / "connected", connectivity={"rim": {"depth": 2}})
    assert "connectivity" not in read_plan(Layout(plain).plan).settings
    assert read_plan(Layout(out).plan).settings["connectivity"]["rim"]["depth"] == 2
    assert verify_set(out, 1) == []
    pairs = list(zip(read_samples(plain, "train"), read_samples(out, "train"), strict=True))
    assert any((before.alpha != after.alpha).any() for before, after in pairs)
    assert all(np.array_equal(before.rgb, after.rgb) for before, after in pairs)
