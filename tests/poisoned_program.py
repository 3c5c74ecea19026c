"""`factory` with one stage more, which kills its worker in the shards that a file `poison` beside OUT lists: "1,4".

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
    poisoned = [int(number) for number in (root.parent / "poison").read_text().split(",") if number]

    def poison(sample: Sample) -> Sample:
        if shard_of(sample.request.key) in poisoned:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample

    return replace(line, stages={"poison": poison, **line.stages})


if __name__ == "__main__":
    for name in LINES:
        JOBS[name] = replace(JOBS[name], line=build)
    cli.main()
