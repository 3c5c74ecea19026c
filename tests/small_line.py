"""A small real production line for tests of the engine: discs drawn with OpenCV, gates that look at the seed alone."""

import errno
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from factory.engine.line import Line
from factory.engine.plan import Plan, Segment
from factory.equation import constant_plate, residual
from factory.errors import DataError
from factory.greenscreen.compositing import paint_on_screen
from factory.sample import Origin, Rejection, Request, Sample, Scores
from factory.shards.encoding import encode

SIZE = 32
GREEN = (0, 255, 0)


def make_plan(**changes: object) -> Plan:
    """70 slots in shards of 16; `settings` can make the line misbehave."""
    fields: dict[str, object] = {
        "job": "test",
        "seed": 5,
        "shard_size": 16,
        "batch_size": 4,
        "threads": 1,
        "segments": (
            Segment(source="discs", split="train", slots=60, attempts=6),
            Segment(source="discs", split="validation", slots=10, attempts=6),
        ),
    }
    return Plan(**(fields | changes))  # type: ignore[arg-type]


def draw(request: Request) -> Sample | DataError:
    """A disc whose colour, place and size are the seed's; an item {"broken": True} is bad data.

    Its prompt says why the slot's earlier attempts came to nothing, so that no test of equal bytes overlooks it.
    """
    if request.item.get("broken"):
        return DataError("undecodable", "the item is broken")
    random = np.random.default_rng(request.seed)
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    x, y = (int(v) for v in random.integers(10, 22, 2))
    cv2.circle(alpha, (x, y), int(random.integers(4, 9)), 255, -1, cv2.LINE_AA)
    foreground = np.full((SIZE, SIZE, 3), random.integers(60, 255, 3) * (1, 0.4, 1), np.uint8)
    rgb = paint_on_screen(foreground, alpha, GREEN)
    plate = constant_plate(GREEN)
    return Sample(
        request=request,
        origin=Origin(
            kind="composited",
            class_name="disc",
            caption="a disc",
            prompt=", ".join(request.reasons),
            source="test",
            licence="CC0-1.0",
        ),
        rgb=rgb,
        alpha=alpha,
        foreground=foreground,
        plate=plate,
        scores=Scores(residual=residual(rgb, alpha, foreground, plate)),
        phash=f"{request.seed:016x}",
    )


def source(requests: Sequence[Request]) -> list[Sample | DataError]:
    return [draw(request) for request in requests]


def picky(sample: Sample) -> Sample | Rejection:
    """Turns down every third seed."""
    if sample.request.seed % 3 == 0:
        return Rejection(sample=sample, reason="picky", detail="the seed is divisible by 3")
    return replace(sample, origin=replace(sample.origin, attribution="picky"))


def build(plan: Plan, root: Path) -> Line:
    """settings: die_in, fail_in, raise_in (shards); once (path of a marker file: the first time only)."""
    settings = plan.settings
    marker = Path(str(settings["once"])) if "once" in settings else None

    def misbehave(sample: Sample) -> Sample:
        shard = int(sample.request.key[:6])
        troubles = [name for name in ("die_in", "fail_in", "raise_in") if settings.get(name) == shard]
        if not troubles or (marker and marker.exists()):
            return sample
        if marker:
            marker.touch()
        if "die_in" in troubles:
            os.kill(os.getpid(), signal.SIGKILL)
        if "fail_in" in troubles:
            raise OSError(errno.ESTALE, "Stale file handle", "/shared/picture.png")
        raise ValueError("cannot reshape")

    return Line(
        sources={"discs": source},
        stages={"misbehave": misbehave, "picky": picky},
        admission=lambda: lambda sample: None,
        encode=encode,
    )
