"""What shows how far a training is: pictures of the averaged weights, and measures of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from factory.diffusion.train import report as training_report
from factory.diffusion.train.autoencoder import AutoencoderTask
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.generation import GenerationTask
from factory.diffusion.train.held_out import measure
from factory.greenscreen.gsg import gsg
from factory.sample import Picture
from factory.training.grids import write_grid

SHOWN = 8  # captions of the data, where the settings name none


def look_at_autoencoder(task: AutoencoderTask, shown: Path, step: int) -> dict[str, float]:
    """Pictures above what comes back of them, in SHOWN-STEP.png; `levels` is how far they are apart, of 255."""
    originals, back = training_report.reconstructions(task.vae, task.data)
    show([originals, back], shown, step)
    apart = np.abs(np.stack(originals).astype(np.int16) - np.stack(back))
    return {"levels": float(apart.mean())}


def look_at_generation(
    task: GenerationTask, shown: Path, step: int, held_out: GenerationTask | None = None
) -> dict[str, float]:
    """Pictures of always the same prompts and noise above their coarse masks; `gsg` is the pictures' mean (Eq. 11),
    where a screen is learned.

    held_out: the same task on samples that nothing is learned from, of which the rest is told.
    """
    s = task.settings
    with task.attention.resting_meanwhile():
        captions = s.picture_prompts or some_captions(task.data)
        pictures, masks = training_report.sample(task.components, captions, s)
    show([pictures, masks], shown, step, captions)
    told = {"gsg": float(np.mean([gsg(picture, s.key_rgb) for picture in pictures]))} if s.on_screen else {}
    return told | (measure(held_out, s.validation_items) if held_out else {})


def some_captions(data: TrainingSet) -> tuple[str, ...]:
    """Evenly spread over the data."""
    return tuple(data.captions[i * len(data.captions) // SHOWN] for i in range(SHOWN))


def show(rows: Sequence[Sequence[Picture]], shown: Path, step: int, captions: Sequence[str] = ()) -> None:
    """Rows of pictures as SHOWN-STEP.png."""
    shown.parent.mkdir(exist_ok=True)
    write_grid(rows, shown.with_name(f"{shown.name}-{step:07d}.png"), captions)
