"""Fit the score that tells a matte's error without the truth: makes factory/quality/label_error.json.

    factory run greenbench --set group=develop --set per_kind=4 --set plain=8 --out runs/develop
    python benchmarks/learn_label_error.py runs/develop [--check runs/validate] [--check-only]

To be run after learn_deviation.py, whenever the keyer has changed. Every scene is keyed as the job `key` does it; those
on drawn screens also go through GreenPost, behind a mask such as a small head gives. The true error is the root of
Σ (α − α*)² over the whole picture ÷ the pixels of the true matte's unknown region. Its logarithm is fitted by the
logarithms of the signs (factory/quality/label_error.py), with weights that cannot be less than a little.

What is said of a set, with the figures to reach: Spearman's correlation with the true MSE, of all scenes and inside
each type of screen; at the limit of the job `key`, the share of the worst tenth that is turned down, and of the better
half. Keyed scenes alone count there; of GreenPost's and of mattes without a trust map only the correlation is said.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from figures import exit_code, shown
from scipy.optimize import nnls
from scipy.stats import spearmanr

import factory
from factory.equation import constant_plate
from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS
from factory.greenscreen.compositing import as_levels, as_unit, paint_on_screen
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.jobs.key import GATES
from factory.quality import label_error
from factory.quality.evaluation import trimap_of
from factory.quality.metrics import unknown
from factory.refine.greenpost import GreenPostSettings, green_post
from factory.sample import Matte, Origin, Request, Sample
from factory.shards.reader import Stored
from factory.sources.greenbench.facts import facts_in
from factory.trust import TRUST, as_trust

HALVED, PAINTED = ("h264", "phone"), ("pure", "generated")
ORIGIN, REQUEST = Origin(kind="keyed"), Request(key="0000000000", slot=0, attempt=0, seed=0)
SMALL = 64  # pixels across of the head that makes a coarse mask
LEAST = 1e-3  # an error that is none
LEAST_WEIGHT = (
    0.005  # of each sign: no flaw goes unseen, even if scenes of this kind show no more of it where α is wrong
)
ALL, INSIDE, WORST, BETTER = 0.85, 0.7, 0.85, 0.05  # to reach


class Case(NamedTuple):
    """One matte: how it came to be, what is seen of it, and how wrong it is."""

    model: str  # of label_error.json
    made: str  # keyer, GreenPost
    screen: str
    signs: dict[str, float]
    error: float
    mse: float


def main() -> int:
    """Fit and write, then say what is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="GreenBench, group develop")
    parser.add_argument("--check", type=Path, help="GreenBench, group validate")
    parser.add_argument("--check-only", action="store_true", help="fit nothing")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    seen = list(cases(arguments.data))
    if not arguments.check_only:
        write(seen)
    reached = told(seen, str(arguments.data))
    if arguments.check:
        reached += told(list(cases(arguments.check)), str(arguments.check))
    return exit_code(*reached)


def write(seen: Sequence[Case]) -> None:
    """Fit both models, and write them where they ship."""
    models = {name: fitted([case for case in seen if case.model == name]) for name in ("trust", "no_trust")}
    about = "weights of the logarithms of signs, and a bias: made by benchmarks/learn_label_error.py"
    text = json.dumps({"about": about, "models": models}, indent=1)
    label_error.WEIGHTS.write_text(text + "\n")
    label_error._models.cache_clear()


def cases(data: Path) -> Iterator[Case]:
    """All mattes of a set: of the keyer with and without its trust map, of GreenPost with it."""
    for stored in factory.open(data):
        screen = facts_in(stored.meta["prompt"])["screen"]
        try:
            sample = as_keyed(stored.rgb, halved=screen in HALVED)
            yield case_of("trust", "keyer", screen, sample, stored.alpha)
            yield case_of("no_trust", "keyer", screen, replace(sample, layers={}), stored.alpha)
            if screen in PAINTED:
                yield case_of("trust", "GreenPost", screen, refined(stored), stored.alpha)
        except DataError as fault:
            print(f"  {stored.key}: {fault}")


def as_keyed(rgb: Matte, *, halved: bool) -> Sample:
    """What the job `key` makes of a picture. Raises DataError where there is no screen."""
    picture = as_unit(rgb)
    screen = find_screen([picture])
    plate = plate_at(clean_plate([picture], screen), *picture.shape[:2])
    found = key_frame(picture, plate, screen, KeyerSettings(), halved=halved)
    return on_green(as_levels(found.alpha), as_levels(found.foreground), as_trust(found.deviation))


