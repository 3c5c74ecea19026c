"""`factory` with one stage more. In the shards that a file `poison` beside OUT lists ("1,4") it kills its worker, in
those of a file `thorns` it raises.

Run as a program, so that its functions travel to Ray's actors by value and to worker processes by name.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path

from factory.cli import app as cli
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.jobs.base import Job
from factory.jobs.registry import JOBS
from factory.sample import Sample
from factory.shards.keys import shard_of

LINES = {name: job.line for name, job in JOBS.items() if isinstance(job, Job)}


def build(plan: Plan, root: Path) -> Line:
    """The plan's own line, poisoned."""
    line = LINES[plan.job](plan, root)
    poisoned, thorny = (listed(root.parent / name) for name in ("poison", "thorns"))

    def poison(sample: Sample) -> Sample:
        if shard_of(sample.request.key) in poisoned:
            os.kill(os.getpid(), signal.SIGKILL)
        if shard_of(sample.request.key) in thorny:
            raise ValueError("a thorn")
        return sample

    return replace(line, stages={"poison": poison, **line.stages})


def listed(file: Path) -> list[int]:
    """The numbers in a file; none where there is no file."""
    return [int(number) for number in file.read_text().split(",") if number] if file.exists() else []


if __name__ == "__main__":
    for name in LINES:
        JOBS[name] = replace(JOBS[name], line=build)
    cli.main()
