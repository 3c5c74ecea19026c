"""The gates: fixed limits on what is measured of a sample, each with a reason that is counted and a sentence.

A new gate is a file with a `Gate` (see gate.py) and a line in `GateSettings`. One on a number that the manifest shall
record is a score first: a field of `sample.Scores` and its measure in scores.py.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from factory.quality.gate import PAINTED, SET_ON_A_SCREEN, Side, at_least, at_most, limits, number, on_score
from factory.quality.gsg import GSG_K
from factory.quality.key_distance import NEAREST, proposal, share_within
from factory.sample import Rejection, Sample
from factory.settings import settings


def _another_screen(sample: Sample, gates: "GateSettings") -> str:
    """For an object in the screen's own colour, set on it by us: which other screen would do."""
    if sample.origin.kind in PAINTED or sample.foreground is None or sample.alpha is None:
        return ""
    key, least = sample.origin.key_rgb, gates.key_distance_min
    share = share_within(sample.foreground, sample.alpha, key, least)
    other = proposal(sample.foreground, sample.alpha, key, least)
    return f"; {share:.0%} of it lies within {least:g} levels of the key; {other}"


_COVERED = "the share of the picture that the object covers"
_CUT = "the share of the picture's border that the object covers"
# A screen that was put behind the object is pure, but may have fewer pixels of one colour than the object.
GSG = on_score("gsg", "gsg", f"GSG (K = {GSG_K}), the main colour's distance from the key", kinds=PAINTED)
NEAR_KEY = on_score(
    "near_key",
    "key_distance",
    f"the distance from the key colour, in levels, of the object's nearest {NEAREST:.0%}",
    mend=_another_screen,
)
RESIDUE = on_score("green_residue", "green_residue", "the key colour left in the object", mend=_another_screen)
EMPTY = on_score("empty", "coverage", _COVERED)
UNEVEN = on_score("screen_uneven", "screen_spread", "the screen's unevenness in levels")
DISAGREEMENT = on_score("disagreement", "agreement", "the agreement of alpha and coarse mask")
RESIDUAL = on_score("residual", "residual", "the compositing equation's error in levels")
TOO_FULL = on_score("too_full", "coverage", _COVERED)
CUT = on_score("cut", "border", _CUT, kinds=PAINTED)
CUT_AND_SET = on_score("cut", "border", _CUT, kinds=SET_ON_A_SCREEN)  # what its photograph cut may lie flush with it


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What a sample may score at most, or must score at least. Units as in quality/scores.py.

    The order of the fields is that in which the gates are asked. Whole-picture faults come first; then what the object
    is; then whether the matte fits it; then the frame. The first failing gate names the reason, so a fault that upsets
    several scores is called by its cause.
    """

    gsg_max: float = at_most(20.0, GSG)
    key_distance_min: float = at_least(128.0, NEAR_KEY)  # without green: over 200; a forest green 126, grass 170
    green_residue_max: float = at_most(0.2, RESIDUE)
    coverage_min: float = at_least(0.01, EMPTY)
    spread_max: float = at_most(4.0, UNEVEN)
    agreement_min: float = at_least(0.6, DISAGREEMENT)
    residual_max: float = at_most(10.0, RESIDUAL)
    coverage_max: float = at_most(0.85, TOO_FULL)
    border_max: float = at_most(0.01, CUT)
    flush_max: float = at_most(0.75, CUT_AND_SET)
    duplicate_distance: int = 4  # bits in which the hashes of two samples of a shard may differ; −1 lets all in


def judge(sample: Sample, gates: GateSettings) -> Sample | Rejection:
    """The sample itself if it passes every gate, else a Rejection by the first that it fails. −1 is not judged."""
    for limit in limits(gates).values():
        gate = limit.gate
        if sample.origin.kind in gate.kinds and limit.broken_by(value := gate.measure(sample)):
            detail = f"{gate.says} is {number(value)}, asked is {limit}{gate.mend(sample, gates)}"
            return Rejection(sample=sample, reason=gate.reason, detail=detail)
    return sample


def limits_by_score(planned: Mapping[str, Any], kinds: AbstractSet[str]) -> dict[str, list[tuple[Side, float]]]:
    """Score → the limits that samples of these kinds were held against, for drawings.

    planned: the gates in a plan; an older one may lack some.
    """
    planned = settings(dict[str, Any], planned)
    known = {field.name for field in fields(GateSettings)} & planned.keys()
    own = settings(GateSettings, {name: planned[name] for name in known})
    found: dict[str, list[tuple[Side, float]]] = {}
    for name, limit in limits(own).items():
        if name in known and limit.gate.score and limit.gate.kinds & kinds:
            found.setdefault(limit.gate.score, []).append((limit.side, limit.value))
    return found


class NearDuplicates:
    """Admission for one shard: refuses an object that looks like one admitted before. To be asked in slot order."""

    def __init__(self, settings: GateSettings) -> None:
        self._distance = settings.duplicate_distance
        self._hashes = np.empty(0, np.uint64)  # of the admitted samples, in order
        self._keys: list[str] = []

    def __call__(self, sample: Sample) -> Rejection | None:
        """A Rejection("duplicate") if an admitted hash lies within the distance, else None, and the hash is kept."""
        if not sample.phash or self._distance < 0:
            return None
        phash = np.uint64(int(sample.phash, 16))
        distances = np.bitwise_count(self._hashes ^ phash)
        near = np.flatnonzero(distances <= self._distance)
        if near.size:
            first = near[0]
            detail = f"looks like {self._keys[first]}: their perceptual hashes differ in {distances[first]} of 64 bits"
            return Rejection(sample=sample, reason="duplicate", detail=detail)
        self._hashes = np.append(self._hashes, phash)
        self._keys.append(sample.request.key)
        return None
