"""How the Ray executor scales: 1, 2, 4 and 8 workers on a line whose one stage only waits, held against linear.

The cluster is simulated by declared resources: Ray is told of 8 cores, whatever the machine has, so what is measured is
the driver's loop, Ray's calls and what a worker does around its stages (tar, manifest part, commit, all forced to the
disk), not arithmetic. A shard takes about two seconds, which is short: generated ones take minutes.

Measured in steady state: from the moment when each worker has on average made two shards until it has made all but one.

    python benchmarks/ray_scaling.py [--workers 1 2 4 8] [--shards 8] [--wait 0.25]
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ray
from figures import exit_code, shown

from factory.engine.crew import Done, News
from factory.engine.drive import Drive
from factory.engine.line import Line
from factory.engine.on_ray import RayCrew
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment
from factory.equation import constant_plate
from factory.review.thumbnails import rejection_thumbnail
from factory.sample import Origin, Request, Sample
from factory.shards.encoding import encode
from factory.shards.layout import Layout
from factory.shards.lock import hold

MUST = 0.95
SLOTS = 8  # samples in a shard
SIDE = 64
GREEN = (0, 255, 0)


def main() -> int:
    """Measure each number of workers, print each ratio to the first number's speed per worker."""
    parser = argparse.ArgumentParser(description="the Ray executor against linear scaling")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--shards", type=int, default=8, help="shards a worker, at least 4")
    parser.add_argument("--wait", type=float, default=0.25, help="seconds a sample")
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=max(arguments.workers), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    rates = [steady_rate(workers, arguments.shards, arguments.wait) for workers in arguments.workers]
    ray.shutdown()
    alone = rates[0] / arguments.workers[0]
    waiting = SLOTS * arguments.wait
    print(f"shards that wait {waiting:g} s: {alone:.3f} shards/s of one worker, {1 / waiting:.3f} if it only waited")
    return exit_code(
        *(
            shown(
                f"ray, {workers} workers",
                f"{rate:.3f} shards/s",
                f"linear {alone * workers:.3f} shards/s",
                rate / (alone * workers),
                MUST,
            )
            for workers, rate in zip(arguments.workers[1:], rates[1:], strict=True)
        )
    )


def steady_rate(workers: int, shards_each: int, wait: float) -> float:
    """Shards per second of so many workers, without the beginning and the end."""
    shards = workers * shards_each
    moments: list[float] = []

    def hear(news: News | None) -> None:
        if isinstance(news, Done):
            moments.append(time.monotonic())

    plan = Plan(
        job="wait",
        seed=0,
        shard_size=SLOTS,
        batch_size=SLOTS,
        threads=1,
        segments=(Segment(source="grey", split="train", slots=shards * SLOTS),),
        settings={"wait": wait},
    )
    with tempfile.TemporaryDirectory() as folder:
        root, run = Path(folder), "benchmark"
        with hold(Layout(root).lock, run):
            crew = RayCrew(
                WorkOrder(root=root, run=run, plan=plan, build=build, thumbnail=rejection_thumbnail), workers, 0.0
            )
            Drive(crew, range(shards), workers, hear).run()
    first, last = 2 * workers - 1, (shards_each - 1) * workers - 1
    return (last - first) / (moments[last] - moments[first])


def build(plan: Plan, root: Path) -> Line:
    """The waiting line: a grey square comes at once, then its stage waits."""

    def wait(sample: Sample) -> Sample:
        time.sleep(float(plan.settings["wait"]))
        return sample

    return Line(
        sources={"grey": grey_squares},
        stages={"wait": wait},
        admission=lambda: lambda sample: None,
        encode=encode,
    )


def grey_squares(requests: Sequence[Request]) -> list[Sample]:
    """A finished sample for each request."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[16:48, 16:48] = 255
    foreground = np.full((SIDE, SIDE, 3), 128, np.uint8)
    rgb = np.where(alpha[..., None] > 0, foreground, np.array(GREEN, np.uint8))
    origin = Origin(kind="composited", class_name="square", caption="a grey square")
    plate = constant_plate(GREEN)
    return [
        Sample(request=request, origin=origin, rgb=rgb, alpha=alpha, foreground=foreground, plate=plate)
        for request in requests
    ]


if __name__ == "__main__":
    sys.exit(main())
