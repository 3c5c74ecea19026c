"""Recipe → a trained model, with a live line: the training counterpart of execute.py."""

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factory.engine.progress import LiveLine
from factory.jobs.base import Training, TrainingRecipe
from factory.jobs.recipes import to_yaml
from factory.review.training.differing import rows
from factory.review.training.page import write_page_of
from factory.review.training.record import phases_of, read_record
from factory.run.folder import check_out, interruptible, writable
from factory.run.say import say_on_stderr
from factory.shards.durable import write_durably
from factory.shards.layout import Layout
from factory.training.folder import SETTINGS_FILE
from factory.training.progress import TrainingProgress
from factory.training.ranks import this_rank
from factory.training.time_left import Stretch, TimeLeft
from factory.training.trackers import Trackers

LINE_SECONDS = 30.0  # between lines where the output is no terminal
PAGE_SHARE = 100  # times as long as a page took to write, the next one waits


class TrainingLine:
    """The live line of a training.  phases: in their order."""

    def __init__(self, phases: Sequence[Stretch] = ()) -> None:
        self._text = ""
        self._left = TimeLeft(phases)
        self._line = LiveLine(lambda: self._text, sys.stderr, every=LINE_SECONDS)

    def __call__(self, progress: TrainingProgress, advice: str = "") -> None:
        """Show where the training stands.  advice: what should be changed."""
        if progress.finished:
            if self._text:
                self._line.end()
            say_on_stderr("training is finished")
            return
        losses = " · ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        place = f"{progress.phase} {progress.step:,}/{progress.steps:,}"
        rate = progress.images_per_second
        speed = f"{rate:,.{0 if rate >= 10 else 2}f} images/s"
        if progress.waiting is not None:
            speed += f", {progress.waiting:.0%} waiting for data"
        told = [place, speed, self._left.hear(progress), losses, advice]
        self._text = " · ".join(part for part in told if part)
        self._line.show()


class TrainingPage:
    """The report page of a training, which grows while it trains, for at most a hundredth of the time.

    advice: what the page says should be changed.
    """

    def __init__(self, out: Path) -> None:
        self.advice = ""
        self._out = out
        self._due = 0.0

    def __call__(self, progress: TrainingProgress) -> None:
        """Write it if it is time."""
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write it. Whatever keeps it from being written ends no training: it is said, and tried again in an hour."""
        began = time.monotonic()
        try:
            record = read_record(self._out)
            self.advice = record.advice
            write_page_of(record)
            self._due = time.monotonic() + PAGE_SHARE * (time.monotonic() - began)
        except Exception as error:  # noqa: BLE001  (a page is worth less than a training)
            say_on_stderr(f"no report page was written: {error}")
            self._due = began + 3600


def execute_training(job: Training[Any], recipe: TrainingRecipe) -> Path:
    """Train, or go on where a killed training stopped; returns the model folder.

    Of several processes that torchrun started the first holds the folder; the others only train.
    """
    if not this_rank().is_first:
        with interruptible():
            return job.train(recipe, lambda _: None)
    out = check_out(recipe.out, SETTINGS_FILE)
    layout, run = Layout(out), f"training {time.strftime('%Y-%m-%d %H:%M')}"
    with interruptible(), writable(out), layout.store.lease(layout.lock, run):
        job.pin(recipe)
        shutil.rmtree(layout.scratch, ignore_errors=True)  # of a killed run
        write_durably(layout.recipe, to_yaml(recipe.model_dump(mode="json")).encode())
        phases = phases_of(recipe.train)
        line, page = TrainingLine(phases), TrainingPage(out)
        trackers = Trackers(
            recipe.train.trackers,
            out,
            configuration={row.name: row.value for row in rows(recipe.train)},
            steps=[phase.steps for phase in phases],
            warn=say_on_stderr,
        )

        def hear(progress: TrainingProgress) -> None:
            trackers(progress)
            page(progress)
            line(progress, page.advice)

        try:
            return job.train(recipe, hear)
        finally:
            trackers.close()
            page.write()
            shutil.rmtree(layout.scratch, ignore_errors=True)