def on_green(alpha: Matte, foreground: Matte, trust: Matte) -> Sample:
    """A keyed sample."""
    green = KEY_COLOURS["green"]
    return Sample(
        request=REQUEST,
        origin=ORIGIN,
        rgb=paint_on_screen(foreground, alpha, green),
        alpha=alpha,
        foreground=foreground,
        plate=constant_plate(green),
        layers={TRUST: trust},
    )


def refined(stored: Stored) -> Sample:
    """What GreenPost makes of a scene behind a coarse mask."""
    small = cv2.resize(stored.alpha, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(cv2.resize(small, stored.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR))
    origin = Origin(kind="generated", key_rgb=tuple(stored.meta["key_rgb"]))
    return green_post(Sample(request=REQUEST, origin=origin, rgb=stored.rgb, coarse=coarse), GreenPostSettings())


def case_of(model: str, made: str, screen: str, sample: Sample, truth: Matte) -> Case:
    """Its signs, and how far it is from the truth."""
    assert sample.alpha is not None
    squares = np.square((sample.alpha.astype(np.float64) - truth) / 255)
    region = max(1, int(np.count_nonzero(unknown(trimap_of(truth)))))
    error = float(np.sqrt(squares.sum() / region))
    return Case(model, made, screen, label_error.signs(sample), error, float(squares.mean()))


def fitted(seen: Sequence[Case]) -> dict[str, float]:
    """Weights ≥ 0 of the signs' logarithms, and the bias. A keyed scene counts as much as one of GreenPost's."""
    names = list(seen[0].signs)
    x = np.array([[label_error.log_of(case.signs[name]) for name in names] for case in seen])
    y = np.log([case.error + LEAST for case in seen])
    lowest = np.log(label_error.LEAST)
    known = np.column_stack([x - lowest, np.ones(len(x)), -np.ones(len(x))])  # a bias of either sign
    *more, above, below = nnls(known, y - LEAST_WEIGHT * (x - lowest).sum(axis=1))[0]
    weights = [LEAST_WEIGHT + own for own in more]
    bias = above - below - lowest * sum(weights)
    return {**{name: round(float(w), 4) for name, w in zip(names, weights, strict=True)}, "bias": round(float(bias), 4)}


def told(seen: Sequence[Case], name: str) -> list[bool]:
    """Say what is reached on a set."""
    parts = defaultdict[tuple[str, str], list[Case]](list)
    for case in seen:
        parts[case.model, case.made].append(case)
    reached = []
    for (model, made), some in parts.items():
        expected = np.array([label_error.predicted(case.signs) for case in some])
        mse = np.array([case.mse for case in some])
        pooled = float(spearmanr(expected, mse).statistic)
        print(f"\n{name}, {made}, {model}: {len(some)} mattes")
        if (model, made) != ("trust", "keyer"):
            print(f"Spearman with MSE, of all: {pooled:.3f}")
            continue
        of_error = float(spearmanr(expected, [case.error for case in some]).statistic)
        print(f"Spearman with the error in the unknown region: {of_error:.3f}")
        reached.append(shown("Spearman with MSE, of all", f"{pooled:.3f}", f"{ALL}", pooled / ALL, 1))
        screens = np.array([case.screen for case in some])
        for screen in dict.fromkeys(screens):
            own = float(spearmanr(expected[screens == screen], mse[screens == screen]).statistic)
            reached.append(shown(f"Spearman with MSE, {screen}", f"{own:.3f}", f"{INSIDE}", own / INSIDE, 1))
        limit = GATES.label_error_max
        assert limit is not None
        turned_down, worst, better = expected > limit, mse >= np.quantile(mse, 0.9), mse <= np.median(mse)
        of_worst, of_better = float(turned_down[worst].mean()), float(turned_down[better].mean())
        reached.append(shown("of the worst tenth, turned down", f"{of_worst:.3f}", f"{WORST}", of_worst / WORST, 1))
        reached.append(
            shown("of the better half, turned down", f"{of_better:.3f}", f"{BETTER}", BETTER / max(of_better, 1e-9), 1)
        )
    return reached


if __name__ == "__main__":
    sys.exit(main())
