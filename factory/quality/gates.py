"""The gates: fixed thresholds on scores, each with a reason that is counted and a sentence with the numbers."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from factory.quality.gsg import GSG_K
from factory.quality.key_distance import NEAREST, proposal, share_within
from factory.sample import Rejection, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What a sample may score at most, or must score at least. Units as in quality/scores.py."""

    gsg_max: float = 20.0
    spread_max: float = 4.0
    coverage_min: float = 0.01
    coverage_max: float = 0.85
    border_max: float = 0.01
    flush_max: float = 0.75  # border_max for objects that were set on their screen: they may be flush with some sides
    agreement_min: float = 0.6
    residual_max: float = 10.0
    green_residue_max: float = 0.2
    key_distance_min: float = 128.0  # things of no green in them have over 200, a forest green 126, grass 170
    duplicate_distance: int = 4


class Limit(NamedTuple):
    """One score against one threshold."""

    reason: str
    value: float
    low: float
    high: float
    says: str


def limits(sample: Sample, settings: GateSettings) -> list[Limit]:
    """All gates in the order in which they are asked.

    Whole-picture faults come first; then what the object is; then whether the matte fits it; then the frame. The
    first failing gate names the reason, so a fault that upsets several scores is called by its cause.
    """
    s, g, most = sample.scores, settings, float("inf")
    nearest = f"the distance from the key colour, in levels, of the object's nearest {NEAREST:.0%}"
    # A screen that was put behind the object is pure, but may have fewer pixels of one colour than the object; and an
    # object that its photograph cut lies flush with the border.
    painted = sample.origin.kind == "generated"
    border_max, gsg_max = (g.border_max, g.gsg_max) if painted else (g.flush_max, most)
    return [
        Limit("gsg", s.gsg, 0, gsg_max, f"GSG (K = {GSG_K}), the main colour's distance from the key"),
        Limit("near_key", s.key_distance, g.key_distance_min, most, nearest),
        Limit("green_residue", s.green_residue, 0, g.green_residue_max, "the key colour left in the object"),
        Limit("empty", s.coverage, g.coverage_min, most, "the share of the picture that the object covers"),
        Limit("screen_uneven", s.screen_spread, 0, g.spread_max, "the screen's unevenness in levels"),
        Limit("disagreement", s.agreement, g.agreement_min, most, "the agreement of alpha and coarse mask"),
        Limit("residual", s.residual, 0, g.residual_max, "the compositing equation's error in levels"),
        Limit("too_full", s.coverage, 0, g.coverage_max, "the share of the picture that the object covers"),
        Limit("cut", s.border, 0, border_max, "the share of the picture's border that the object covers"),
    ]


def judge(sample: Sample, settings: GateSettings) -> Sample | Rejection:
    """The sample itself if it passes every gate, else a Rejection by the first that it fails. −1 is not judged."""
    for limit in limits(sample, settings):
        if limit.value >= 0 and not limit.low <= limit.value <= limit.high:
            bound = f"at least {limit.low:g}" if limit.value < limit.low else f"at most {limit.high:g}"
            detail = f"{limit.says} is {limit.value:.3g}, asked is {bound}{_mend(sample, limit, settings)}"
            return Rejection(sample=sample, reason=limit.reason, detail=detail)
    return sample


def _mend(sample: Sample, limit: Limit, settings: GateSettings) -> str:
    """What the user can do: another screen for an object in the screen's own colour."""
    own_colour = limit.reason in {"near_key", "green_residue"} and sample.origin.kind != "generated"
    if not own_colour or sample.foreground is None or sample.alpha is None:
        return ""
    key, least = sample.origin.key_rgb, settings.key_distance_min
    share = share_within(sample.foreground, sample.alpha, key, least)
    other = proposal(sample.foreground, sample.alpha, key, least)
    return f"; {share:.0%} of it lies within {least:g} levels of the key; {other}"


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
