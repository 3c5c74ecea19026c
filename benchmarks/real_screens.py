"""Photographs with measured α before photographed screens: the scene type "real", which no simulator has drawn.

The objects are those of alphamatting.com with known α and PyMatting's lemur; the screens are parts of two studio
photographs in which nobody stands. I = αF + (1 − α)B with F as PyMatting estimates it from the photograph: its light is
not the studio's, so there is no spill, and colours are not judged. An object's group follows from its name; the screens
are the same for all groups.
"""

from typing import NamedTuple

import cv2
import numpy as np
from keyer import read
from material import DATA

from factory.greenscreen.colours import Colour
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.sample import Matte, Picture
from factory.sources.greenbench.facts import AMBIGUOUS
from factory.sources.groups import Group, group_of

SIDE = 448  # as GreenBench's
STUDIOS = {  # name → photograph below DATA, left and upper edge of a part with nothing but screen
    "lit wall": ("greenscreen/xintong/fg3.jpg", 1180, 20),
    "wall and floor": ("greenscreen/xintong/fg3.jpg", 1180, 460),
    "teal wall": ("greenscreen/xintong/fg4.jpg", 20, 80),
    "teal floor": ("greenscreen/xintong/fg4.jpg", 1400, 600),
}
OBJECTS = {  # name by which its group is told → photograph below DATA
    **{f"GT{n:02d}.png": f"alphamatting_odd/image/GT{n:02d}.png" for n in range(1, 28, 2)},
    "lemur.png": "pymatting_lemur/lemur_foreground.png",
}


class RealScene(NamedTuple):
    """As a scene of GreenBench, but for its plate."""

    key: str
    facts: dict[str, str]
    name: str
    picture: Picture
    alpha: Matte
    foreground: Picture
    colour: Colour


def names(group: Group) -> list[tuple[str, str]]:
    """(object, screen) of every scene of a group; none where the photographs are not there."""
    there = [name for name, file in OBJECTS.items() if group_of(name) == group and (DATA / file).is_file()]
    return [(name, studio) for name in there for studio, (file, _, _) in STUDIOS.items() if (DATA / file).is_file()]


def real_scene(name: str, studio: str) -> RealScene:
    """The object before the screen."""
    foreground, alpha = read(DATA / OBJECTS[name], SIDE)
    height, width = alpha.shape
    file, left, top = STUDIOS[studio]
    photograph = np.asarray(cv2.imread(str(DATA / file)))[..., ::-1]
    plate = as_unit(np.ascontiguousarray(photograph[top : top + height, left : left + width], np.uint8))
    r, g, b = (round(255 * float(c)) for c in plate.mean(axis=(0, 1)))
    facts = {"kind": "photographs", "screen": "real", "group": group_of(name), "foreground": AMBIGUOUS}
    stem = name.removesuffix(".png")
    return RealScene(
        key=f"{stem}, {studio}",
        facts=facts | {"studio": studio},
        name=stem,
        picture=as_levels(composite(foreground, alpha, plate)),
        alpha=as_levels(alpha),
        foreground=as_levels(np.clip(foreground, 0, 1)),
        colour=(r, g, b),
    )
