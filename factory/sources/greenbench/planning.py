"""Which objects stand before which screens: the rows of the benchmark's frozen tables."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from factory.sources.entry import Row
from factory.sources.greenbench.drawing import classes_of
from factory.sources.greenbench.registry import KINDS, Kind
from factory.sources.greenbench.scenes import ScreenType, hue_of
from factory.sources.groups import Group


def drawn_rows(group: Group, counts: Mapping[Kind, int], screens: Sequence[ScreenType], seed: int) -> list[Row]:
    """A row for each drawn object on each screen; of a kind as many objects as `counts` says, class after class.

    An object's seed follows from its group, class, number and the run's seed: no two groups share an object.
    """
    rows = []
    for kind in KINDS:
        classes = classes_of(kind, group)
        for number in range(counts[kind]):
            one = classes[number % len(classes)]
            own = seed_of(f"{seed}:{group}:{one.name}:{number}")
            facts = Row(class_name=one.name, kind=kind, group=group, number=number, seed=own, hue=hue_of(kind, own))
            rows += [facts | {"screen": screen} for screen in screens]
    return rows


def cutout_rows(
    pictures: Sequence[Row], kind: Kind, group: Group, screens: Sequence[ScreenType], seed: int
) -> list[Row]:
    """A row for each picture of a folder on each screen."""
    rows = []
    for number, picture in enumerate(pictures):
        own = seed_of(f"{seed}:{group}:{picture['path']}")
        facts = picture | Row(kind=kind, group=group, number=number, seed=own, hue=hue_of(kind, own))
        rows += [facts | {"screen": screen} for screen in screens]
    return rows


def seed_of(name: str) -> int:
    """63 bits."""
    return int.from_bytes(sha256(name.encode()).digest()[:8]) >> 1
