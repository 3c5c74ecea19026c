"""`factory` with one stage more, which kills its worker in the shards that a file `poison` beside OUT lists: "1,4".

Run as a program, so that its functions travel to Ray's actors by value and to worker processes by name.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path

from factory.cli.app import app as cli
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.jobs import lines
from factory.run.execute import execute as run
from factory.sample import Sample


def build(plan: Plan, root: Path) -> Line:
    """The plan's own line, poisoned."""
    line = lines.build(plan, root)
    poisoned = [int(number) for number in (root.parent / "poison").read_text().split(",") if number]

    def poison(sample: Sample) -> Sample:
        if int(sample.request.key[:6]) in poisoned:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample

    return replace(line, stages={"poison": poison, **line.stages})


if __name__ == "__main__":
    run.build = build  # type: ignore[attr-defined]
    cli.main()
