"""A gate is one file: what it measures, its limit in the settings, its reason and its sentence."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import UsageError
from factory.jobs.registry import parse
from factory.quality import gates
from factory.quality.gate import PAINTED, Gate, at_least, at_most, limits
from factory.quality.gates import GateSettings, check_limits, judge, limits_by_score
from factory.sample import HASH_BITS, Origin, Rejection, Request, Sample, Scores
from factory.settings import changed, settings


def brightness(sample: Sample) -> float:
    return float(sample.rgb.mean())


def _darker(sample: Sample, own: Any) -> str:
    return f"; light {sample.request.key} with {own.brightness_max - 50:g} levels less"


GLARING = Gate(reason="glaring", says="the mean brightness", measure=brightness, mend=_darker)
KINDS = ("generated", "keyed", "composited")
DIM = Gate(reason="dim", says="the mean brightness", measure=brightness)
SMALL = Gate(reason="small", says="the width in pixels", measure=lambda sample: sample.rgb.shape[1], kinds=PAINTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnGates:
    """As `GateSettings` is made, of other gates."""

    brightness_max: float = at_most(200.0, GLARING)
    brightness_min: float = at_least(20.0, DIM)
    width_min: float = at_least(16.0, SMALL)
    patience: int = 3  # no gate


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreGates(GateSettings):
    """The gates that there are, and one more, as a later version will have them."""

    brightness_max: float = at_most(200.0, GLARING)


def sample_of(level: int, width: int = 20, kind: Any = "generated", scores: Scores | None = None) -> Sample:
    return Sample(
        request=Request(key="0000000007", slot=7, attempt=0, seed=1),
        origin=Origin(kind=kind),
        rgb=np.full((12, width, 3), level, np.uint8),
        scores=scores or Scores(),
    )


def told(sample: Sample, own: Any) -> tuple[str, str]:
    """(reason, sentence) of a rejection; empty where the sample passes."""
    verdict = judge(sample, own)
    if isinstance(verdict, Rejection):
        assert verdict.sample is sample
        return verdict.reason, verdict.detail
    assert verdict is sample
    return "", ""


def test_a_gate_of_its_own_measure_judges_with_its_sentence() -> None:
    own = OwnGates()
    sentence = "the mean brightness is 210, asked is at most 200; light 0000000007 with 150 levels less"
    assert told(sample_of(210), own) == ("glaring", sentence)
    assert told(sample_of(7), own) == ("dim", "the mean brightness is 7, asked is at least 20")
    assert told(sample_of(100), own) == ("", "")
    assert told(sample_of(210), replace(own, brightness_max=210.0)) == ("", "")


def test_a_gate_asks_only_the_kinds_it_is_for() -> None:
    assert told(sample_of(100, width=8), OwnGates()) == ("small", "the width in pixels is 8, asked is at least 16")
    assert told(sample_of(100, width=8, kind="keyed"), OwnGates()) == ("", "")


def test_the_first_field_that_fails_names_the_reason() -> None:
    assert told(sample_of(210, width=8), OwnGates())[0] == "glaring"
    assert list(limits(OwnGates())) == ["brightness_max", "brightness_min", "width_min"]


@given(value=st.floats(-2, 300), limit=st.floats(-1, 300))
def test_what_is_measured_is_judged_and_what_is_not_is_let_pass(value: float, limit: float) -> None:
    gate = Gate(reason="any", says="it", measure=lambda _sample: value)

    @dataclass(frozen=True, kw_only=True)
    class Most:
        limit: float = at_most(0.0, gate)

    @dataclass(frozen=True, kw_only=True)
    class Least:
        limit: float = at_least(0.0, gate)

    sample = sample_of(0)
    assert (told(sample, Most(limit=limit))[0] == "any") == (value >= 0 and value > limit)
    assert (told(sample, Least(limit=limit))[0] == "any") == (0 <= value < limit)


@pytest.mark.parametrize(
    "score", ["gsg_screen", "key_distance", "green_residue", "coverage", "screen_spread", "agreement"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_fails_its_gate(score: str, value: float) -> None:
    reason, sentence = told(sample_of(0, scores=Scores(**{score: value})), GateSettings())
    assert reason == next(limit.gate.reason for limit in limits(GateSettings()).values() if limit.gate.score == score)
    assert f" is {value:g}, asked is at " in sentence


def test_a_gate_without_a_limit_is_off() -> None:
    bad = sample_of(210, scores=Scores(gsg_screen=99.0, green_residue=0.9))
    assert told(bad, GateSettings())[0] == "green_residue"
    assert told(bad, GateSettings(green_residue_max=None, key_distance_min=None))[0] == "gsg"
    off = settings(GateSettings, asdict(GateSettings(gsg_max=None, green_residue_max=None)))
    assert told(bad, off) == ("", "")
    assert not {"gsg_screen", "green_residue"} & limits_by_score(asdict(off), {"generated"}).keys()


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), "nan"])
def test_a_limit_that_is_no_number_is_refused(limit: object) -> None:
    with pytest.raises(UsageError, match=r"gates\.gsg_max.* finite number"):
        parse({"job": "generate", "out": "new", "gates": {"gsg_max": limit}})
    with pytest.raises(UsageError, match=r"gates\.gsg_max is (nan|inf): give a finite number"):
        changed("gates", GateSettings(), {"gsg_max": limit})
    assert changed("gates", GateSettings(), {"gsg_max": None}) == GateSettings(gsg_max=None)


def test_a_gate_is_added_by_a_field_and_planned_with_the_others() -> None:
    own = MoreGates(gsg_max=3.0)
    planned = asdict(own)
    assert planned == asdict(GateSettings(gsg_max=3.0)) | {"brightness_max": 200.0}
    assert settings(MoreGates, planned) == own
    assert told(sample_of(210), own)[0] == "glaring"
    assert told(sample_of(210, scores=Scores(gsg_screen=4.0)), own)[0] == "gsg", "those before it are asked first"
    assert told(sample_of(210, scores=Scores(gsg_screen=4.0)), GateSettings())[0] == ""


def test_drawings_have_the_limits_of_the_plan_and_none_of_gates_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = asdict(GateSettings(coverage_max=0.7))
    whole = limits_by_score(planned, {"generated"})
    assert whole["coverage"] == [("min", 0.01), ("max", 0.7)]
    older = {name: value for name, value in planned.items() if name not in {"coverage_max", "gsg_max"}}
    assert limits_by_score(older, {"generated"}) == {
        **{score: lines for score, lines in whole.items() if score != "gsg_screen"},
        "coverage": [("min", 0.01)],
    }
    assert limits_by_score(planned | {"of_a_later_version": 3.0}, {"generated"}) == whole
    assert limits_by_score({}, {"generated"}) == {}
    monkeypatch.setattr(gates, "GateSettings", MoreGates)
    assert limits_by_score(planned, {"generated"}) == whole, "of a plan that was made before the gate"
    assert limits_by_score(asdict(MoreGates(coverage_max=0.7)), {"generated"}) == whole, "no score is no column to draw"


def test_drawings_have_only_the_limits_that_a_kind_was_held_against() -> None:
    planned = asdict(GateSettings(border_max=0.1, flush_max=0.6))
    assert limits_by_score(planned, {"generated"})["border"] == [("max", 0.1)]
    assert limits_by_score(planned, {"composited"})["border"] == [("max", 0.6)]
    assert limits_by_score(planned, {"generated", "keyed"})["border"] == [("max", 0.1), ("max", 0.6)]
    assert "gsg_screen" not in limits_by_score(planned, {"keyed"})


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            {"coverage_min": 0.9, "coverage_max": 0.1},
            "gates.coverage_min is 0.9 and gates.coverage_max 0.1, so no sample",
        ),
        ({"coverage_max": 0.001}, "gates.coverage_min is 0.01 and gates.coverage_max 0.001"),
        ({"coverage_min": 30, "coverage_max": 80}, "gates.coverage_min is 30, which no sample can pass"),
        ({"agreement_min": 1.01}, "gates.agreement_min is 1.01"),
        ({"key_distance_min": 442}, "gates.key_distance_min is 442"),
        *(({name: -1}, f"gates.{name} is -1") for name in ("gsg_max", "spread_max", "residual_max", "border_max")),
        *(({name: -0.01}, f"gates.{name} is -0.01") for name in ("green_residue_max", "flush_max", "coverage_max")),
        ({"duplicate_distance": HASH_BITS}, f"gates.duplicate_distance is {HASH_BITS}"),
    ],
)
def test_limits_that_nothing_can_pass_are_refused(own: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_limits(GateSettings(**own))
    assert said in str(caught.value)


@given(st.builds(GateSettings, **{name: st.floats(-1, 450) for name in limits(GateSettings())}))
def test_limits_are_refused_only_where_no_scores_would_pass(own: GateSettings) -> None:
    best = {limit.gate.score: limit.value for limit in limits(own).values() if limit.side == "min"}
    scores = Scores(**{name: max(0.0, value) for name, value in best.items()})
    scores = replace(scores, **{name: 0.0 for name in asdict(scores) if name not in best})
    passes = all(not isinstance(judge(sample_of(9, kind=kind, scores=scores), own), Rejection) for kind in KINDS)
    possible = (
        all(value <= 1 for name, value in best.items() if name != "key_distance") and best["key_distance"] < 441.67
    )
    if passes and possible:
        check_limits(own)
    else:
        with pytest.raises(UsageError):
            check_limits(own)


def test_the_usual_limits_can_be_passed() -> None:
    check_limits(GateSettings())
    check_limits(
        GateSettings(gsg_max=500, coverage_min=0, coverage_max=1, border_max=float("inf"), duplicate_distance=-1)
    )
