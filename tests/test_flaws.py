"""Promise: pinholes and pieces that hang in the air are counted, what an object is made with is none, and a recipe may
turn such mattes down.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from factory.quality.flaws import detached, pinholes
from factory.quality.gates import GateSettings, judge
from factory.quality.scores import ScoreSettings, completed, score
from factory.sample import Matte, Origin, Rejection, Request, Sample, Scores

SIDE = 256


def ball(side: int = SIDE) -> Matte:
    alpha = np.zeros((side, side), np.uint8)
    cv2.circle(alpha, (side // 2, side // 2), side * 3 // 8, 255, -1, cv2.LINE_AA)
    return alpha


def sample_of(alpha: Matte) -> Sample:
    return Sample(
        request=Request(key="0000000000", slot=0, attempt=0, seed=0),
        origin=Origin(kind="generated"),
        rgb=np.zeros((*alpha.shape, 3), np.uint8),
        alpha=alpha,
    )


@pytest.mark.parametrize("side", [64, 256, 512])
def test_spots_deep_inside_are_counted_at_any_size(side: int) -> None:
    alpha = ball(side)
    for x, y in ((0.5, 0.5), (0.4, 0.6), (0.6, 0.45)):
        alpha[round(y * side), round(x * side)] = 100
    assert pinholes(alpha) == 3
    assert pinholes(ball(side)) == 0


def test_what_an_object_is_made_with_is_no_pinhole() -> None:
    ring = ball()
    cv2.circle(ring, (SIDE // 2, SIDE // 2), SIDE // 6, 0, -1, cv2.LINE_AA)
    assert pinholes(ring) == 0, "a hole of its own"
    soft = np.asarray(cv2.GaussianBlur(ball(), (0, 0), 4), np.uint8)
    assert pinholes(soft) == 0, "a soft edge"
    assert pinholes(np.full((SIDE, SIDE), 120, np.uint8)) == 0, "glass all over"
    hair = ball()
    for x in range(60, 200, 9):
        cv2.line(hair, (x, 10), (x + 20, 90), 255, 1, cv2.LINE_AA)
    assert pinholes(hair) == 0, "gaps between the hairs at its rim"
    assert [pinholes(np.full((9, 9), level, np.uint8)) for level in (0, 255)] == [0, 0]


def test_pieces_apart_are_told_as_their_share() -> None:
    alpha = ball()
    assert detached(alpha) == 0
    assert detached(np.zeros_like(alpha)) == 0
    alpha[5:25, 5:25] = 255
    assert detached(alpha) == pytest.approx(400 / (alpha.sum() / 255), rel=1e-3)  # not all of its rim counts as there
    near = ball()
    near[:, SIDE // 2 : SIDE // 2 + 1] = 0
    assert detached(near) == 0, "a line of the drawing parts nothing"


def test_they_are_scores_of_every_sample_and_gates_on_request() -> None:
    alpha = ball()
    alpha[128, 128], alpha[5:25, 5:25] = 0, 255
    own = score(sample_of(alpha), ScoreSettings())
    assert own.scores.pinholes == 1
    assert 0.01 < own.scores.detached < 0.02
    old = completed(replace(own, scores=replace(own.scores, pinholes=-1.0, detached=-1.0)))
    assert old.scores == replace(own.scores, gsg_screen=old.scores.gsg_screen), "measured in sets that lack them"
    assert isinstance(judge(replace(own, scores=Scores(pinholes=900, detached=0.9)), GateSettings()), Sample), "lace"
    for limits, reason, sentence in (
        (
            GateSettings(pinholes_max=0),
            "pinholes",
            "the number of see-through spots deep inside the object is 1, asked",
        ),
        (
            GateSettings(detached_max=0.01),
            "detached",
            "the share of the object that is apart from its largest piece is",
        ),
    ):
        verdict = judge(replace(own, scores=Scores(pinholes=1, detached=own.scores.detached)), limits)
        assert isinstance(verdict, Rejection)
        assert verdict.reason == reason
        assert verdict.detail.startswith(sentence)
