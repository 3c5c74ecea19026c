"""The classes of procedural objects. Adding one is one function with this decorator in one of the files beside it."""

from collections.abc import Callable
from dataclasses import dataclass

from factory.sources.procedural.canvas import Canvas
from factory.sources.procedural.palette import COLOURS

Draw = Callable[[Canvas], None]
ALL = tuple(COLOURS)
HAIR = ("black", "brown", "gold", "orange", "red", "gray", "white", "pink", "blue", "purple")


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """What may vary in a class. `draw` paints one object of it, within about −1..1, upright."""

    name: str
    draw: Draw
    colours: tuple[str, ...]
    patterns: tuple[str, ...]
    turn: float  # largest rotation in degrees of an object that no caption calls tilted
    mirror: bool
    article: bool  # False for plurals and stuff: "red scissors", "gray smoke"


REGISTRY: dict[str, ObjectClass] = {}


def object_class(
    name: str,
    *,
    colours: tuple[str, ...] = ALL,
    patterns: tuple[str, ...] = (),
    turn: float = 10.0,
    mirror: bool = True,
    article: bool = True,
) -> Callable[[Draw], Draw]:
    """Register the decorated function as the class's painter."""

    def register(draw: Draw) -> Draw:
        if name in REGISTRY:
            raise ValueError(f"two procedural classes are named {name!r}")
        REGISTRY[name] = ObjectClass(name, draw, colours, patterns, turn, mirror, article)
        return draw

    return register
