"""A training of DiffuMatting: the job `train`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from factory.diffusion.train.settings import TrainSettings
from factory.jobs.base import Recipe, Training
from factory.training.progress import TrainingProgress


class TrainRecipe(Recipe):
    """A training of DiffuMatting."""

    job: Literal["train"] = "train"
    train: TrainSettings


def pin(recipe: TrainRecipe) -> None:
    """The folder belongs to the settings it was started with."""
    from factory.diffusion.train.settings import FREE  # noqa: PLC0415
    from factory.training.pinned_settings import pin_settings  # noqa: PLC0415

    pin_settings(recipe.train, recipe.out, free=FREE)


def train(recipe: TrainRecipe, progress: Callable[[TrainingProgress], None]) -> Path:
    """Raises FactoryError; a killed training loses what came after its last saved state."""
    from factory.diffusion.train.trainer import train as train_diffumatting  # noqa: PLC0415  (torch takes seconds)

    return train_diffumatting(recipe.train, recipe.out, progress)


JOB = Training(TrainRecipe, pin, train)
