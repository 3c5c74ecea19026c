"""A training of a matting network: the job `train-matting`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from factory.errors import count_of
from factory.jobs.base import Recipe, Training
from factory.matting.train.inputs import check_inputs, check_leaks, pin
from factory.matting.train.settings import FREE, MattingTraining
from factory.training.folder import standing
from factory.training.pinned_settings import check_pinned
from factory.training.progress import TrainingProgress


class TrainMattingRecipe(Recipe):
    """A training of a network that mattes pictures with trimaps."""

    job: Literal["train-matting"] = "train-matting"
    train: MattingTraining


def train(recipe: TrainMattingRecipe, progress: Callable[[TrainingProgress], None]) -> Path:
    """Raises FactoryError; SIGTERM and Ctrl-C save first, a kill loses what came after the last saved state."""
    from factory.matting.train.trainer import train as train_network  # noqa: PLC0415  (torch takes seconds)

    return train_network(recipe.train, recipe.out, progress)


def outlook(recipe: TrainMattingRecipe) -> str:
    """Raises UsageError where the training would be refused."""
    s, out = recipe.train, recipe.out
    check_pinned(s, out, free=FREE)
    sets = check_inputs(s)
    check_leaks(s)
    behind = s.loader.backgrounds or "their own screens"
    epoch = s.loader.length or sum(len(one.samples) for one in sets)
    begin = f", on from {s.begin}" if s.begin else ""
    lines = [
        f"train-matting → {out}",
        f"  a network {s.network}{begin}, losses of {s.losses}",
        f"  crops of {s.loader.crop}×{s.loader.crop} before {behind}",
        *(
            f"  {entry.path} × {entry.share:g}: {count_of(len(one.samples), 'sample', 'samples')} of {entry.split}"
            for entry, one in zip(s.loader.sets, sets, strict=True)
        ),
        f"  {s.steps:,} steps of {s.batch}, {s.steps * s.batch / epoch:.3g} epochs, lr {s.lr:g}",
    ]
    if s.tests:
        lines.append(f"  no set holds a picture of {', '.join(one.pictures for one in s.tests)}")
    return "\n".join([*lines, *standing(out)])


JOB = Training(TrainMattingRecipe, lambda recipe: pin(recipe.train, recipe.out), train, outlook)
