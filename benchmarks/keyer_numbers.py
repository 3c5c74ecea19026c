"""What the keyer's steps and numbers are worth: the 14 scenes of keyer.py keyed without each of them, one at a time.

    python benchmarks/keyer_numbers.py [NAME ...]

Printed are MSE and Grad of α and the error of the foreground's colour at edges, as multiples of what they are with all
of them, on the three screens: above 1 the scenes need it, at 1 they say nothing of it. NAME: only these numbers.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields, replace
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
from keyer import PICTURES, Scene, errors, scenes
from material import DATA
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels
from factory.greenscreen.keyer import edges, evidence, frame, light, recovery, separation, solid
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.screen import Screen, find_screen
from factory.greenscreen.keyer.settings import KeyerSettings

NEVER = 9.0  # of what is a share: no pixel reaches it
WITHOUT: Mapping[str, Any] = {  # a number, and what it is set to so that its step does nothing or much less
    "MIXED": 0.0,
    "ROUNDS": 1,
    "LAST_RESORT": 0.0,
    "INTERIOR": 0,
    "SUMMIT_REACH": 0,
    "ENCLOSED": 0.0,
    "SHADOW": 0.0,
    "DIRT": 0.0,
    "SHADE": 0.0,
    "PRIOR_SPREAD": 0.2,
    "PRIOR_LIGHT": 0.1,
    "NEAREST": 0.01,
    "CAMERA": 0.003,
    "SCALES": ((2.0, 1.0), (6.0, 0.0)),
    "FAR": (24.0, 0.0),
    "DEPTH": NEVER,
    "LIGHTS": 0.0,
    "CLEAN": NEVER,
    "BLOCKS": 0.0,
    "NEARLY": ((2.0, 3.0), (2.0, 3.0)),
    "GAP": ((2.0, 3.0), (2.0, 3.0)),
    "FRINGE": 1e9,
    "OVERSHOOT": (0.0, 1.0),
    "RAISED": 1.0,
    "quiet": 0.0,
    "black_point": 0.0,
    "coding": (0.0, 0.0),
    "haze": 0.0,
    "doubt": (1e-6, 1e-6),
    "spill": (0.0, 1e-6),
    "solid": (2.0, 2.0),
    "opaque": (0.9, 0.7),
    "summit": (0.5, 0.5),
    "few": (1e-6, 1e-6),
    "light": (0.0, 0.0),
}
MODULES = (edges, evidence, frame, light, recovery, separation, solid)
SETTINGS = {field.name for field in fields(KeyerSettings)}


class Given(NamedTuple):
    """A scene, and what is told of it before it is keyed."""

    scene: Scene
    screen: Screen
    plate: NDArray[np.float32]


def main() -> int:
    """Key every scene as often as there are numbers; there is nothing to reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(WITHOUT))
    names = parser.parse_args().names
    if not set(names) <= set(WITHOUT):
        parser.error(f"choose from {', '.join(WITHOUT)}")
    if not DATA.is_dir():
        print(f"no pictures at {DATA}: set FACTORY_DATA to a folder with the test pictures; nothing measured")
        return 0
    cv2.setNumThreads(1)
    given = [looked_at(scene) for scene in scenes(PICTURES)]
    with_all = measured(given, KeyerSettings())
    for name in names:
        ratios = {screen: errors / with_all[screen] for screen, errors in without(name, given).items()}
        told = "   ".join(f"{screen} {' '.join(f'{ratio:.2f}' for ratio in each)}" for screen, each in ratios.items())
        print(f"{name:12}  {told}", flush=True)
    return 0


def looked_at(scene: Scene) -> Given:
    """Screen and plate, which no number here has a part in."""
    screen = find_screen([scene.picture])
    return Given(scene, screen, plate_at(clean_plate([scene.picture], screen), *scene.alpha.shape))


def without(name: str, given: list[Given]) -> dict[str, NDArray[np.float64]]:
    """The errors with this number set to what `WITHOUT` says."""
    if name in SETTINGS:
        return measured(given, replace(KeyerSettings(), **{name: WITHOUT[name]}))
    users: list[ModuleType] = [module for module in MODULES if hasattr(module, name)]
    before = [getattr(module, name) for module in users]
    try:
        for module in users:
            setattr(module, name, WITHOUT[name])
        return measured(given, KeyerSettings())
    finally:
        for module, value in zip(users, before, strict=True):
            setattr(module, name, value)


def measured(given: list[Given], settings: KeyerSettings) -> dict[str, NDArray[np.float64]]:
    """For each screen (3,): mean MSE, Grad and colour error at edges over the pictures."""
    found = defaultdict(list)
    for scene, screen, plate in given:
        alpha, foreground, _ = frame.key_frame(scene.picture, plate, screen, settings, halved=scene.screen == "h264")
        band = (scene.alpha > 0.02) & (scene.alpha < 0.98)
        colour = float(np.abs(foreground - scene.foreground)[band].mean())
        found[scene.screen].append((*errors(as_levels(alpha), as_levels(scene.alpha)), colour))
    return {screen: np.mean(each, axis=0) for screen, each in found.items()}


if __name__ == "__main__":
    sys.exit(main())
