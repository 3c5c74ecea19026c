"""A small real set, made through the engine from drawn pictures: what the tests of what lies on disk work on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from factory.engine.drive import Drive
from factory.engine.line import Line
from factory.engine.local import InProcessCrew, ProcessCrew
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment
from factory.equation import constant_plate, plate_picture, residual
from factory.errors import DataError
from factory.review.thumbnails import rejection_thumbnail
from factory.sample import Origin, Rejection, Request, Sample, Scores
from factory.shards.commit import CommitRecord, valid_commits
from factory.shards.durable import write_json
from factory.shards.encoding import encode
from factory.shards.layout import Layout
from factory.shards.lock import hold

SIZE = 48
GREEN = (0.0, 255.0, 0.0)


def small_plan(slots: int = 22, validation: int = 6, shard_size: int = 8) -> Plan:
    """Three shards to train on, the last one short, and one to validate; up to two attempts a slot."""
    segments = (
        Segment(source="drawn", split="train", slots=slots, attempts=2),
        Segment(source="drawn", split="validation", slots=validation, attempts=2),
    )
    return Plan(job="test", seed=7, shard_size=shard_size, batch_size=3, threads=1, segments=segments)


def draw(request: Request) -> Sample | DataError:
    """A soft coloured blob before green. Every 9th slot repeats the picture of slot 0, every 7th fails at first."""
    if request.slot % 7 == 3 and request.attempt == 0:
        return DataError("empty", "nothing was drawn")
    seed = 0 if request.slot % 9 == 0 else request.seed
    rng = np.random.Generator(np.random.PCG64(seed))
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    points = (SIZE / 2 + rng.uniform(-0.4, 0.4, (5, 2)) * SIZE).astype(np.int32)
    cv2.fillPoly(alpha, [cv2.convexHull(points)], 255, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.5).astype(np.uint8)
    colour = rng.integers(0, 256, (4, 4, 3), np.uint8)
    foreground = cv2.resize(colour, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    plate = constant_plate(GREEN)
    a = alpha[..., None] / 255
    rgb = np.rint(a * foreground + (1 - a) * plate_picture(plate, SIZE, SIZE)).astype(np.uint8)
    origin = Origin(
        kind="composited",
        class_name=("leaf", "cup", "crystal | vase")[request.slot % 3],
        caption=f"drawing {request.slot} – ä",
        source=("drawn", "painted")[request.slot % 2],
        licence="CC0-1.0",
        attribution="the tests",
    )
    return Sample(request=request, origin=origin, rgb=rgb, alpha=alpha, foreground=foreground, plate=plate)


def score(sample: Sample) -> Sample | Rejection:
    """The residual, a perceptual hash (signs of low cosine frequencies), and a gate that turns some away once."""
    assert sample.alpha is not None
    assert sample.foreground is not None
    grey = cv2.resize(cv2.cvtColor(sample.rgb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(grey.astype(np.float32))[:8, :8]
    phash = np.packbits(low > np.median(low)).tobytes().hex()
    scores = Scores(
        residual=residual(sample.rgb, sample.alpha, sample.foreground, sample.plate),
        coverage=float(sample.alpha.mean() / 255),
    )
    sample = replace(sample, scores=scores, phash=phash)
    if sample.request.slot % 5 == 1 and sample.request.attempt == 0:
        return Rejection(sample=sample, reason="border", detail="the object touches the border")
    return sample


def _all(requests: Sequence[Request]) -> list[Sample | DataError]:
    return [draw(request) for request in requests]


def build(plan: Plan, root: Path) -> Line:
    """The line of the small set."""
    return Line(
        sources={"drawn": _all},
        stages={"score": score},
        admission=lambda: lambda sample: None,
        encode=encode,
    )


def make_shards(root: Path, plan: Plan, shards: Sequence[int], workers: int = 1) -> list[CommitRecord]:
    """Make and commit these shards under the lock; returns all valid records of the folder."""
    layout = Layout(root)
    root.mkdir(parents=True, exist_ok=True)
    write_json(layout.plan, plan.to_json(), layout.scratch)
    with hold(layout.lock, "test"):
        order = WorkOrder(root=root, run="test", plan=plan, build=build, thumbnail=rejection_thumbnail)
        crew = InProcessCrew(order, lambda working: None) if workers == 1 else ProcessCrew(order)
        Drive(crew, shards, workers, lambda news: None).run()
    return list(valid_commits(layout, plan.fingerprints))
