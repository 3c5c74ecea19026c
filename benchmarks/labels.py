"""Our keyer against others on GreenBench, by type of screen and by kind of object.

    factory run greenbench --set group=develop --set per_kind=4 --set plain=8 --out runs/develop
    python benchmarks/labels.py runs/develop [--every 7] [--pymatting]

The group *report* is measured and nothing else: each run on it gets a line in RESULTS.md, which is printed at the end.

Rows, all given the picture alone and, where they want one, the plate that our keyer estimates:

* ours: find the screen, estimate the plate, key. Of h264 and phone it is told that chroma has half resolution.
* ffmpeg: chromakey or colorkey, told the screen's true colour and tuned for each scene with the truth (keyer.py).
* OBS: distance in CbCr over a box of 3 × 3 pixels, smoothed; of twelve settings the best by the truth.
* difference: as Keylight and IBK have it, the strongest channel above the mean of the others, over the plate's.
* closed form and KNN (--pymatting, slow): PyMatting with a trimap from our keyer's matte.

A picture in which no screen is found is an empty matte for all rows but ffmpeg's. MSE and Grad are those of the whole
picture; "best other" is the row of least mean there. A scene in which both lie below 2e-5 is a tie.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from figures import exit_code, shown
from keyer import Scene, best_of_ffmpeg, errors
from numpy.typing import NDArray

import factory
from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.quality.metrics import mse, whole
from factory.sample import Matte, Picture
from factory.shards.reader import Stored
from factory.sources.greenbench.facts import facts_in

HALVED = ("h264", "phone")  # screens whose pictures were coded as 4:2:0
TIE = 2e-5
MUST = defaultdict(lambda: 0.6, {"pure": 0.3})  # ours ÷ best other, MSE and Grad, by screen
MUST_OF_KIND = defaultdict(lambda: 1.0, {"own green": 0.5})
MOST_WORSE = 0.1  # share of the scenes in which another row may be better
UNKNOWN = 9  # pixels: width of the disc that widens the unknown region of a trimap
BLACK = 0.04  # of the colour difference: what noise leaves on a clean screen
Floats = NDArray[np.float32]


class Keyed(NamedTuple):
    """One row's errors in one scene, and how long it took."""

    mse: float
    grad: float
    seconds: float


class Looked(NamedTuple):
    """What our keyer makes of a picture; the plate is given to the other rows."""

    alpha: Matte
    plate: Floats


def main() -> int:
    """Key every scene with every row, then say the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a set made by `factory run greenbench`")
    parser.add_argument("--every", type=int, default=1, help="of the set take each n-th scene")
    parser.add_argument("--pymatting", action="store_true", help="closed form and KNN too: seconds a scene")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    samples = factory.open(arguments.data)
    scenes: list[tuple[dict[str, str], dict[str, Keyed]]] = []
    megapixels = 0.0
    for number in range(0, len(samples), arguments.every):
        sample = samples[number]
        facts = facts_in(sample.meta["prompt"])
        rows = keyed(sample, facts["screen"], slow=arguments.pymatting)
        scenes.append((facts, rows))
        megapixels += sample.alpha.size / 1e6
        found = "  ".join(f"{name} {1e3 * row.mse:.3f} {row.grad:.3f}" for name, row in rows.items())
        print(f"  {sample.key} {facts['screen']:9} {sample.meta['class']:24} {found}", flush=True)
    reached = table("screen", scenes, MUST) + table("kind", scenes, MUST_OF_KIND)
    seconds = {name: sum(rows[name].seconds for _, rows in scenes) / megapixels for name in scenes[0][1]}
    print("seconds a megapixel: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    if scenes[0][0]["group"] == "report":
        print(f"a run on report, for RESULTS.md: {time.strftime('%Y-%m-%d')}, labels.py, {len(scenes)} scenes")
    return exit_code(*reached)


def keyed(sample: Stored, screen: str, *, slow: bool) -> dict[str, Keyed]:
    """Every row's errors in one scene."""
    picture, truth = as_unit(sample.rgb), sample.alpha
    begin = time.perf_counter()
    try:
        looked = look(picture, halved=screen in HALVED)
    except DataError as fault:
        print(f"  {sample.key}: {fault}")
        looked = None
    rows = {"ours": _scored(np.zeros_like(truth) if looked is None else looked.alpha, truth, begin)}
    begin = time.perf_counter()
    colour = tuple(sample.meta["key_rgb"])
    known = Scene("", screen, picture, sample.rgb, colour, as_unit(truth), picture, picture)
    rows["ffmpeg"] = Keyed(*best_of_ffmpeg(known), time.perf_counter() - begin)
    others: dict[str, Callable[[Looked], Matte]] = {
        "OBS": lambda ours: obs(sample.rgb, ours.plate, truth),
        "difference": lambda ours: difference(picture, ours.plate),
    }
    if slow:
        others["closed form"] = lambda ours: pymatting_key("cf", picture, ours.alpha)
        others["KNN"] = lambda ours: pymatting_key("knn", picture, ours.alpha)
    for name, row in others.items():
        begin = time.perf_counter()
        rows[name] = _scored(np.zeros_like(truth) if looked is None else row(looked), truth, begin)
    return rows


