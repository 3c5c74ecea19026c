"""The rows of labels.py: keyers, each given a picture and, where it wants one, the plate that our keyer estimates."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from earlier_keyer import EarlierKeyer
from ffmpeg_keys import best_of_ffmpeg
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.colours import Colour
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.quality.metrics import mse, whole
from factory.sample import Matte, Picture
from factory.sources.greenbench.facts import EXACT

OURS, TRUE_ALPHA = "ours", "true α"
FAST = (OURS, "ffmpeg", "OBS", "difference", TRUE_ALPHA)
SLOW = ("closed form", "KNN")
BEFORE, BGMV2 = "before", "BGMv2"  # followed by which one

HALVED = ("h264", "phone")  # screens whose pictures were coded as 4:2:0
UNKNOWN = 9  # pixels: width of the disc that widens the unknown region of a trimap
BLACK = 0.04  # of the colour difference: what noise leaves on a clean screen
Floats = NDArray[np.float32]


class Shot(NamedTuple):
    """A picture on its screen, and the truth, which only ffmpeg, OBS and TRUE_ALPHA see."""

    key: str
    facts: Mapping[str, str]
    name: str
    picture: Picture
    alpha: Matte
    foreground: Picture
    colour: Colour  # the clean screen's mean

    @property
    def halved(self) -> bool:
        """Whether its chroma has half resolution."""
        return self.facts["screen"] in HALVED


class Keyed(NamedTuple):
    """What a row makes of a shot. seconds: no search that knows the truth counts, and the plate is ours alone."""

    alpha: Matte
    foreground: Picture | None
    seconds: float


class Looked(NamedTuple):
    """What our keyer makes of a shot; the plate is given to the other rows."""

    keyed: Keyed
    plate: Floats


Row: TypeAlias = Callable[[Shot, Looked], Keyed | None]  # None: an empty matte


class Rows:
    """All rows of one process."""

    def __init__(self, further: Mapping[str, Path]) -> None:
        """further: rows that are not always there: BEFORE … → a folder that take_out filled, BGMV2 … → weights."""
        self._rows: dict[str, Row] = {
            OURS: lambda _, looked: looked.keyed,
            "ffmpeg": _ffmpeg,
            "OBS": _obs,
            "difference": _timed(lambda shot, plate: difference(as_unit(shot.picture), plate)),
            TRUE_ALPHA: _true_alpha,
            "closed form": _pymatting("cf"),
            "KNN": _pymatting("knn"),
        }
        for name, path in further.items():
            self._rows[name] = _before(path) if name.startswith(BEFORE) else _background_matting(path)

    def key(self, shot: Shot, names: tuple[str, ...]) -> dict[str, Keyed]:
        """What these rows make of a shot. Those that want a plate make nothing where our keyer finds no screen."""
        looked: Looked | None = None
        try:
            looked = look(shot)
        except DataError as fault:
            print(f"  {shot.key}: {fault}")
        return {name: self._keyed(name, shot, looked) for name in names if _judged(name, shot)}

    def _keyed(self, name: str, shot: Shot, looked: Looked | None) -> Keyed:
        before = name.startswith(BEFORE)
        black = np.zeros_like(shot.picture) if before or name == OURS else None  # a foreground where the row has some
        nothing = Keyed(np.zeros_like(shot.alpha), black, 0.0)
        if looked is None:
            if not before and name not in {"ffmpeg", TRUE_ALPHA}:
                return nothing
            looked = Looked(nothing, np.zeros(shot.picture.shape, np.float32))
        return self._rows[name](shot, looked) or nothing


def _judged(name: str, shot: Shot) -> bool:
    return name != TRUE_ALPHA or is_exact(shot.facts)


def is_exact(facts: Mapping[str, str]) -> bool:
    """Whether the foreground's colour can be told from the picture, and is judged."""
    return facts["foreground"] == EXACT


def look(shot: Shot) -> Looked:
    """Our own keyer. Raises DataError where there is no screen."""
    begin = time.perf_counter()
    picture = as_unit(shot.picture)
    screen = find_screen([picture])
    plate = plate_at(clean_plate([picture], screen), *picture.shape[:2])
    found = key_frame(picture, plate, screen, KeyerSettings(), halved=shot.halved)
    keyed = Keyed(as_levels(found.alpha), as_levels(found.foreground), time.perf_counter() - begin)
    return Looked(keyed, plate)


