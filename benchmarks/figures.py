"""How every benchmark says its figures: a line each, with the peer or the limit it is held against."""

from collections.abc import Callable
from typing import NamedTuple


def shown(name: str, value: str, peer: str, ratio: float, must: float) -> bool:
    """Print one figure from one run; returns whether the ratio reaches what it must."""
    reached = ratio >= must
    print(f"{name}: {value}  peer: {peer}  ratio: {ratio:.4g} (must reach {must:g}{'' if reached else ', DOES NOT'})")
    return reached


def within(name: str, value: float, limit: float, unit: str) -> bool:
    """A figure that must not exceed a limit: their ratio, limit ÷ value, must reach 1."""
    return shown(name, f"{value:.4g} {unit}", f"at most {limit:g} {unit}", limit / max(value, 1e-9), 1)


def exit_code(*reached: bool) -> int:
    """0 if every figure reached what it must, else 1."""
    return 0 if all(reached) else 1


class Measured(NamedTuple):
    """What was found: in words for a table, and the numbers alone."""

    text: str
    numbers: dict[str, float]


class Row(NamedTuple):
    """A figure that is still to be measured, and what it must reach."""

    figure: str
    must: str
    measure: Callable[[], Measured]
