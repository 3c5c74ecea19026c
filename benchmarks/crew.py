"""The driver's processor time a shard, with simulated crews of 1, 100 and 1,000 workers: it must not grow with them.

The first figures are of all that a run's driver does (hand out, count, show, write its diary) with a crew that only
talks. The others are of the Ray crew alone, with actors that answer from another thread: per shard, and per second in
which nothing happens but that all of them are at work. Only the driver's own thread is counted.

    python benchmarks/crew.py [--workers 1 100 1000] [--shards 10000]
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from figures import exit_code, shown, within
from simulated_crew import SLOTS, SimulatedCrew, nodes_for, record_of
from simulated_ray import NeverAnswered, SimulatedActor, SimulatedRay

from factory.engine import on_ray
from factory.engine.crew import Crew, Ready
from factory.engine.drive import Drive
from factory.engine.events import Diary
from factory.engine.line import Line
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment
from factory.engine.worker import ShardProgress
from factory.jobs.generate import GenerateRecipe
from factory.review.thumbnails import rejection_thumbnail
from factory.run import execute
from factory.shards.layout import Layout

FLAT = 1.2  # times the processor time of the smallest crew
ROUNDS = 5  # the least of so many, the crews taking turns: what disturbs can only add
AT_WORK_SECONDS = 3.0
AT_WORK_SHARE = 0.05  # of a core


def main() -> int:
    """Measure each crew in turn, print each one's ratio to the smallest."""
    parser = argparse.ArgumentParser(description="the driver's processor time a shard")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--shards", type=int, default=10_000)
    arguments = parser.parse_args()
    gc.collect()
    gc.freeze()  # what the imports made: to look it through takes the collector 50 ms, now and then, whatever the crew
    reached = []
    for name, measure in (("driver", of_a_run), ("ray crew", of_the_ray_crew)):
        rounds = [[measure(workers, arguments.shards) for workers in arguments.workers] for _ in range(ROUNDS)]
        smallest, *others = (min(column) for column in zip(*rounds, strict=True))
        print(f"{name}, {arguments.workers[0]} workers: {1e6 * smallest:.1f} µs a shard")
        for workers, seconds in zip(arguments.workers[1:], others, strict=True):
            value, peer = f"{1e6 * seconds:.1f} µs a shard", f"at most {FLAT:g} × {1e6 * smallest:.1f} µs"
            reached.append(shown(f"{name}, {workers:,} workers", value, peer, FLAT * smallest / seconds, 1))
    share = at_work(max(arguments.workers))
    reached.append(
        within(f"ray crew, {max(arguments.workers):,} at work", 100 * share, 100 * AT_WORK_SHARE, "% of a core")
    )
    return exit_code(*reached)


def of_a_run(workers: int, shards: int) -> float:
    """Seconds a shard of `make`, the part of a run that drives a crew."""
    with tempfile.TemporaryDirectory() as folder:
        order = order_for(Path(folder), shards)
        crew = SimulatedCrew(nodes_for(workers))
        recipe = GenerateRecipe(out=Path(folder))
        hired = patch.object(execute, "hire_crew", lambda *_, **__: (crew, workers))
        with hired, redirect_stderr(StringIO()), Diary(Layout(order.root).events, "benchmark") as diary:
            return thread_seconds(lambda: execute.make(recipe, order, [], diary)) / shards


def of_the_ray_crew(workers: int, shards: int) -> float:
    """Seconds a shard of `RayCrew` and `Drive`."""
    with tempfile.TemporaryDirectory() as folder, patch.object(on_ray, "ray", SimulatedRay(of_a_good_actor)):
        crew: Crew = on_ray.RayCrew(order_for(Path(folder), shards), workers, 0.0)
        return thread_seconds(Drive(crew, range(shards), workers, lambda news: None).run) / shards


def at_work(workers: int) -> float:
    """The share of a core that the Ray crew takes while all actors are in the middle of a shard."""

    def answer(actor: SimulatedActor, method: str, given: tuple[Any, ...]) -> Any:
        if method == "run":
            raise NeverAnswered
        return of_a_good_actor(actor, method, given)

    with tempfile.TemporaryDirectory() as folder, patch.object(on_ray, "ray", SimulatedRay(answer)):
        crew = on_ray.RayCrew(order_for(Path(folder), workers), workers, 0.0)
        for worker in [crew.hire() for _ in range(workers)]:
            crew.give(worker, worker)
        ready = 0
        while ready < workers:
            ready += sum(isinstance(news, Ready) for news in crew.listen(0.5))

        def wait() -> None:
            until = time.monotonic() + AT_WORK_SECONDS
            while time.monotonic() < until:
                crew.listen(0.5)

        return thread_seconds(wait) / AT_WORK_SECONDS


def of_a_good_actor(actor: SimulatedActor, method: str, given: tuple[Any, ...]) -> Any:
    """What an actor answers that makes its shards."""
    match method:
        case "node":
            return actor.node_id
        case "start":
            return "cpu"
        case "run":
            return record_of(given[0])
        case _:
            return ShardProgress(0, 0, 0)


def thread_seconds(work: Callable[[], object]) -> float:
    """Processor time of this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def order_for(root: Path, shards: int) -> WorkOrder:
    """An order that no line is built from."""
    segment = Segment(source="nothing", split="train", slots=shards * SLOTS)
    plan = Plan(job="generate", seed=0, shard_size=SLOTS, batch_size=16, threads=1, segments=(segment,))
    return WorkOrder(root=root, run="benchmark", plan=plan, build=no_line, thumbnail=rejection_thumbnail)


def no_line(plan: Plan, root: Path) -> Line:
    """Simulated workers have none."""
    raise NotImplementedError


if __name__ == "__main__":
    sys.exit(main())
