"""Matting sets as a map-style dataset for torch: an item is a pure function of (settings, seed, epoch, position)."""

import operator

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from factory.errors import DataError
from factory.matting.data.item import Item
from factory.matting.data.material import OpenSet
from factory.matting.data.scene import Shot, shot
from factory.matting.data.settings import LoaderSettings
from factory.matting.data.stock import Stock

TRIES = 4  # of one sample, until something unknown is seen


class MattingData(Dataset[Item]):
    """Stored mattes on random backgrounds. `data[epoch, position]`, as `EpochOrder` asks for them.

    A sample that is damaged, or whose matte is the same everywhere, is named once (logger "factory.matting") and the
    next in the order stands in for it: `data.stock.unusable` has them all.
    Raises UsageError as `Stock` does, and where nothing usable is found.
    """

    def __init__(self, settings: LoaderSettings, seed: int = 0) -> None:
        self.stock = Stock(settings, seed)

    def __len__(self) -> int:
        """Items of an epoch."""
        return self.stock.length

    def __getitem__(self, at: tuple[int, int]) -> Item:
        epoch, position = place_in(at, len(self))
        taken, one, place = self.stock.usable(epoch, position, lambda rng, here: self._shot(rng, epoch, here))
        return as_item([taken], one, place, clip=False)

    def _shot(self, rng: np.random.Generator, epoch: int, position: int) -> Shot:
        for _ in range(TRIES):
            first, layers = self.stock.layers(rng, epoch, position)
            ground, bands = self.stock.ground(rng, first, layers[0]), self.stock.bands(rng)
            for count in range(len(layers), 0, -1):  # a second object may fill the picture
                taken = shot(layers[:count], ground, bands)
                if taken.has_unknown:
                    return taken
        raise DataError("no_unknown", f"in {TRIES} windows nothing of its matte was unknown")


def place_in(at: tuple[int, int], length: int) -> tuple[int, int]:
    """Epoch and position. Raises IndexError; pins OpenCV to one thread where a worker asks: these multiply."""
    epoch, position = map(operator.index, at)
    if epoch < 0 or not 0 <= position < length:
        raise IndexError(f"there is no item {position} of epoch {epoch}: an epoch has {length:,}.")
    if get_worker_info() is not None and cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
    return epoch, position


def as_item(shots: list[Shot], one: OpenSet, place: int, clip: bool) -> Item:
    """clip: the shots are frames, laid along a first axis; else there is one."""

    def tensor(name: str) -> torch.Tensor:
        pictures = [getattr(each, name) for each in shots]
        return torch.from_numpy(np.stack(pictures) if clip else pictures[0])

    return Item(
        image=tensor("image"),
        trimap=tensor("trimap"),
        alpha=tensor("alpha"),
        foreground=tensor("foreground"),
        background=tensor("background"),
        weight=torch.tensor(one.trust[place]),
        key=one.key(place),
    )
