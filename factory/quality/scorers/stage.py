"""Scorers at work: each sample's object on mid grey and its picture on the screen, a full batch of each at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from factory.errors import DataError
from factory.greenscreen.compositing import paint_on_screen
from factory.quality.scorers.scorer import SCREEN, UNTOLD, Judge, View
from factory.sample import BatchStep, Picture, Sample

GREY = (128, 128, 128)
DECIMALS = 4  # of scores as they are stored: a gate judges the same number now and whenever `filter` does


class ScorerStage:
    """A batch stage.  judges: by the score that each tells.  least: pictures that they are shown at once."""

    def __init__(self, judges: Mapping[str, Judge], least: int, device: str) -> None:
        self.device = device
        self._judges = judges
        self._least = least

    def begin(self) -> BatchStep:
        """It remembers nothing."""
        return self._step

    def _step(self, samples: Sequence[Sample]) -> list[Sample | DataError]:
        texts = [_text(sample) for sample in samples]
        told: list[dict[str, float]] = [{} for _ in samples]
        grey, screen = [_on_grey(sample) for sample in samples], [sample.rgb for sample in samples]
        for behind, pictures in (("", grey), (SCREEN, screen)):
            missing = max(0, self._least - len(samples))
            view = View((*pictures, *[None] * missing), (*texts, *[""] * missing))
            for score, judge in self._judges.items():
                for own, picture, value in zip(told, pictures, judge(view), strict=False):
                    own[score + behind] = UNTOLD if picture is None else value
        return [_with(sample, own) for sample, own in zip(samples, told, strict=True)]


def _with(sample: Sample, told: Mapping[str, float]) -> Sample | DataError:
    if strange := [score for score, value in told.items() if not math.isfinite(value)]:
        return DataError("nan", f"{strange[0]} came out as no number: its scorer's weights may be damaged")
    stored = {score: round(value, DECIMALS) for score, value in told.items()}
    return replace(sample, scores=replace(sample.scores, **stored))


def _on_grey(sample: Sample) -> Picture | None:
    if sample.alpha is None or sample.foreground is None:
        return None
    return paint_on_screen(sample.foreground, sample.alpha, GREY)


def _text(sample: Sample) -> str:
    origin = sample.origin
    return origin.caption or origin.prompt or origin.class_name
