"""What is drawn for a step of a phase that paints, whatever it paints with: a pure function of (seed, phase, step).

The whole batch is drawn wherever a share of it is taken: shares together are the batch that one alone would take.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.settings import TrainSettings
from factory.training import draws
from factory.training.draws import Share


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A share of a step's samples, B of them.

    z0 (B, C, h, w) as it is cached · epsilon like it · t (B,) · chosen (B,) samples · mirrored (B,)
    captioned, has_word (of the screen), soft_alpha (B,) bool
    worded, soft () how many of the step's samples are so, over the number of its shares (1 at least of all)
    """

    z0: Tensor
    epsilon: Tensor
    t: Tensor
    chosen: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    captioned: Tensor
    has_word: Tensor
    soft_alpha: Tensor
    worded: Tensor
    soft: Tensor

    def rows(self, empty: int) -> Tensor:
        """(B,) of the captions' table, whose row `empty` is the prompt of samples whose caption is dropped."""
        return torch.where(self.captioned, torch.from_numpy(self.chosen), empty)


def draw(
    data: TrainingSet,
    latents: NDArray[np.float16],
    s: TrainSettings,
    times: Callable[[int, torch.Generator], Tensor],
    *,
    at: tuple[int, int],
    size: int,
    share: Share,
) -> Drawn:
    """latents: (N, 1 or 2, C, h, w), [:, 1] of the mirrored pictures.  times: draws t of so many samples.

    at: phase and step.  size: samples of the step.
    """
    chosen = draws.draw_batch(data.order, s.seed, *at, size)
    mirrored = draws.draw_mirrored(s.seed, *at, size, s.flip)
    generator = draws.step_generator(s.seed, *at)
    captioned = torch.rand(size, generator=generator) >= s.caption_dropout
    epsilon = torch.randn(size, *latents.shape[2:], generator=generator)
    t = times(size, generator)
    on_screen = torch.from_numpy(data.on_screen[chosen])
    soft = torch.from_numpy(data.soft_alpha[chosen] | s.binary_as_soft) & on_screen
    worded = captioned & on_screen
    here = share.of(size)
    return Drawn(
        z0=torch.from_numpy(latents[chosen[here], mirrored[here].astype(int)].astype(np.float32)),
        epsilon=epsilon[here],
        t=t[here],
        chosen=chosen[here],
        mirrored=mirrored[here],
        captioned=captioned[here],
        has_word=worded[here],
        soft_alpha=soft[here],
        worded=worded.sum().clamp(min=1) / share.count,
        soft=soft.sum().clamp(min=1) / share.count,
    )
