"""α with what neighbours tell: in pictures whose chroma was halved, as nearly every camera does, and in whole ones."""

from collections.abc import Sequence
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.keyer import edge_network
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.edges import corrected, features
from factory.greenscreen.keyer.evidence import Evidence, evidence
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.tiles import TILE
from factory.quality.metrics import gradient_error, mse, whole
from factory.sources.clips.colour import colours_of, to_rgb
from factory.sources.procedural.render import render

Floats = NDArray[np.float32]
SCREENS = {"green": (70, 160, 80), "blue": (50, 80, 190)}


def drawn(name: str, key: Sequence[int], tint: Sequence[float] = ()) -> tuple[Floats, Floats]:
    """A painted object before a screen of one colour, and its α. tint: of the rough grey that it is made of then."""
    painted = render(name, 5, 320)
    foreground, truth = as_unit(painted.foreground), as_unit(painted.alpha)
    if tint:
        rough = np.random.default_rng(3).random((40, 40)).astype(np.float32)
        grain = np.clip(cv2.resize(rough, truth.shape, interpolation=cv2.INTER_CUBIC), 0, 1)[..., None]
        foreground = np.asarray((0.3 * foreground + 0.7 * grain) * np.asarray(tint), np.float32)
    screen = np.broadcast_to(np.asarray(key, np.float32) / 255, foreground.shape)
    return as_unit(as_levels(composite(foreground, truth, screen))), truth


def halved(picture: Floats) -> Floats:
    """The picture after 8-bit 4:2:0, as a decoder shows it."""
    frame = av.VideoFrame.from_ndarray(as_levels(picture), format="rgb24").reformat(format="yuv420p")
    return to_rgb(frame, colours_of(frame))


def scene(name: str, screen: str = "green", size: int = 320) -> tuple[Floats, Floats]:
    """A noisy painted object before a lit screen, in 4:2:0, and its α."""
    painted = render(name, 5, size)
    truth = as_unit(painted.alpha)
    light = np.linspace(0.9, 1.1, size, dtype=np.float32)[None, :, None]
    lit = composite(as_unit(painted.foreground), truth, light * np.array(SCREENS[screen], np.float32) / 255)
    noise = np.random.default_rng(1).normal(0, 1.5 / 255, lit.shape).astype(np.float32)
    return halved(np.asarray(np.clip(lit + noise, 0, 1), np.float32)), truth


def seen_in(picture: Floats) -> Evidence:
    screen = find_screen([picture])
    plate = plate_at(clean_plate([picture], screen), *picture.shape[:2])
    return evidence(picture, plate, screen, KeyerSettings())


def left_of_errors(seen: Evidence, picture: Floats, truth: Floats) -> tuple[float, float]:
    """What the network leaves of MSE and of Grad, as shares."""
    levels, frame = as_levels(truth), whole(as_levels(truth))
    before, after = as_levels(seen.alpha), as_levels(corrected(seen, picture))
    return (
        mse(after, levels, frame) / mse(before, levels, frame),
        gradient_error(after, levels, frame) / gradient_error(before, levels, frame),
    )


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", ["feather", "net", "wig"])
def test_luma_sharpens_what_half_resolution_chroma_blurred(name: str, screen: str) -> None:
    picture, truth = scene(name, screen)
    seen = seen_in(picture)
    assert seen.half
    square, gradient = left_of_errors(seen, picture, truth)
    assert square < 0.8
    assert gradient < 0.75


@pytest.mark.parametrize(("key", "tint"), [((0, 255, 0), (0.7, 1, 0.7)), ((0, 0, 255), (0.7, 0.7, 1))])
@pytest.mark.parametrize("name", ["wig", "octopus", "hat", "cat"])
def test_shapes_tell_an_objects_own_green_from_a_drawn_screen(name: str, key: list[int], tint: list[float]) -> None:
    picture, truth = drawn(name, key, tint)
    seen = seen_in(picture)
    assert seen.drawn
    square, gradient = left_of_errors(seen, picture, truth)
    assert square < 0.9
    assert gradient < 0.8


