"""Clips from stills: object and background move on smooth random ways (RobustVideoMatting, Lin et al. 2022, §4.1)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from factory.errors import DataError, UsageError
from factory.matting.data.dataset import TRIES, as_item, place_in
from factory.matting.data.item import Item
from factory.matting.data.recipes import affine
from factory.matting.data.scene import Shot, shot
from factory.matting.data.settings import LoaderSettings
from factory.matting.data.stock import Stock
from factory.matting.data.windows import Window

TURN, SHEAR, SHIFT = 10.0, 5.0, 0.1  # degrees, degrees, share of the crop's side; at most, to either side
NEARER, FARTHER = 0.8, 1.25  # pixels of the picture for one of the still's window


@dataclass(frozen=True)
class Pose:
    """How a window differs from the still's.  numbers: turn, shear, logarithm of the scale, shift across, and down."""

    numbers: NDArray[np.float64]

    def of(self, window: Window) -> Window:
        """The window from there."""
        turn, shear, scale, *shift = self.numbers.tolist()
        linear = affine(turn, shear, np.exp(scale))
        middle = np.full(2, (window.side - 1) / 2)
        moved = np.column_stack([linear, middle - linear @ middle + np.array(shift) * window.side])
        return replace(window, matrix=window.matrix @ np.vstack([moved, [0, 0, 1]]))


def draw_way(rng: np.random.Generator, frames: int) -> list[Pose]:
    """From one random pose to another: it sets out and stops at any time, speeding up and slowing down."""
    bounds = np.array([TURN, SHEAR, 1, SHIFT, SHIFT])
    ends = rng.uniform(-bounds, bounds, (2, 5))
    ends[:, 2] = rng.uniform(np.log(NEARER), np.log(FARTHER), 2)
    start, stop = np.sort(rng.uniform(0, 1, 2)) * (0.5, 0.5) + (0, 0.5)
    times = np.clip((np.linspace(0, 1, frames) - start) / (stop - start), 0, 1)
    power = rng.uniform(1, 3)
    eased = times**power / (times**power + (1 - times) ** power)
    return [Pose(ends[0] + share * (ends[1] - ends[0])) for share in eased]


class MattingClips(Dataset[Item]):
    """Clips of `frames` frames, each made from one still: pictures are (T, C, H, W). Else as `MattingData`.

    Objects keep their order, their colours and the width of their bands while they move. Beyond its picture an object
    is empty, and a background is mirrored; a screen stands still.
    """

    def __init__(self, settings: LoaderSettings, frames: int, seed: int = 0) -> None:
        if frames < 1:
            raise UsageError(f"a clip of {frames} frames is none: give 1 or more.")
        self.stock, self.frames = Stock(settings, seed), frames

    def __len__(self) -> int:
        """Clips of an epoch."""
        return self.stock.length

    def __getitem__(self, at: tuple[int, int]) -> Item:
        epoch, position = place_in(at, len(self))
        taken, one, place = self.stock.usable(epoch, position, lambda rng, here: self._shots(rng, epoch, here))
        return as_item(taken, one, place, clip=True)

    def _shots(self, rng: np.random.Generator, epoch: int, position: int) -> list[Shot]:
        for _ in range(TRIES):
            first, layers = self.stock.layers(rng, epoch, position)
            ground, bands = self.stock.ground(rng, first, layers[0]), self.stock.bands(rng)
            ways = [draw_way(rng, self.frames) for _ in layers]
            still = [Pose(np.zeros(5))] * self.frames
            behind = still if self.stock.settings.screen else draw_way(rng, self.frames)
            shots = []
            for pose, *poses in zip(behind, *ways, strict=True):
                moved = [
                    replace(layer, window=own.of(layer.window), border="empty")
                    for layer, own in zip(layers, poses, strict=True)
                ]
                shots.append(shot(moved, replace(ground, window=pose.of(ground.window)), bands))
            if shots[0].has_unknown:
                return shots
        raise DataError("no_unknown", f"in {TRIES} windows nothing of its matte was unknown")
