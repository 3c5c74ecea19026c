"""Promise: the fine pass mends α where something is open, leaves all else alone, and knows no tiles."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_screens import SETTINGS, Floats, H, W, disc, exact, flat, key, noisy, uneven

from factory.greenscreen.compositing import composite
from factory.greenscreen.keyer import deviation, refinement_network
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.evidence import Evidence, evidence
from factory.greenscreen.keyer.refinement import CLUES, LEAST, REACH, Open, refined, what_is_open
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.tiles import TILE, over_tiles, tiles


def changing_by(change: float) -> Callable[[Floats], Floats]:
    """A network that says the same of every pixel."""
    return lambda seen: np.full((len(seen), TILE, TILE), change, np.float32)


@pytest.mark.parametrize(("change", "mask"), [(0.2, "rise"), (-0.2, "fall")])
def test_only_what_is_open_changes_and_stays_in_range(
    monkeypatch: pytest.MonkeyPatch, change: float, mask: str
) -> None:
    monkeypatch.setattr(refinement_network, "changes", changing_by(change))
    random = np.random.default_rng(0)
    alpha = random.random((90, 130), np.float32)
    fall = random.random(alpha.shape) < 0.3
    rise = fall | (random.random(alpha.shape) < 0.3)
    found = refined([alpha] * CLUES, Open(rise, fall, rise, np.zeros_like(alpha)), alpha)
    assert found.min() >= 0
    assert found.max() <= 1
    may = {"rise": rise, "fall": fall}[mask]
    np.testing.assert_array_equal(found[~may], alpha[~may])
    assert np.all((found - alpha)[may] * change >= 0)
    assert np.abs(found - alpha)[may].max() > 0.15


def test_alpha_falls_no_lower_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement_network, "changes", changing_by(-0.5))
    alpha, everywhere = np.full((70, 70), 0.8, np.float32), np.ones((70, 70), np.bool_)
    least = np.linspace(0, 0.8, 4900, dtype=np.float32).reshape(70, 70)
    found = refined([alpha] * CLUES, Open(everywhere, everywhere, everywhere, least), alpha)
    np.testing.assert_allclose(found, np.maximum(0.3 + LEAST, least), atol=1e-6)


def test_what_is_less_than_a_level_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement_network, "changes", changing_by(0.9 / 255))
    alpha, everywhere = np.full((70, 70), 0.5, np.float32), np.ones((70, 70), np.bool_)
    np.testing.assert_array_equal(
        refined([alpha] * CLUES, Open(everywhere, everywhere, everywhere, np.zeros_like(alpha)), alpha), alpha
    )


@pytest.mark.parametrize(("height", "width"), [(20, 31), (64, 64), (65, 200)])
def test_a_picture_is_worked_on_in_tiles_without_seams(height: int, width: int) -> None:
    """The network that ships, over the whole picture at once and in tiles."""
    random = np.random.default_rng(1)
    fields = [random.random((height, width), np.float32) for _ in range(CLUES)]
    made = over_tiles(fields, list(tiles(height, width)), REACH, refinement_network.changes)
    high, wide = height + height % 2, width + width % 2
    margins = ((0, 0), (REACH, REACH + high - height), (REACH, REACH + wide - width))
    whole = refinement_network.changes(np.pad(np.stack(fields), margins, mode="edge")[None])[0]
    assert np.abs(made - whole[:height, :width]).max() < 0.1 / 255


def test_the_screen_and_the_inside_stay_exact() -> None:
    truth = np.zeros((H, W), np.float32)
    truth[20:-20, 20:-20] = 1
    picture = noisy(composite(np.full((H, W, 3), (0.7, 0.4, 0.3), np.float32), truth, uneven((70, 160, 80))), 1.0)
    alpha, *_ = key(picture)
    assert not alpha[:12].any()
    assert np.all(alpha[30:-30, 30:-30] == 1)


def looked_at(picture: Floats, by_shape: float) -> Evidence:
    """What a picture shows, but for its shape, which says the same of every place."""
    screen = find_screen([picture])
    seen = evidence(picture, plate_at(clean_plate([picture], screen), H, W), screen, SETTINGS)
    said = np.full_like(seen.shape.alpha, by_shape)
    return seen._replace(shape=seen.shape._replace(alpha=said, seen=np.ones_like(said)))


def test_a_shape_opens_what_it_says_to_be_more_and_doubts_what_it_says_to_be_less() -> None:
    picture = noisy(composite(np.full((H, W, 3), (0.7, 0.4, 0.3), np.float32), disc(), uneven((70, 160, 80))), 1)
    inside, outside = (slice(H // 2 - 9, H // 2 + 9), slice(W // 2 - 9, W // 2 + 9)), (slice(0, 9), slice(0, 9))
    alpha = disc()
    everything = np.ones(alpha.shape, np.bool_)
    less = what_is_open(looked_at(picture, 0.0), picture, alpha, everything)
    assert not less.fall[inside].any()
    assert not less.rise[inside].any()
    assert less.doubt[inside].all()
    more = what_is_open(looked_at(picture, 1.0), picture, 0 * alpha, everything)
    assert more.rise[inside].all()
    assert not more.rise[outside].any(), "nothing but the plate is seen there"
    garbage = what_is_open(looked_at(picture, 1.0), picture, 0 * alpha, ~everything)
    assert not garbage.rise.any()


def test_a_wall_and_a_stand_beside_a_screen_stay_away() -> None:
    random = np.random.default_rng(4)
    picture = noisy(composite(np.full((H, W, 3), (0.7, 0.4, 0.3), np.float32), disc(), uneven((70, 160, 80))), 1.5)
    grain = np.asarray(cv2.GaussianBlur(random.random((H, 40), np.float32), (0, 0), 2))
    picture[:, :40] = grain[..., None] * np.array((0.9, 0.8, 0.7), np.float32)
    picture[:60, 300:304] = 0.1
    alpha, *_ = key(picture)
    assert not alpha[:, :34].any()
    assert not alpha[:56, 296:].any()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 257), (200, 20)])
def test_small_and_odd_pictures_are_keyed(height: int, width: int) -> None:
    picture = flat((20, 190, 40), height, width)
    picture[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = (0.7, 0.4, 0.3)
    alpha, foreground, off = key(exact(picture))
    assert alpha.shape == off.shape == foreground.shape[:2] == (height, width)
    assert alpha[0, 0] == 0
    assert alpha[height // 2, width // 2] == 1


def test_the_weights_that_ship_are_those_of_this_network() -> None:
    wanted = refinement_network.RefinementNetwork().state_dict()
    found = load_file(refinement_network.WEIGHTS)
    assert {name: value.shape for name, value in found.items()} == {name: own.shape for name, own in wanted.items()}
    assert all(torch.isfinite(value).all() for value in found.values())
    with np.load(deviation.WEIGHTS) as file:
        assert file["weights_0"].shape[0] == deviation.CLUES
