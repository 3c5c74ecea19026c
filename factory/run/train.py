"""Recipe → a trained model, with a live line: the training counterpart of run/execute.py."""

import sys
import time
from pathlib import Path

from factory.diffusion.train.trainer import Progress, train
from factory.engine.lock import hold
from factory.jobs.recipes import TrainRecipe, to_yaml
from factory.run.execute import check_out, interruptible, say_on_stderr, writable
from factory.training.pinned_settings import pin_settings

LINE_SECONDS = 30.0  # between lines where the output is no terminal


class TrainingLine:
    """One live line on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        """Show where the training stands."""
        if progress.finished:
            say_on_stderr(("\n" if self._terminal else "") + "training is finished")
            return
        now = time.monotonic()
        if now - self._shown < (0.5 if self._terminal else LINE_SECONDS):
            return
        self._shown = now
        losses = " · ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
        place = f"{progress.phase} {progress.step:,}/{progress.steps:,}"
        text = f"{place} · {progress.images_per_second:.0f} images/s · {losses}"
        sys.stderr.write(f"\r\033[K{text}" if self._terminal else f"{text}\n")
        sys.stderr.flush()


def execute_training(recipe: TrainRecipe) -> Path:
    """Train, or go on where a killed training stopped; returns the model folder."""
    out = check_out(recipe.out, "settings.json")
    with writable(out), hold(out / ".lock", f"training {time.strftime('%Y-%m-%d %H:%M')}"), interruptible():
        pin_settings(recipe.train, out)  # refuses other settings before anything is written
        (out / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
        return train(recipe.train, out, TrainingLine())
