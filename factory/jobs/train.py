"""A training of DiffuMatting: the job `train`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from factory.diffusion.train.settings import FREE, TrainSettings, check_family
from factory.jobs.base import Training, TrainingRecipe
from factory.training.pinned_settings import pin_settings
from factory.training.progress import TrainingProgress


class TrainRecipe(TrainingRecipe):
    """A training of DiffuMatting."""

    job: Literal["train"] = "train"
    train: TrainSettings

    @model_validator(mode="before")
    @classmethod
    def _without_what_was_a_setting_once(cls, fields: Any) -> Any:
        """Recipes of earlier versions name it, always with this one value."""
        own = fields.get("train") if isinstance(fields, dict) else None
        if isinstance(own, dict) and own.get("detail_space") == "latent":
            return fields | {"train": {name: value for name, value in own.items() if name != "detail_space"}}
        return fields


def pin(recipe: TrainRecipe) -> None:
    """The folder belongs to the settings it was started with. Raises UsageError for a base that cannot be trained."""
    check_family(recipe.train)
    pin_settings(recipe.train, recipe.out, free=FREE)


def train(recipe: TrainRecipe, progress: Callable[[TrainingProgress], None]) -> Path:
    """Raises FactoryError; SIGTERM and Ctrl-C save first, a kill loses what came after the last saved state."""
    from factory.diffusion.train.trainer import train as train_diffumatting  # noqa: PLC0415  (torch takes seconds)

    return train_diffumatting(recipe.train, recipe.out, progress)


def outlook(recipe: TrainRecipe) -> str:
    """Raises UsageError where the training would be refused."""
    from factory.diffusion.train.outlook import outlook as outlook_of_settings  # noqa: PLC0415  (pyarrow takes a second)

    return outlook_of_settings(recipe.train, recipe.out)


JOB = Training(TrainRecipe, pin, train, outlook)
