"""The kinds and classes of the benchmark's drawn objects. A class is one function with this decorator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from factory.sources.greenbench.sheet import Sheet

Kind: TypeAlias = Literal[
    "own green",
    "glass",
    "nets",
    "hair",
    "fire and smoke",
    "white on green",
    "motion blur",
    "thin wires",
    "reflections",
    "plain",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
HARD = tuple(kind for kind in KINDS if kind != "plain")
Draw: TypeAlias = Callable[[Sheet], None]


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """One class of drawn objects.

    name: as a caption says it, with its article.  turn: largest rotation, degrees.
    reported: it is drawn for the group *report* alone.
    emits: it shines by itself, so no light of the screen is seen on it.
    """

    name: str
    kind: Kind
    draw: Draw
    turn: float
    reported: bool
    emits: bool


CLASSES: dict[str, ObjectClass] = {}


def bench_class(
    name: str, kind: Kind, *, turn: float = 8.0, reported: bool = False, emits: bool = False
) -> Callable[[Draw], Draw]:
    """Register the decorated function as the class's painter."""

    def register(draw: Draw) -> Draw:
        if name in CLASSES:
            raise ValueError(f"two classes of the benchmark are named {name!r}")
        CLASSES[name] = ObjectClass(name, kind, draw, turn, reported, emits)
        return draw

    return register