def _scored(matte: Matte, truth: Matte, begin: float) -> Keyed:
    seconds = time.perf_counter() - begin
    return Keyed(*errors(matte, truth), seconds)


def look(picture: Floats, *, halved: bool) -> Looked:
    """Our own keyer. Raises DataError where there is no screen."""
    screen = find_screen([picture])
    plate = plate_at(clean_plate([picture], screen), *picture.shape[:2])
    keyed = key_frame(picture, plate, screen, KeyerSettings(), halved=halved)
    return Looked(as_levels(keyed.alpha), plate)


def obs(picture: Picture, plate: Floats, truth: Matte) -> Matte:
    """OBS Studio's chroma key: distance of CbCr from the key's, mean over 3 × 3, ramp to the power of 1.5."""
    key = np.median(plate, axis=(0, 1))[None, None].astype(np.float32)
    distance = np.hypot(*cv2.split(_chroma(as_unit(picture)) - _chroma(key)))
    mean = cv2.blur(distance.astype(np.float32), (3, 3))
    mattes = [
        as_levels(np.clip((mean - similar) / smooth, 0, 1) ** 1.5)
        for similar in (0.05, 0.1, 0.18, 0.3)
        for smooth in (0.03, 0.08, 0.2)
    ]
    return min(mattes, key=lambda matte: mse(matte, truth, whole(truth)))


def _chroma(picture: Floats) -> Floats:
    """(H, W, 2) Cb and Cr of BT.709 about 0."""
    y = picture @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.dstack([(picture[..., 2] - y) / 1.8556, (picture[..., 0] - y) / 1.5748])


def difference(picture: Floats, plate: Floats) -> Matte:
    """α = 1 − (A_k − ½(A_i + A_j)) / (C_k − ½(C_i + C_j)), k the strongest channel of the plate C."""
    strong = int(plate.mean(axis=(0, 1)).argmax())
    weights = np.full(3, -0.5, np.float32)
    weights[strong] = 1
    share = (picture @ weights) / np.maximum(plate @ weights, 1e-3)
    return as_levels(np.clip((1 - share - BLACK) / (1 - BLACK), 0, 1))


def pymatting_key(method: str, picture: Floats, alpha: Matte) -> Matte:
    """PyMatting, with what our keyer leaves between nothing and all, widened, as the unknown region."""
    from pymatting import estimate_alpha_cf, estimate_alpha_knn

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (UNKNOWN, UNKNOWN))
    inside, outside = (cv2.erode(side.astype(np.uint8), disc) for side in (alpha > 250, alpha < 5))
    trimap = 0.5 + 0.5 * inside - 0.5 * outside
    if not inside.any() or not outside.any():
        return alpha  # it solves nothing without both sides
    estimate = {"cf": estimate_alpha_cf, "knn": estimate_alpha_knn}[method]
    return as_levels(np.clip(estimate(picture.astype(np.float64), trimap.astype(np.float64)), 0, 1))


def table(
    fact: str, scenes: Sequence[tuple[Mapping[str, str], Mapping[str, Keyed]]], must: Mapping[str, float]
) -> list[bool]:
    """Say the means of every row, and ours against the best other one, for scenes of one fact's value each."""
    reached = []
    for value in dict.fromkeys(facts[fact] for facts, _ in scenes):
        some = [rows for facts, rows in scenes if facts[fact] == value]
        print(f"\n{value}, {len(some)} scenes")
        for name in some[0]:
            square, grad, _ = np.mean([rows[name] for rows in some], axis=0)
            print(f"  {name:12} MSE {1e3 * square:8.3f}e-3   Grad {grad:7.3f}")
        for measure in ("mse", "grad"):
            means = {name: float(np.mean([getattr(rows[name], measure) for rows in some])) for name in some[0]}
            ours = means.pop("ours")
            best = min(means, key=lambda name: means[name])
            reached.append(
                shown(f"{measure}, {value}", f"{ours:.3g}", f"{best} {means[best]:.3g}", means[best] / max(ours, 1e-12),
                      1 / must[value])
            )  # fmt: skip
        worse = float(np.mean([_is_worse(rows) for rows in some]))
        print(f"another row is better in {worse:.0%} of the scenes (at most {MOST_WORSE:.0%})")
        reached.append(worse <= MOST_WORSE or fact == "kind")  # of all scenes of a screen, not of each kind
    return reached


def _is_worse(rows: Mapping[str, Keyed]) -> bool:
    ours, best = rows["ours"].mse, min(row.mse for name, row in rows.items() if name != "ours")
    return best < ours and not (ours < TIE and best < TIE)


if __name__ == "__main__":
    sys.exit(main())
