"""What the log of a training says should be changed: one sentence, or none."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

from factory.training.log import VALIDATION

RISES = 3  # validations in a row, each worse than the one before; of mere noise every 24th four are so,
SHARE = 0.1  # so they must be worse by this share of the first as well: within it measures of few pictures waver
GSG_MINDED = 5.0  # levels; below no eye sees that a screen is not pure, and gates let 20 pass
HELD_BACK = frozenset({"mse", "sad", "mae", "iou"})  # what is measured on samples that are not learned from
ANEW = "in another --out"  # what decides weights cannot be changed in a folder that was begun


def advice(records: Sequence[Mapping[str, Any]]) -> str:
    """One sentence on the phase that the log ends with; "" where nothing asks for a change.

    records: lines of log.jsonl, in order. Looked at are its last line, for numbers that are none, and what each measure
    of the last RISES + 1 validations did. What is measured on samples held back and worsens while losses fall shows
    learning by heart; else steps are too long, by which screens lose their purity, too.
    """
    if not records:
        return ""
    phase = [record for record in records if record["phase"] == records[-1]["phase"]]
    steps = [record for record in phase if record["name"] != VALIDATION]
    if steps and (ill := [name for name, value in steps[-1]["losses"].items() if not isfinite(value)]):
        return f"{', '.join(ill)} at step {steps[-1]['step']:,} is no number: train with a lower lr, {ANEW}."
    validations = [record for record in phase if record["name"] == VALIDATION]
    for measure in validations[-1]["losses"] if validations else ():
        told = [(one["step"], one["losses"][measure]) for one in validations if measure in one["losses"]]
        if has_worsened(measure, [value for _, value in told]):
            (begin, first), (end, last) = told[-RISES - 1], told[-1]
            what = f"{measure} went from {first:.3g} to {last:.3g} in {RISES} validations, steps {begin:,} to {end:,}"
            return f"{what}: {_mend(measure, [one for one in steps if begin <= one['step'] <= end])}, {ANEW}."
    return ""


def has_worsened(measure: str, values: Sequence[float]) -> bool:
    """Whether the last RISES of a measure's values are each worse than the one before, and enough in all."""
    last = [-value if is_better_high(measure) else value for value in values[-RISES - 1 :]]
    if len(last) <= RISES or not all(isfinite(value) for value in last):
        return False
    rises = all(before < after for before, after in pairwise(last))
    return rises and last[-1] - last[0] >= SHARE * abs(last[0]) and (not _is_gsg(measure) or last[-1] >= GSG_MINDED)


def is_better_high(measure: str) -> bool:
    """Whether more of a validation's measure is better; of most less is."""
    return "iou" in measure.lower()


def _mend(measure: str, steps: Sequence[Mapping[str, Any]]) -> str:
    if _is_gsg(measure):
        return "screens get less pure; lower the phase's lr, let it fall (decay: cosine), or raise green_weight"
    half = len(steps) // 2
    if HELD_BACK.isdisjoint(measure.lower().split()) or (half and _loss(steps[half:]) > _loss(steps[:half])):
        return "steps are too long; lower the lr or warm up longer"
    return "losses do not rise with it, so samples are learned by heart; take more data or fewer steps"


def _is_gsg(measure: str) -> bool:
    return "gsg" in measure.lower()


def _loss(steps: Sequence[Mapping[str, Any]]) -> float:
    """The mean of what is lowered: the sum of all losses."""
    return sum(sum(one["losses"].values()) for one in steps) / len(steps)