def _timed(key: Callable[[Shot, Floats], Matte]) -> Row:
    """A row of α alone, from a shot and its plate."""

    def row(shot: Shot, looked: Looked) -> Keyed:
        begin = time.perf_counter()
        alpha = key(shot, looked.plate)
        return Keyed(alpha, None, time.perf_counter() - begin)

    return row


def _ffmpeg(shot: Shot, _: Looked) -> Keyed:
    found = best_of_ffmpeg(shot.picture, shot.colour, shot.alpha)
    return Keyed(found.alpha, None, found.seconds)


def _true_alpha(shot: Shot, _: Looked) -> Keyed:
    """PyMatting's foreground with the true α, which nobody else has."""
    from pymatting import estimate_foreground_ml

    begin = time.perf_counter()
    foreground = estimate_foreground_ml(shot.picture / 255, shot.alpha / 255)
    return Keyed(shot.alpha, as_levels(np.asarray(foreground, np.float32)), time.perf_counter() - begin)


def _obs(shot: Shot, looked: Looked) -> Keyed:
    """OBS Studio's chroma key: distance of CbCr from the key's, mean over 3 × 3, ramp to the power of 1.5.

    Of twelve settings the best by the truth.
    """
    begin = time.perf_counter()
    key = np.median(looked.plate, axis=(0, 1))[None, None].astype(np.float32)
    distance = np.hypot(*cv2.split(_chroma(as_unit(shot.picture)) - _chroma(key)))
    mean = cv2.blur(distance.astype(np.float32), (3, 3))
    settings = [(similar, smooth) for similar in (0.05, 0.1, 0.18, 0.3) for smooth in (0.03, 0.08, 0.2)]
    mattes = [as_levels(np.clip((mean - similar) / smooth, 0, 1) ** 1.5) for similar, smooth in settings]
    seconds = (time.perf_counter() - begin) / len(settings)
    return Keyed(min(mattes, key=lambda matte: mse(matte, shot.alpha, whole(shot.alpha))), None, seconds)


def _chroma(picture: Floats) -> Floats:
    """(H, W, 2) Cb and Cr of BT.709 about 0."""
    y = picture @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.dstack([(picture[..., 2] - y) / 1.8556, (picture[..., 0] - y) / 1.5748])


def difference(picture: Floats, plate: Floats) -> Matte:
    """α = 1 − (A_k − ½(A_i + A_j)) / (C_k − ½(C_i + C_j)), k the strongest channel of the plate C: Keylight, IBK."""
    strong = int(plate.mean(axis=(0, 1)).argmax())
    weights = np.full(3, -0.5, np.float32)
    weights[strong] = 1
    share = (picture @ weights) / np.maximum(plate @ weights, 1e-3)
    return as_levels(np.clip((1 - share - BLACK) / (1 - BLACK), 0, 1))


def _pymatting(method: str) -> Row:
    """PyMatting, with what our keyer leaves between nothing and all, widened, as the unknown region."""

    def row(shot: Shot, looked: Looked) -> Keyed:
        from pymatting import estimate_alpha_cf, estimate_alpha_knn

        begin = time.perf_counter()
        ours = looked.keyed.alpha
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (UNKNOWN, UNKNOWN))
        inside, outside = (cv2.erode(side.astype(np.uint8), disc) for side in (ours > 250, ours < 5))
        trimap = 0.5 + 0.5 * inside - 0.5 * outside
        if not inside.any() or not outside.any():
            return Keyed(ours, None, 0.0)  # it solves nothing without both sides
        estimate = {"cf": estimate_alpha_cf, "knn": estimate_alpha_knn}[method]
        alpha = estimate(shot.picture / 255, trimap.astype(np.float64))
        return Keyed(as_levels(np.clip(alpha, 0, 1).astype(np.float32)), None, time.perf_counter() - begin)

    return row


def _before(folder: Path) -> Row:
    """Our keyer at an earlier commit."""
    keyer = EarlierKeyer(folder)

    def row(shot: Shot, _: Looked) -> Keyed | None:
        found = keyer(shot.picture, halved=shot.halved)
        return None if found is None else Keyed(*found)

    return row


def _background_matting(weights: Path) -> Row:
    """BackgroundMattingV2, whose weights learn_bgmv2.py trains."""
    import torch

    from factory.refine.bgmv2.keyer import BGMV2 as KIND

    torch.set_num_threads(1)
    keyer = KIND.load(weights, "cpu")
    nothing = np.zeros((1, 1), np.float32)
    return _timed(lambda shot, plate: as_levels(keyer(as_unit(shot.picture), plate, nothing).alpha))
