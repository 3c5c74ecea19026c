"""The way of a batch through a line's stages, cut into legs: sample by sample in a pool, or the whole batch at once.

Every leg but the last is waited for. The last one takes single samples and runs on in the pool while the worker makes
its next batch.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from factory.errors import DataError
from factory.sample import BatchStage, BatchStep, Rejection, Sample, Stage

Singly: TypeAlias = dict[str, Stage]
Leg: TypeAlias = Singly | tuple[str, BatchStep]


@dataclass
class Passing:
    """What has become of a sample so far, and the seconds that it took by stage."""

    outcome: Sample | Rejection | DataError
    seconds: dict[str, float] = field(default_factory=dict)


def begin(stages: Mapping[str, Stage | BatchStage]) -> tuple[list[Leg], Singly]:
    """(earlier legs, the last one), for each shard anew: a step of a batch may have a memory of its shard."""
    legs: list[Leg] = []
    singly: Singly = {}
    for name, stage in stages.items():
        if isinstance(stage, BatchStage):
            legs += [singly] if singly else []
            legs.append((name, stage.begin()))
            singly = {}
        else:
            singly[name] = stage
    return legs, singly


def go(leg: Leg, batch: Sequence[Passing], pool: Executor) -> None:
    """Take a batch along one leg, and wait for it."""
    if isinstance(leg, dict):
        list(pool.map(partial(go_singly, leg), batch))
    else:
        _go_together(*leg, batch)


def go_singly(stages: Singly, passing: Passing) -> None:
    """Take one sample through stages, as far as it comes."""
    for name, stage in stages.items():
        if not isinstance(passing.outcome, Sample):
            return
        started = time.monotonic()
        try:
            passing.outcome = stage(passing.outcome)
        except DataError as error:
            passing.outcome = error
        passing.seconds[name] = time.monotonic() - started


def _go_together(name: str, step: BatchStep, batch: Sequence[Passing]) -> None:
    left = [(passing, passing.outcome) for passing in batch if isinstance(passing.outcome, Sample)]
    if not left:
        return
    started = time.monotonic()
    outcomes = step([sample for _, sample in left])
    seconds = (time.monotonic() - started) / len(left)
    for (passing, _), outcome in zip(left, outcomes, strict=True):
        passing.outcome = outcome
        passing.seconds[name] = seconds
