"""How far a training is, read from its folder alone."""

from pathlib import Path

from factory.engine.units import duration
from factory.review.training.curves import number
from factory.review.training.page import PAGE
from factory.review.training.record import Told, best, read_record


def training_status(out: Path) -> str:
    """How far it is, and what its last steps told, in lines for people. Raises UsageError."""
    record = read_record(out)
    lines = [f"{out}: {record.job}, {record.place}"]
    lines += _told(record.now)
    if record.advice:
        lines.append(f"  {record.advice}")
    if record.finished is None:
        lines.append("  not finished: run its command again to go on, unless it still runs")
    elif (seconds := record.ended_with("seconds")) is not None:
        lines.append(f"  finished, after {duration(seconds)} of steps")
    if (out / PAGE).is_file():
        lines.append(f"  report: {out / PAGE}")
    return "\n".join(lines)


def _told(told: Told) -> list[str]:
    lines = []
    if told.losses:
        last = (f"{name} {number(points[-1][1])}" for name, points in told.losses.items())
        lines.append(f"  losses at step {told.step:,}: {', '.join(last)}")
    for measure, points in told.validations.items():
        step, value = best(measure, points)
        lines.append(f"  validation {measure}: {number(points[-1][1])}, best {number(value)} at step {step:,}")
    return lines
