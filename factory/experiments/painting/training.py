"""The training of a cell, in a folder that all cells with this training share, on samples that are prepared once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from factory.diffusion import model_folder
from factory.diffusion.train.data import encode_all, unpack
from factory.diffusion.train.settings import TrainSettings, base_folder
from factory.diffusion.train.trainer import train, training_device
from factory.errors import DataError, MachineError
from factory.experiments.painting.cell import PaintingCell
from factory.shards.durable import make_folder
from factory.training.folder import SETTINGS_FILE, STATE_FILE
from factory.training.progress import TrainingProgress


def trained(cell: PaintingCell) -> Path:
    """The model folder. Goes on where an earlier try was killed, to the same weights.

    Raises DataError where it does not train, as at a rate that is too high: that costs no other cell.
    """
    out, cache = cell.training_folder, cell.cache
    with one_at_a_time(cache):
        prepare(cell.training, cache)
    with one_at_a_time(out):
        if not (link := out / "cache").exists():
            link.unlink(missing_ok=True)  # to one that somebody moved
            link.symlink_to(cache.absolute())
        # The folder is named by the content of all that decides; where that lies may have changed
        (out / SETTINGS_FILE).unlink(missing_ok=True)
        try:
            model = train(cell.training, out, _nobody)
        except MachineError as error:
            raise DataError("training", str(error)) from error
        (out / STATE_FILE).unlink(missing_ok=True)  # some ten times the network
    return model


def prepare(settings: TrainSettings, cache: Path) -> None:
    """Unpack the samples, and encode them by the base's autoencoder: every arm would do the same."""
    torch.set_num_threads(settings.threads)
    data = unpack(settings.data, settings.size, settings.key, cache)
    if settings.base:
        head = settings.networks
        base = model_folder.load_base(base_folder(settings), head.head_hidden, settings.seed, head.head_activation)
        device = training_device(settings)
        encode_all(base.vae.to(device), data, 2 if settings.flip else 1, device, cache / "latents.f16")


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Make the folder, and wait until no other cell works in it. The kernel lets go when a process ends."""
    make_folder(folder)
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _nobody(_: TrainingProgress) -> None:
    """Watches: many cells may be at work."""
