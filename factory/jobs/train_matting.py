"""A training of a matting network: the job `train-matting`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from factory.jobs.base import Training, TrainingRecipe
from factory.matting.train.inputs import pin
from factory.matting.train.settings import MattingTraining
from factory.training.progress import TrainingProgress


class TrainMattingRecipe(TrainingRecipe):
    """A training of a network that mattes pictures with trimaps."""

    job: Literal["train-matting"] = "train-matting"
    train: MattingTraining


def train(recipe: TrainMattingRecipe, progress: Callable[[TrainingProgress], None]) -> Path:
    """Raises FactoryError; SIGTERM and Ctrl-C save first, a kill loses what came after the last saved state."""
    from factory.matting.train.trainer import train as train_network  # noqa: PLC0415  (torch takes seconds)

    return train_network(recipe.train, recipe.out, progress)


def outlook(recipe: TrainMattingRecipe) -> str:
    """Raises UsageError where the training would be refused."""
    from factory.matting.train.outlook import outlook as outlook_of_settings  # noqa: PLC0415  (torch takes seconds)

    return outlook_of_settings(recipe.train, recipe.out)


JOB = Training(TrainMattingRecipe, lambda recipe: pin(recipe.train, recipe.out), train, outlook)
