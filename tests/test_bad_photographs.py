"""The kinds of photographs that a keyer spoils, rebuilt: what is keyed wrongly is turned down, or keyed rightly."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from small_screens import MUTED, Floats, H, W, colour, disc, exact, flat, noisy, uneven

from factory.equation import constant_plate
from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, composite, paint_on_screen
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.jobs.key import GATES
from factory.quality.evaluation import trimap_of
from factory.quality.gates import judge
from factory.quality.metrics import unknown
from factory.quality.scores import ScoreSettings, score
from factory.sample import Origin, Rejection, Request, Sample
from factory.trust import TRUST, as_trust

SPOILT = 0.15  # error in the unknown region from which a matte must not pass
GREEN = (0, 255, 0)
Scene = tuple[Floats, Floats]  # the picture, its true α


def box(top: float, left: float, bottom: float, right: float) -> Floats:
    """α of a box, in shares of the frame."""
    alpha = np.zeros((H, W), np.float32)
    alpha[round(top * H) : round(bottom * H), round(left * W) : round(right * W)] = 1
    return alpha


def boat() -> Scene:
    """Yellow-green over its whole hull, but for a white cabin."""
    truth = np.maximum(box(0.5, 0.2, 0.75, 0.8), box(0.35, 0.4, 0.5, 0.6))
    ink = flat((120, 190, 60))
    ink[: H // 2] = colour((225, 225, 220))
    return noisy(composite(ink, truth, uneven(MUTED)), 2), truth


def bouquet() -> Scene:
    """Red flowers among leaves of the screen's own green."""
    random, truth, ink = np.random.default_rng(3), np.zeros((H, W), np.float32), flat((80, 150, 70))
    for number in range(40):
        x, y = random.uniform(0.3, 0.7), random.uniform(0.25, 0.7)
        petal = disc(x, y, 0.07)
        truth = np.maximum(truth, petal)
        light = random.uniform(0.5, 1)
        ink = composite(flat((200, 40, 70) if number % 3 == 0 else (85 * light, 170 * light, 70 * light)), petal, ink)
    return noisy(composite(ink, truth, uneven(MUTED)), 2), truth


def lime_and_skin() -> Scene:
    """A face before a screen with as much red as green."""
    truth = np.maximum(disc(0.5, 0.4, 0.22), box(0.6, 0.3, 1.0, 0.7))
    ink = flat((205, 160, 120)) * (1 + 0.1 * np.linspace(-1, 1, W, dtype=np.float32))[None, :, None]
    return noisy(composite(np.asarray(ink, np.float32), truth, uneven((160, 200, 40))), 2), truth


def armour() -> Scene:
    """Steel that shows the screen over half of its plates."""
    truth = box(0.2, 0.3, 1.0, 0.7)
    steel = flat((140, 140, 145))
    mirror = 0.75 * np.square(np.sin(np.linspace(0, 12, W, dtype=np.float32)))[None].repeat(H, axis=0)
    return noisy(composite(composite(uneven(MUTED), mirror, steel), truth, uneven(MUTED)), 2), truth


def shadow_and_creases() -> Scene:
    """A deep cast shadow, and folds of cloth."""
    truth = disc(0.4, 0.45, 0.25)
    shade = 1 - 0.55 * np.asarray(cv2.GaussianBlur(disc(0.65, 0.7, 0.2), (0, 0), 4), np.float32)
    folds = 1 + 0.25 * np.sign(np.sin(np.linspace(0, 40, W))) * np.linspace(0, 1, H)[:, None] ** 2
    screen = np.asarray(uneven(MUTED) * (shade * folds)[..., None], np.float32)
    return noisy(composite(flat((60, 60, 160)), truth, screen), 2), truth


def stands_and_markers() -> Scene:
    """Painted stands under the object, markers beside it."""
    truth, screen = disc(0.5, 0.4, 0.22), uneven(MUTED)
    for left in (0.42, 0.55):
        screen[box(0.6, left, 1.0, left + 0.04) > 0] = colour((40, 110, 60))
    for y, x in ((0.15, 0.15), (0.15, 0.82), (0.8, 0.2)):
        screen[box(y, x, y + 0.05, x + 0.015) + box(y + 0.02, x - 0.015, y + 0.035, x + 0.03) > 0] = 0.95
    return noisy(composite(flat((180, 40, 60)), truth, screen), 2), truth


def fills_the_frame() -> Scene:
    """Brown hair from side to side, a corner of the screen left."""
    random = np.random.default_rng(1)
    strands = cv2.GaussianBlur(random.normal(0, 1, (H, W)).astype(np.float32), (0, 0), sigmaX=1, sigmaY=12)
    ink = flat((95, 65, 40)) * (1 + 0.8 * strands)[..., None]
    truth = np.asarray(1 - disc(0.0, 0.0, 0.35, softness=2), np.float32)
    return exact(composite(np.asarray(np.clip(ink, 0, 1), np.float32), truth, flat((60, 190, 70)))), truth


@pytest.mark.parametrize(
    "scene", [boat, bouquet, lime_and_skin, armour, shadow_and_creases, stands_and_markers, fills_the_frame]
)
def test_what_is_keyed_wrongly_is_turned_down(scene: Callable[[], Scene]) -> None:
    picture, truth = scene()
    try:
        screen = find_screen([picture])
        plate = plate_at(clean_plate([picture], screen), H, W)
        found = key_frame(picture, plate, screen, KeyerSettings())
    except DataError as refused:
        assert refused.kind == "no_screen"
        return
    alpha, foreground = as_levels(found.alpha), as_levels(found.foreground)
    sample = Sample(
        request=Request(key="0000000000", slot=0, attempt=0, seed=0),
        origin=Origin(kind="keyed", key_rgb=GREEN),
        rgb=paint_on_screen(foreground, alpha, GREEN),
        alpha=alpha,
        foreground=foreground,
        plate=constant_plate(GREEN),
        layers={TRUST: as_trust(found.deviation)},
    )
    scored = score(sample, ScoreSettings())
    off = np.square(found.alpha - truth).sum() / np.count_nonzero(unknown(trimap_of(as_levels(truth))))
    turned_down = isinstance(judge(scored, GATES), Rejection)
    assert turned_down or np.sqrt(off) < SPOILT, f"error {np.sqrt(off):.3f}, expected {scored.scores.label_error:.3f}"