@pytest.mark.parametrize("name", ["net", "fern", "fish"])
def test_what_colour_alone_tells_to_the_level_is_left_alone(name: str) -> None:
    picture, truth = drawn(name, (0, 255, 0))
    seen = seen_in(picture)
    alpha, solid = as_levels(corrected(seen, picture)), truth == 1
    assert np.count_nonzero(alpha[solid] < 255) <= np.count_nonzero(as_levels(seen.alpha)[solid] < 255)
    assert mse(alpha, as_levels(truth), whole(alpha)) < 1e-6


def test_before_a_drawn_screen_rims_are_raised_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, _ = drawn("hat", (0, 255, 0), (0.7, 1, 0.7))
    seen = seen_in(picture)
    for change, at_rim, inside in ((0.2, 0.1, 0.2), (-0.2, -0.2, -0.2)):

        def everywhere(tiles: Floats, *, half: bool, change: float = change) -> Floats:
            return np.full((len(tiles), TILE, TILE), change, np.float32)

        monkeypatch.setattr(edge_network, "corrections", everywhere)
        taken = corrected(seen, picture) - np.clip(seen.alpha, -0.5, 1.5)
        depth = cv2.distanceTransform((seen.alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        told = np.abs(seen.alpha - np.clip(np.rint(seen.alpha), 0, 1))  # from 0 or 1
        assert np.allclose(taken[(told > 0.02) & (depth < 8)], at_rim, atol=1e-6)
        assert np.allclose(taken[(told > 0.02) & (depth > 32)], inside, atol=1e-6)
        assert not taken[told < 0.004].any()


@pytest.mark.parametrize("made", [scene("feather"), drawn("wig", (0, 255, 0), (0.7, 1, 0.7))], ids=["half", "drawn"])
def test_a_picture_of_any_size_is_worked_on_in_tiles_without_seams(made: tuple[Floats, Floats]) -> None:
    picture, _ = made
    seen = seen_in(picture)
    there = corrected(seen, picture)
    odd = picture[: TILE * 3 + 7, : TILE * 2 + 5]
    here = corrected(cut(seen, *odd.shape[:2]), odd)
    assert here.shape == odd.shape[:2]
    inside = np.s_[: TILE * 2, :TILE]  # away from the cut
    assert np.abs(here[inside] - there[inside]).max() < 0.02


def cut(seen: Evidence, height: int, width: int) -> Evidence:
    """What is known of the picture's top left part alone."""
    part = np.s_[:height, :width]
    full = seen.alpha.shape
    fields = [cv2.resize(f, full[::-1])[part] for f in (*seen.clouds, seen.behind.plate, seen.field)]
    mean, covariance, plate, field = (np.asarray(f, np.float32) for f in fields)
    return seen._replace(
        alpha=seen.alpha[part],
        apparent=seen.apparent[part],
        clouds=type(seen.clouds)(mean, covariance),
        behind=replace(seen.behind, plate=plate),
        field=field,
    )


@pytest.mark.parametrize("made", [scene("net"), drawn("wig", (0, 255, 0), (0.7, 1, 0.7))], ids=["half", "drawn"])
def test_clear_screen_and_the_inside_of_an_object_stay_as_they_are(made: tuple[Floats, Floats]) -> None:
    picture, _ = made
    seen = seen_in(picture)
    for level in (0.0, 1.0):
        flat = seen._replace(alpha=np.full_like(seen.alpha, level))
        assert np.array_equal(corrected(flat, picture), flat.alpha)


def test_what_the_network_is_told_is_of_the_order_of_one() -> None:
    for (picture, _), count in ((scene("wig"), 6), (drawn("wig", (0, 255, 0)), 10)):
        known = features(seen_in(picture), picture)
        assert [(field.shape, field.dtype) for field in known] == count * [(picture.shape[:2], np.float32)]
        assert all(0.1 < float(np.abs(field).max()) <= 4 for field in known)


def test_a_clip_that_says_it_is_subsampled_is_not_judged_by_its_looks() -> None:
    picture, _ = scene("wig")
    grain = np.random.default_rng(2).normal(0, 0.02, picture.shape).astype(np.float32)
    rough = np.clip(cv2.GaussianBlur(picture, (0, 0), 1) + grain, 0, 1)  # luma as soft as chroma: out of focus
    screen = find_screen([rough])
    plate = plate_at(clean_plate([rough], screen), *rough.shape[:2])
    assert not evidence(rough, plate, screen, KeyerSettings()).half
    assert evidence(rough, plate, screen, KeyerSettings(), halved=True).half
