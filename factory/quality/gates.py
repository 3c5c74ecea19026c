"""The gates: fixed limits on what is measured of a sample, each with a reason that is counted and a sentence.

A new gate is a file with a `Gate` (see gate.py) and a line in `GateSettings`. One on a number that the manifest shall
record is a score first: a field of `sample.Scores` and its measure in scores.py.
"""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factory.errors import UsageError
from factory.greenscreen.gsg import GSG_K
from factory.quality.checkerboard import CHECKERBOARD
from factory.quality.gate import PAINTED, SET_ON_A_SCREEN, Side, at_least, at_most, limits, number, on_score
from factory.quality.key_distance import NEAREST, proposal, share_within
from factory.quality.shape import BODIES, RIM_DEPTH, RIM_SHARE, TOP
from factory.sample import ASKED_SCORES, HASH_BITS, Rejection, Sample
from factory.settings import settings


def _another_screen(sample: Sample, gates: "GateSettings") -> str:
    """For an object in the screen's own colour, set on it by us: which other screen would do."""
    key, least = sample.origin.key_rgb, gates.key_distance_min
    if sample.origin.kind in PAINTED or sample.foreground is None or sample.alpha is None or least is None:
        return ""
    share = share_within(sample.foreground, sample.alpha, key, least)
    other = proposal(sample.foreground, sample.alpha, key, least)
    return f"; {share:.0%} of it lies within {least:g} levels of the key; {other}"


