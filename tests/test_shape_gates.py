"""Promise: gates on a matte's shape judge when a recipe asks for them, and else they are in no plan."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from factory.errors import UsageError
from factory.quality.gates import GateSettings, check_limits, judge
from factory.sample import Matte, Origin, Rejection, Request, Sample
from factory.settings import said, settings

SHAPE = {"label_error_max", "pinholes_max", "detached_max", "bodies_max", "top_max", "rim_share_max", "rim_depth_max"}


def matte(*boxes: tuple[int, int, int, int, int]) -> Matte:
    """A matte of 100 × 80 with boxes of (top, bottom, left, right, level)."""
    own = np.zeros((100, 80), np.uint8)
    for top, bottom, left, right, level in boxes:
        own[top:bottom, left:right] = level
    return own


def told(alpha: Matte | None, **limits: float) -> tuple[str, str]:
    """(reason, sentence) of a rejection by these gates alone; empty where the sample passes."""
    sample = Sample(
        request=Request(key="0000000000", slot=0, attempt=0, seed=0),
        origin=Origin(kind="generated"),
        rgb=np.zeros((100, 80, 3), np.uint8),
        alpha=alpha,
    )
    verdict = judge(sample, GateSettings(**limits))  # type: ignore[arg-type]
    return (verdict.reason, verdict.detail) if isinstance(verdict, Rejection) else ("", "")


BODY = (20, 80, 20, 60, 255)
SOFT = (10, 20, 20, 60, 128)


@pytest.mark.parametrize(
    ("boxes", "limits", "sentence"),
    [
        ((BODY, (85, 99, 20, 60, 255)), {"bodies_max": 1}, "the number of the object's large pieces is 2, asked"),
        ((BODY, SOFT), {"rim_depth_max": 0.02}, "the rim's depth as a share of the picture's shorter side is 0.0625"),
        (
            (BODY, SOFT),
            {"rim_share_max": 0.1},
            "the rim's area in units of the object's is 0.154, asked is at most 0.1",
        ),
        (
            ((0, 80, 20, 60, 255),),
            {"top_max": 0.0},
            "the share of the picture's upper edge that the object covers is 0.5, asked is at most 0",
        ),
    ],
)
def test_each_gate_judges_with_its_number(boxes: Any, limits: dict[str, float], sentence: str) -> None:
    reasons = {"bodies_max": "bodies", "rim_depth_max": "rim_deep", "rim_share_max": "rim_wide", "top_max": "head_cut"}
    reason, detail = told(matte(*boxes), **limits)
    assert reason == reasons[next(iter(limits))]
    assert detail.startswith(sentence)
    assert told(matte(*boxes)) == ("", ""), "off by themselves"
    assert told(matte(BODY, (2, 4, 2, 4, 255)), **limits) == ("", ""), "a sound portrait with a crumb passes"
    assert told(None, **limits) == ("", ""), "without α there is nothing to judge"


@pytest.mark.parametrize("level", [0, 128, 255])
def test_mattes_of_one_level_are_judged_too(level: int) -> None:
    alpha = np.full((100, 80), level, np.uint8)
    assert told(alpha, bodies_max=1) == ("", "")
    assert told(alpha, rim_depth_max=0.5)[0] == ("rim_deep" if level == 128 else "")
    assert told(alpha, rim_share_max=0.5)[0] == {0: "rim_wide", 128: "rim_wide", 255: ""}[level]


def test_a_plan_names_them_only_where_a_recipe_does() -> None:
    plain = GateSettings()
    unsaid = {*SHAPE, "checkerboard_max", "aesthetic_min", "text_agreement_min", "unsafe_max"}
    assert said(plain) == {name: value for name, value in asdict(plain).items() if name not in unsaid}
    asked = GateSettings(top_max=0.0, gsg_max=None)
    assert said(asked) == said(plain) | {"top_max": 0.0, "gsg_max": None}
    for own in (plain, asked):
        assert settings(GateSettings, said(own)) == own


def test_limits_that_nothing_can_pass_are_refused() -> None:
    with pytest.raises(UsageError, match=r"gates\.rim_depth_max is -1"):
        check_limits(GateSettings(rim_depth_max=-1))
