"""One seed, one object: pose and looks are drawn, then it is painted."""

from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.random import default_rng

from factory.sources.greenbench.objects import (
    fire_and_smoke,
    glass,
    hair,
    motion,
    nets,
    own_green,
    plain,
    reflections,
    white,
    wires,
)
from factory.sources.greenbench.registry import CLASSES, Kind, ObjectClass
from factory.sources.greenbench.sheet import HALF, Drawn, Sheet
from factory.sources.groups import Group

PAINTERS = (own_green, glass, nets, hair, fire_and_smoke, white, motion, wires, reflections, plain)


@lru_cache(maxsize=4)  # an object stands on one screen after another
def drawn(class_name: str, seed: int, size: int) -> Drawn:
    """Paint one object. A pure function of its arguments.

    size: pixels per side.  seed: any non-negative integer.
    """
    kind = CLASSES[class_name]
    random = default_rng([seed, crc32(class_name.encode())])
    angle = np.radians(random.uniform(-kind.turn, kind.turn))
    scale = HALF * random.uniform(0.82, 1.0)
    mirror = 1 if random.random() < 0.5 else -1
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = 0.5 + random.uniform(-1, 1, 2) * (0.5 - scale) * 0.5
    pose = np.column_stack([scale * rotation * (mirror, 1), middle])
    sheet = Sheet(size, random, pose)
    kind.draw(sheet)
    return sheet.finish()


def classes_of(kind: Kind, group: Group) -> list[ObjectClass]:
    """The classes of a kind that a group may draw, in the order of their names."""
    return [CLASSES[name] for name in sorted(CLASSES) if CLASSES[name].kind == kind and _may(CLASSES[name], group)]


def _may(one: ObjectClass, group: Group) -> bool:
    return group == "report" or not one.reported
