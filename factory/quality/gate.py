"""What a gate is: one measure of a sample against one limit, with a reason that is counted and a sentence.

A gate that measures by itself, in a file of its own:

    PIECES = Gate(reason="pieces", says="the number of the object's pieces", measure=pieces)

and its line in GateSettings: `pieces_max: int = at_most(40, PIECES)`. It is asked of finished samples and, by `filter`,
of stored ones, which have no coarse mask. What it measures stands in the sentence of a rejection only; a number that
the manifest shall have for every sample is a score.
"""

import math
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

from factory.sample import Sample
from factory.settings import UNSAID

Side: TypeAlias = Literal["min", "max"]
EVERY_KIND = frozenset({"generated", "keyed", "composited"})
PAINTED = frozenset({"generated"})
SET_ON_A_SCREEN = EVERY_KIND - PAINTED


def _nothing(_sample: Sample, _settings: Any) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """reason: a short word.  says: what is measured, as the sentence with the numbers begins.

    measure: of a sample; −1 where it cannot be told (no alpha, no plate …), which is not judged. What is no number
    fails.
    score: which score it is, "" where the manifest has no column for it.
    most: the largest that can be measured; the smallest is 0.
    kinds: `Origin.kind` of the samples that are judged.
    mend: what the user can do, the end of the sentence; told the sample and the GateSettings.
    """

    reason: str
    says: str
    measure: Callable[[Sample], float]
    score: str = ""
    most: float = math.inf
    kinds: frozenset[str] = EVERY_KIND
    mend: Callable[[Sample, Any], str] = _nothing


def on_score(
    reason: str,
    score: str,
    says: str,
    *,
    most: float = math.inf,
    kinds: frozenset[str] = EVERY_KIND,
    mend: Callable[[Sample, Any], str] = _nothing,
) -> Gate:
    """A gate on a recorded score."""
    measure = attrgetter(f"scores.{score}")
    return Gate(reason=reason, says=says, measure=measure, score=score, most=most, kinds=kinds, mend=mend)


def at_most(limit: float | None, gate: Gate) -> Any:
    """A field of GateSettings: what the gate measures may be this large; None switches the gate off."""
    return _limited(limit, gate, "max")


def at_least(limit: float | None, gate: Gate) -> Any:
    """A field of GateSettings: what the gate measures must be this large; None switches the gate off."""
    return _limited(limit, gate, "min")


def _limited(limit: float | None, gate: Gate, side: Side) -> Any:
    """One that is off unless asked for is in a plan only then: sets that were begun without it go on."""
    return field(default=limit, metadata={"gate": gate, "side": side, **(UNSAID if limit is None else {})})


class Limit(NamedTuple):
    """A gate with the limit that the settings have for it."""

    gate: Gate
    side: Side
    value: float

    def broken_by(self, value: float) -> bool:
        """Whether the value is a measured one and lies beyond the limit, or is no finite number."""
        within = value >= self.value if self.side == "min" else value <= self.value
        return not math.isfinite(value) or (value >= 0 and not within)

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing that is measured can lie within the limit."""
        return self.value > self.gate.most if self.side == "min" else self.value < 0

    def __str__(self) -> str:
        return f"at least {self.value:g}" if self.side == "min" else f"at most {self.value:g}"


def number(value: float) -> str:
    """Three significant digits, without an exponent; a large count in full."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def limits(gates: Any) -> dict[str, Limit]:
    """All limits of a settings dataclass by the names of its fields, in their order; not of gates that are off."""
    gated: list[Field[Any]] = [one for one in fields(gates) if "gate" in one.metadata]
    values = ((one, getattr(gates, one.name)) for one in gated)
    return {
        one.name: Limit(one.metadata["gate"], one.metadata["side"], value) for one, value in values if value is not None
    }
