"""Which adapters a recipe lays over the model. Light: a recipe is read without torch."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from factory.errors import UsageError

MOST = 10.0  # weight, of either sign, that anybody means


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A file of adapters, and by how much its change counts: 1 as it was trained, 0 not at all.

    lowered: whether it counts for less in later attempts, where a recipe lowers adapters.
    """

    file: Path
    weight: float = 1.0
    lowered: bool = True

    def __post_init__(self) -> None:
        if not isfinite(self.weight) or abs(self.weight) > MOST:
            raise UsageError(f"--lora {self.file}: its weight is {self.weight:g}; take one from -{MOST:g} to {MOST:g}.")


def said_in_a_flag(text: str) -> Lora:
    """`FILE` or `FILE=WEIGHT`. Raises UsageError for a weight that is none, or out of range."""
    file, _, weight = text.rpartition("=")
    try:
        return Lora(file=Path(file), weight=float(weight)) if file else Lora(file=Path(text))
    except ValueError as error:
        if Path(file).exists() and not Path(text).exists():  # else the sign is part of the file's name
            raise UsageError(f"--lora {file}: its weight {weight!r} is no number.") from error
        return Lora(file=Path(text))
