"""GreenPost on pictures whose alpha is known."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from factory.equation import plate_picture, residual
from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS, Colour
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.keying import dominance
from factory.refine.greenpost import GreenPostSettings, green_post
from factory.sample import Matte, Origin, Picture, Request, Sample

Floats = NDArray[np.float32]
GREEN = KEY_COLOURS["green"]
SETTINGS = GreenPostSettings()


def sample_of(picture: Picture, coarse: Matte | None, key: Colour = GREEN, alpha: Matte | None = None) -> Sample:
    request = Request(key="0000000000", slot=0, attempt=0, seed=0)
    return Sample(
        request=request, origin=Origin(kind="generated", key_rgb=key), rgb=picture, coarse=coarse, alpha=alpha
    )


def disc(side: int, radius: float, centre: float = 0.5) -> Floats:
    """An antialiased disc; radius and centre in shares of the side."""
    y, x = np.mgrid[:side, :side] + 0.5
    distance = np.hypot(y - centre * side, x - centre * side)
    return np.asarray(np.clip(radius * side - distance + 0.5, 0, 1), np.float32)


def painted(alpha: Floats, colour: tuple[float, float, float], key: Colour = GREEN) -> Picture:
    foreground = np.broadcast_to(np.array(colour, np.float32), (*alpha.shape, 3))
    return as_levels(composite(np.asarray(foreground), alpha, as_unit(np.array(key, np.uint8))))


def head(alpha: Floats) -> Matte:
    """What a small matting head knows: the blurred alpha."""
    return as_levels(np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.7 * len(alpha) / 64), np.float32))


def error(sample: Sample, alpha: Floats) -> float:
    """MSE × 1000."""
    assert sample.alpha is not None
    return float(1e3 * np.mean((as_unit(sample.alpha) - alpha) ** 2))


def stored_residual(sample: Sample) -> float:
    assert sample.alpha is not None
    assert sample.foreground is not None
    return residual(sample.rgb, sample.alpha, sample.foreground, sample.plate)


# ---- real objects


def pictures(folder: Path, side: int) -> list[tuple[Floats, Floats]]:
    """Straight foreground and alpha of RGBA pictures without much green, at the given side."""
    files = sorted(folder.glob("rgba_*/fg/*.png")) + sorted(folder.glob("rgba_layerdiffuse/*.png"))
    files += sorted(folder.glob("rgba_fluent_emoji_3d/*.webp"))[:: 60 if side < 512 else 200]
    found = []
    for file in files:
        rgba = as_unit(np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint8)[..., [2, 1, 0, 3]])
        rgba[..., :3] *= rgba[..., 3:]
        scale = 0.85 * side / max(rgba.shape)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=way)
        frame = np.zeros((side, side, 4), np.float32)
        top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
        frame[top : top + small.shape[0], left : left + small.shape[1]] = small
        alpha = np.ascontiguousarray(frame[..., 3])
        foreground = np.asarray(np.clip(frame[..., :3] / np.maximum(alpha, 1e-3)[..., None], 0, 1), np.float32)
        if (np.maximum(dominance(foreground, GREEN), 0) * alpha).sum() < 0.05 * alpha.sum():
            found.append((foreground, alpha))
    return found


@pytest.mark.parametrize("side", [64, 128, 512])
def test_real_objects_get_their_alpha_back(shared_data: Path, side: int) -> None:
    random = np.random.default_rng(0)
    errors, coarse_errors, residuals = [], [], []
    for foreground, alpha in pictures(shared_data, side):
        noisy = composite(foreground, alpha, np.array([0, 1, 0], np.float32)) + random.normal(
            0, 1 / 255, foreground.shape
        )
        coarse = head(alpha)
        refined = green_post(sample_of(as_levels(noisy), coarse), SETTINGS)
        errors.append(error(refined, alpha))
        coarse_errors.append(float(1e3 * np.mean((as_unit(coarse) - alpha) ** 2)))
        residuals.append(stored_residual(refined))
    print(
        f"\n{len(errors)} objects at {side}: MSE ×1e-3 mean {np.mean(errors):.3f}, median {np.median(errors):.3f}, "
        f"worst {max(errors):.2f}; coarse masks {np.mean(coarse_errors):.3f}; residual {np.mean(residuals):.2f}"
    )
    assert len(errors) >= 12
    assert np.mean(errors) < 0.25
    assert max(errors) < 2
    assert np.mean(errors) < np.mean(coarse_errors) / 10
    assert np.mean(residuals) < 3


@pytest.mark.parametrize("side", [64, 256])
def test_a_mask_of_yes_and_no_is_enough_for_most_objects(shared_data: Path, side: int) -> None:
    errors = []
    for foreground, alpha in pictures(shared_data, side):
        picture = as_levels(composite(foreground, alpha, np.array([0, 1, 0], np.float32)))
        binary = np.where(alpha > 0.5, 255, 0).astype(np.uint8)
        errors.append(error(green_post(sample_of(picture, binary), SETTINGS), alpha))
    print(f"\n{len(errors)} objects at {side}, thresholded masks: MSE ×1e-3 median {np.median(errors):.3f}")
    assert np.median(errors) < 0.15
    assert np.mean(errors) < 1


# ---- laws


@pytest.mark.parametrize("key", [*KEY_COLOURS.values(), (0, 177, 64)])
@pytest.mark.parametrize("colour", [(0.9, 0.9, 0.9), (0.1, 0.1, 0.1), (0.9, 0.7, 0.2), (0.55, 0.45, 0.5)])
def test_an_opaque_disc_is_exact_on_any_screen(key: Colour, colour: tuple[float, float, float]) -> None:
    alpha = disc(96, 0.3)
    refined = green_post(sample_of(painted(alpha, colour, key), head(alpha), key), SETTINGS)
    assert refined.alpha is not None
    assert refined.foreground is not None
    assert np.abs(as_unit(refined.alpha) - alpha).max() < 0.06
    seen = refined.alpha > 128
    assert np.abs(as_unit(refined.foreground) - np.array(colour, np.float32))[seen].max() < 0.03
    assert stored_residual(refined) <= 1
    assert refined.foreground.any(axis=-1).all()  # padded everywhere, nowhere black


@pytest.mark.parametrize("opacity", [0.1, 0.3, 0.55])
def test_glass_stays_glass_under_a_mask_that_knows_only_yes_and_no(opacity: float) -> None:
    alpha = opacity * disc(96, 0.3)
    binary = np.where(alpha > 0.05, 255, 0).astype(np.uint8)
    refined = green_post(sample_of(painted(alpha, (0.8, 0.8, 0.8)), binary), SETTINGS)
    assert error(refined, alpha) < 0.05


def test_the_inside_of_glass_is_kept_where_the_mask_takes_it_for_a_hole() -> None:
    rim = disc(128, 0.4) - disc(128, 0.35)
    alpha = np.maximum(rim, 0.1 * disc(128, 0.38))
    coarse = as_levels(rim)
    refined = green_post(sample_of(painted(alpha, (0.8, 0.85, 0.8)), coarse), SETTINGS)
    assert refined.alpha is not None
    assert refined.alpha[64, 64] == pytest.approx(25, abs=8)


def test_a_mark_on_the_screen_far_from_the_mask_is_not_object() -> None:
    alpha = disc(128, 0.2, 0.6)
    picture = painted(alpha, (0.7, 0.6, 0.6))
    picture[5:12, 5:12] = 255
    refined = green_post(sample_of(picture, head(alpha)), SETTINGS)
    assert refined.alpha is not None
    assert not refined.alpha[:20, :20].any()


def test_a_slope_in_the_screens_light_is_followed() -> None:
    side = 128
    alpha = disc(side, 0.25)
    plate = ((10.0, 2, 0, 0, 0, 0), (200.0, 25, -10, -15, 0, 0), (30.0, 3, -2, 0, 0, 0))
    screen = plate_picture(plate, side, side) / np.float32(255)
    picture = as_levels(composite(np.full((side, side, 3), 0.5, np.float32), alpha, screen))
    refined = green_post(sample_of(picture, head(alpha)), SETTINGS)
    assert error(refined, alpha) < 0.02
    assert stored_residual(refined) <= 1.5


def test_without_a_mask_the_border_tells_the_screen() -> None:
    alpha = disc(96, 0.3)
    refined = green_post(sample_of(painted(alpha, (0.6, 0.4, 0.4)), None), SETTINGS)
    assert error(refined, alpha) < 0.1


def test_an_alpha_already_there_serves_as_the_mask_and_is_confirmed() -> None:
    alpha = disc(96, 0.3)
    given = sample_of(painted(alpha, (0.6, 0.4, 0.4)), None, alpha=as_levels(alpha))
    once = green_post(given, SETTINGS)
    twice = green_post(once, SETTINGS)
    assert error(once, alpha) < 0.02
    assert once.alpha is not None
    assert twice.alpha is not None
    assert np.abs(once.alpha.astype(int) - twice.alpha).max() <= 2


def test_flipping_the_picture_flips_the_matte() -> None:
    alpha = np.maximum(disc(96, 0.2, 0.4), 0.5 * disc(96, 0.15, 0.7))
    straight = green_post(sample_of(painted(alpha, (0.7, 0.5, 0.3)), head(alpha)), SETTINGS)
    flipped = np.ascontiguousarray(alpha[:, ::-1])
    mirrored = green_post(sample_of(painted(flipped, (0.7, 0.5, 0.3)), head(flipped)), SETTINGS)
    assert straight.alpha is not None
    assert mirrored.alpha is not None
    assert np.abs(straight.alpha[:, ::-1].astype(int) - mirrored.alpha).max() <= 2


def test_the_same_sample_gives_the_same_bytes_and_is_left_alone() -> None:
    alpha = disc(64, 0.3)
    given = sample_of(painted(alpha, (0.7, 0.5, 0.3)), head(alpha))
    before = given.rgb.tobytes()
    one, other = green_post(given, SETTINGS), green_post(given, SETTINGS)
    for name in ("alpha", "foreground"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert one.plate == other.plate
    assert given.rgb.tobytes() == before
    assert given.alpha is None


@pytest.mark.parametrize("shape", [(48, 96), (65, 33), (64, 64)])
def test_any_shape_will_do(shape: tuple[int, int]) -> None:
    alpha = np.asarray(cv2.resize(disc(96, 0.3), shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    refined = green_post(sample_of(painted(alpha, (0.3, 0.3, 0.4)), as_levels(alpha)), SETTINGS)
    assert refined.alpha is not None
    assert refined.alpha.shape == shape
    assert error(refined, alpha) < 0.3


# ---- refusals


def test_a_mask_that_covers_everything_leaves_no_screen() -> None:
    with pytest.raises(DataError, match="too little") as caught:
        green_post(sample_of(painted(disc(64, 0.3), (1, 1, 1)), np.full((64, 64), 255, np.uint8)), SETTINGS)
    assert caught.value.kind == "no_screen"


def test_a_picture_without_a_screen_is_refused() -> None:
    grey = sample_of(np.full((64, 64, 3), 128, np.uint8), None)
    with pytest.raises(DataError, match="too grey"):
        green_post(grey, SETTINGS)
    red = replace(grey, rgb=np.full((64, 64, 3), (200, 20, 10), np.uint8))
    with pytest.raises(DataError, match="not a screen of key colour"):
        green_post(red, SETTINGS)


def test_the_record_says_that_the_foreground_was_unmixed() -> None:
    given = sample_of(painted(disc(64, 0.3), (0.6, 0.4, 0.4)), None)
    assert given.origin.foreground == "given"
    assert green_post(given, SETTINGS).origin == replace(given.origin, foreground="unmixed")