CHECKERED = 0.3  # the most of a picture that told its own alpha may be a checkerboard, where a recipe says nothing else
TRUSTED = 0.1  # the most label_error that what is keyed may have, where a recipe says nothing else
FARTHEST = 255 * 3**0.5  # between two colours, in levels
_COVERED = "the share of the picture that the object covers"
_CUT = "the share of the picture's border that the object covers"
# A screen that was put behind the object is pure.
GSG = on_score(
    "gsg",
    "gsg_screen",
    f"the screen's GSG (K = {GSG_K}), its main colour's distance from the key",
    most=FARTHEST,
    kinds=PAINTED,
)
NEAR_KEY = on_score(
    "near_key",
    "key_distance",
    f"the distance from the key colour, in levels, of the object's nearest {NEAREST:.0%}",
    most=FARTHEST,
    mend=_another_screen,
)
RESIDUE = on_score("green_residue", "green_residue", "the key colour left in the object", most=1, mend=_another_screen)
OF_THE_KEY = (NEAR_KEY.reason, RESIDUE.reason)  # what an object in the screen's own colour is turned down for
EMPTY = on_score("empty", "coverage", _COVERED, most=1)
UNEVEN = on_score("screen_uneven", "screen_spread", "the screen's unevenness in levels", most=255)
DISAGREEMENT = on_score("disagreement", "agreement", "the agreement of alpha and coarse mask", most=1)
UNTRUSTED = on_score("untrusted", "label_error", "the error that alpha is expected to have", most=1)
RESIDUAL = on_score("residual", "residual", "the compositing equation's error in levels", most=255)
PINHOLES = on_score("pinholes", "pinholes", "the number of see-through spots deep inside the object")
DETACHED = on_score("detached", "detached", "the share of the object that is apart from its largest piece", most=1)
UNAPPEALING = on_score("unappealing", "aesthetic", "the object's aesthetic score on grey")
OFF_TEXT = on_score("off_text", "text_agreement", "the agreement of the object on grey with its text", most=1)
UNSAFE = on_score("unsafe", "unsafe", "the safety checker's score of the object on grey")
TOO_FULL = on_score("too_full", "coverage", _COVERED, most=1)
CUT = on_score("cut", "border", _CUT, most=1, kinds=PAINTED)
CUT_AND_SET = on_score(
    "cut", "border", _CUT, most=1, kinds=SET_ON_A_SCREEN
)  # what its photograph cut may lie flush with it


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What a sample may score at most, or must score at least; None switches a gate off. Units as in quality/scores.py.

    The order of the fields is that in which the gates are asked. First comes what the object is; then whether the matte
    fits it; then the screen, which the matte tells from the object; then the frame. The first failing gate names the
    reason, so a fault that upsets several scores is called by its cause.
    """

    key_distance_min: float | None = at_least(128.0, NEAR_KEY)  # without green: over 200; a forest green 126, grass 170
    green_residue_max: float | None = at_most(0.2, RESIDUE)
    coverage_min: float | None = at_least(0.01, EMPTY)
    spread_max: float | None = at_most(4.0, UNEVEN)
    agreement_min: float | None = at_least(0.6, DISAGREEMENT)
    residual_max: float | None = at_most(10.0, RESIDUAL)
    gsg_max: float | None = at_most(20.0, GSG)
    coverage_max: float | None = at_most(0.85, TOO_FULL)
    border_max: float | None = at_most(0.01, CUT)
    flush_max: float | None = at_most(0.75, CUT_AND_SET)
    # Off unless a recipe asks for them; a plan names them only then.
    pinholes_max: int | None = at_most(None, PINHOLES)
    detached_max: float | None = at_most(None, DETACHED)
    label_error_max: float | None = at_most(None, UNTRUSTED)
    checkerboard_max: float | None = at_most(None, CHECKERBOARD)
    bodies_max: int | None = at_most(None, BODIES)
    top_max: float | None = at_most(None, TOP)
    rim_share_max: float | None = at_most(None, RIM_SHARE)
    rim_depth_max: float | None = at_most(None, RIM_DEPTH)
    aesthetic_min: float | None = at_least(None, UNAPPEALING)
    text_agreement_min: float | None = at_least(None, OFF_TEXT)
    unsafe_max: float | None = at_most(None, UNSAFE)
    duplicate_distance: int = 4  # bits in which the hashes of two samples of a shard may differ; −1 lets all in


def check_limits(gates: GateSettings) -> None:
    """Refuse limits that no sample can pass, before one is tried. Raises UsageError."""
    named = limits(gates)
    for name, limit in named.items():
        if limit.is_hopeless:
            can_be = f"0 to {number(limit.gate.most)}" if limit.side == "min" else "0 or more"
            raise UsageError(
                f"gates.{name} is {limit.value:g}, which no sample can pass: {limit.gate.says} is {can_be}."
            )
    for (name, low), (other, high) in permutations(named.items(), 2):
        one_score = low.gate.score == high.gate.score != "" and low.gate.kinds & high.gate.kinds
        if one_score and (low.side, high.side) == ("min", "max") and low.value > high.value:
            raise UsageError(
                f"gates.{name} is {low.value:g} and gates.{other} {high.value:g}, so no sample can pass: lower the one "
                "or raise the other."
            )
    if gates.duplicate_distance >= HASH_BITS:
        raise UsageError(
            f"gates.duplicate_distance is {gates.duplicate_distance}, but hashes have {HASH_BITS} bits, so one "
            "sample a shard could pass: take less, or -1 to let all in."
        )


def check_asked(planned: Mapping[str, Any], asked: Collection[str]) -> None:
    """Refuse gates on scores that nobody tells, which would let all pass.

    planned: the gates in a plan.  asked: which of ASKED_SCORES its samples have.  Raises UsageError.
    """
    for name, limit in limits(settings(GateSettings, planned)).items():
        if limit.gate.score in ASKED_SCORES and limit.gate.score not in asked:
            raise UsageError(
                f"gates.{name} asks for a score that is not measured: name its model among the `scorers` "
                f"(docs/models.md), or say gates.{name}=null."
            )


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
    """Admission for one shard: refuses an object that looks like one admitted before. To be asked in slot order.

    Hashes of two widths, as stored samples of an earlier version and new ones have, are not compared.
    """

    def __init__(self, settings: GateSettings) -> None:
        self._distance = settings.duplicate_distance
        self._admitted: dict[int, tuple[NDArray[np.uint8], list[str]]] = {}  # by width: hashes and keys, in order

    def __call__(self, sample: Sample) -> Rejection | None:
        """A Rejection("duplicate") if an admitted hash lies within the distance, else None, and the hash is kept."""
        if not sample.phash or self._distance < 0:
            return None
        own = np.frombuffer(bytes.fromhex(sample.phash), np.uint8)
        hashes, keys = self._admitted.get(own.size, (np.empty((0, own.size), np.uint8), []))
        distances = np.bitwise_count(hashes ^ own).sum(axis=1)
        near = np.flatnonzero(distances <= self._distance)
        if near.size:
            first = near[0]
            apart = f"their perceptual hashes differ in {distances[first]} of {8 * own.size} bits"
            return Rejection(sample=sample, reason="duplicate", detail=f"looks like {keys[first]}: {apart}")
        self._admitted[own.size] = np.vstack([hashes, own]), [*keys, sample.request.key]
        return None
