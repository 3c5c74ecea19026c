"""Attempts/s of `factory generate` against the bare sampler loop: same model, batches, padding, steps and threads.

Shards are made by the local executor as a run makes them: sampling, GreenPost, scores, gates, encoding, tar, manifest
part and commit record, all forced to the disk. After each shard the very batches that it sampled are sampled again by
a bare loop, in the same process, so that a machine's mood hits both. Loading the model and the first shard (warm-up)
are not counted. Beside the clock stands the processor's time, all threads together: on a machine whose cores are all
busy, it is what the stages after sampling cost.

    python benchmarks/generate.py [--model FOLDER] [--shards 3] [--shard-size 64] [--set sampler.steps=25]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from figures import exit_code, shown

from factory.diffusion.sample.source import DiffuMattingSource
from factory.diffusion.vocabulary import screen_prompt
from factory.engine.crew import Done, News, Ready
from factory.engine.drive import Drive
from factory.engine.line import Line
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan
from factory.errors import DataError
from factory.jobs import generate
from factory.jobs.generate import GenerateRecipe
from factory.jobs.prepare import prepare
from factory.jobs.recipes import set_dotted
from factory.review.thumbnails import rejection_thumbnail
from factory.run.hire import hire_crew
from factory.run.settle import settle
from factory.sample import Request, Sample
from factory.shards.layout import Layout
from factory.shards.lock import hold

MUST = {"cpu": 0.95, "cuda": 0.97}


class Seconds(NamedTuple):
    """A moment, or a span between two."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> "Seconds":
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Seconds") -> "Seconds":
        return Seconds(self.clock - start.clock, self.processor - start.processor)


class Eavesdropper:
    """The model as a source, which remembers the batches it was asked for."""

    def __init__(self, source: DiffuMattingSource) -> None:
        self.source = source
        self.batches: list[Sequence[Request]] = []

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        self.batches.append(requests)
        return self.source(requests)

    def replay(self) -> int:
        """The bare loop over what was asked for: prompts and seeds in, arrays out. Returns the number of samples."""
        source = self.source
        samples = 0
        for requests in self.batches:
            padded = [*requests, *[requests[-1]] * (source.batch_size - len(requests))]
            prompts = [screen_prompt(request.item["prompt"], source.settings.key) for request in padded]
            source.pipeline(prompts, [request.seed for request in padded], source.settings)
            samples += len(requests)
        self.batches.clear()
        return samples


@dataclass
class Race:
    """Hears of the shards as a driver does, and lets the bare loop run after each."""

    source: Eavesdropper = field(init=False)
    accepted: int = 0
    attempts: int = 0
    factory: list[Seconds] = field(default_factory=list)
    bare: list[Seconds] = field(default_factory=list)

    def build(self, plan: Plan, root: Path) -> Line:
        """The line of the product, its source overheard."""
        line = generate.line(plan, root)
        source = line.sources["diffumatting"]
        assert isinstance(source, DiffuMattingSource)
        self.source = Eavesdropper(source)
        return replace(line, sources={**line.sources, "diffumatting": self.source})

    def hear(self, news: News | None) -> None:
        """Take the times when a shard is done."""
        match news:
            case Ready():
                self._started = Seconds.now()
            case Done(_, record):
                made = Seconds.now()
                samples = self.source.replay()
                replayed = Seconds.now()
                assert samples == record.attempts, "the bare loop must make the same attempts"
                if record.shard > 0:
                    self.factory.append(made.since(self._started))
                    self.bare.append(replayed.since(made))
                    self.accepted += record.accepted
                    self.attempts += samples
                self._started = Seconds.now()
            case _:
                pass


def main() -> int:
    """Race and print."""
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        plan, race = run(arguments, Path(folder) / "set")
    factory, bare = (Seconds(*map(sum, zip(*spans, strict=True))) for spans in (race.factory, race.bare))
    sampler, device = plan.settings["sampler"], race.source.source.pipeline.device.type
    print(
        f"{device}, {plan.threads} threads, {len(race.factory)} shards of {plan.shard_size}, batch {plan.batch_size}, "
        f"{sampler['steps']} steps of {sampler['sampler']}"
    )
    for number, (ours, theirs) in enumerate(zip(race.factory, race.bare, strict=True), 1):
        print(f"shard {number}: factory {ours.clock:.2f} s, bare {theirs.clock:.2f} s, {theirs.clock / ours.clock:.3f}")
    print(f"by the processor's time of all threads: {bare.processor / factory.processor:.3f}")
    accepted = f"{race.accepted / factory.clock:.3f} accepted/s"
    return exit_code(
        shown(
            "generate",
            f"{race.attempts / factory.clock:.3f} attempts/s ({accepted})",
            f"bare sampler {race.attempts / bare.clock:.3f} samples/s",
            bare.clock / factory.clock,
            MUST[device],
        )
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="factory generate against the bare sampler loop")
    parser.add_argument("--model", default="", help="model folder; without one the embedded model")
    parser.add_argument("--shards", type=int, default=3, help="counted ones; one more warms up")
    parser.add_argument("--shard-size", type=int, default=64)
    parser.add_argument("--set", action="append", default=[], help="any other field of the recipe: a.b=1; repeatable")
    parser.add_argument("--folder", type=Path, help="where to write; without it the system's temporary folder")
    return parser.parse_args()


def run(arguments: argparse.Namespace, out: Path) -> tuple[Plan, Race]:
    """Plan as the product does, then let its driver and its local executor make the shards."""
    shards = arguments.shards + 1
    fields = {"job": "generate", "out": str(out), "model": arguments.model, "executor": "local", "workers": 1}
    fields |= {"n": shards * arguments.shard_size, "shard_size": arguments.shard_size}
    for assignment in arguments.set:
        set_dotted(fields, assignment)
    recipe = GenerateRecipe.model_validate(fields)
    layout, race, run_id = Layout(out), Race(), "benchmark"
    out.mkdir(parents=True)
    with hold(layout.lock, run_id):
        plan = settle(layout, prepare(recipe), recipe, run_id)
        order = WorkOrder(root=out.resolve(), run=run_id, plan=plan, build=race.build, thumbnail=rejection_thumbnail)
        crew, workers = hire_crew(recipe, order, plan.shards, race.hear, wants_gpus=True)
        Drive(crew, range(plan.shards), workers, race.hear).run()
    return plan, race


if __name__ == "__main__":
    sys.exit(main())
