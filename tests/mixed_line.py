"""A line whose stages a plan names, each for single samples or for batches: what tests of stages of batches work with.

Importable by name, so that workers in other processes can build it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import small_line

from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.errors import DataError
from factory.sample import BatchStage, BatchStep, Rejection, Sample, Stage
from factory.shards.encoding import encode

Outcomes = Sequence[Sample | Rejection | DataError]


def brighten(sample: Sample) -> Sample:
    return replace(sample, rgb=sample.rgb // 2 + 90)


def mirror(sample: Sample) -> Sample:
    return replace(sample, rgb=np.ascontiguousarray(sample.rgb[:, ::-1]))


def stamp(sample: Sample) -> Sample:
    return said(sample, "stamped")


def faulty(sample: Sample) -> Sample:
    """Finds every fifth seed undecodable."""
    if sample.request.seed % 5 == 0:
        raise DataError("undecodable", "the seed is divisible by 5")
    return sample


def said(sample: Sample, what: str) -> Sample:
    """With one more thing in its caption."""
    return replace(sample, origin=replace(sample.origin, caption=f"{sample.origin.caption}, {what}"))


OPERATIONS: Mapping[str, Stage] = {
    "brighten": brighten,
    "mirror": mirror,
    "stamp": stamp,
    "picky": small_line.picky,
    "faulty": faulty,
}


@dataclass(frozen=True)
class Together:
    """A stage of single samples as a stage of batches."""

    single: Stage
    device: str = "cpu"

    def begin(self) -> BatchStep:
        return lambda samples: [self._outcome(sample) for sample in samples]

    def _outcome(self, sample: Sample) -> Sample | Rejection | DataError:
        try:
            return self.single(sample)
        except DataError as error:
            return error


@dataclass(frozen=True)
class Counting:
    """Tells each sample its number among all that came in this shard, and the size of its batch: state of a shard."""

    device: str = "cpu"

    def begin(self) -> BatchStep:
        seen = 0

        def step(samples: Sequence[Sample]) -> Outcomes:
            nonlocal seen
            numbered = [said(sample, f"{seen + n} in {len(samples)}") for n, sample in enumerate(samples)]
            seen += len(samples)
            return numbered

        return step


@dataclass(frozen=True)
class Doing:
    """A stage of batches that is one function, without a memory."""

    step: Callable[[Sequence[Sample]], Outcomes]
    device: str = "cpu"

    def begin(self) -> BatchStep:
        return self.step


def line_of(stages: Mapping[str, Stage | BatchStage]) -> Line:
    """Discs, and these stages."""
    return Line(
        sources={"discs": small_line.source},
        stages=stages,
        admission=lambda: lambda sample: None,
        encode=encode,
    )


def build(plan: Plan, root: Path) -> Line:
    """settings.stages: pairs of an operation ("count" is one too) and whether it takes batches."""
    stages: dict[str, Stage | BatchStage] = {}
    for number, (name, together) in enumerate(plan.settings["stages"]):
        single = OPERATIONS.get(name)
        stage: Stage | BatchStage = Counting() if single is None else Together(single) if together else single
        stages[f"{number} {name}"] = stage
    return line_of(stages)
