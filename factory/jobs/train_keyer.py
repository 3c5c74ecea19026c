"""A training of the keyer's shape network: the job `train-keyer`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from factory.jobs.base import Training, TrainingRecipe
from factory.refine.train.settings import FREE, KeyerTraining, check_inputs
from factory.training.folder import standing
from factory.training.pinned_settings import check_pinned, pin_settings
from factory.training.progress import TrainingProgress


class TrainKeyerRecipe(TrainingRecipe):
    """A training of the network by which the keyer tells shapes."""

    job: Literal["train-keyer"] = "train-keyer"
    train: KeyerTraining


def pin(recipe: TrainKeyerRecipe) -> None:
    """The folder belongs to the settings it was started with; sets that cannot be used start none."""
    check_inputs(recipe.train)
    pin_settings(recipe.train, recipe.out, free=FREE)


def train(recipe: TrainKeyerRecipe, progress: Callable[[TrainingProgress], None]) -> Path:
    """Raises FactoryError; SIGTERM and Ctrl-C save first, a kill loses what came after the last saved state."""
    from factory.refine.train.trainer import train as train_shape  # noqa: PLC0415  (torch takes seconds)

    return train_shape(recipe.train, recipe.out, progress)


def outlook(recipe: TrainKeyerRecipe) -> str:
    """Raises UsageError where the training would be refused."""
    s, out = recipe.train, recipe.out
    check_pinned(s, out, free=FREE)
    check_inputs(s)
    lines = [f"train-keyer → {out}", f"  scenes of {s.side}×{s.side} with objects of {', '.join(s.data)}"]
    begin = f", on from {s.begin}" if s.begin else ""
    lines.append(f"  {s.steps:,} steps of {s.batch}, lr {s.lr:g}{begin}")
    return "\n".join([*lines, *standing(out)])


JOB = Training(TrainKeyerRecipe, pin, train, outlook)
