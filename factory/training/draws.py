"""What is drawn for each step of a training: samples, mirrored ones, noise.

Everything random is a pure function of (seed, phase, step), so a run needs no random state to resume.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Share:
    """One of so many equal ones of a batch: what a process takes at once."""

    number: int = 0
    count: int = 1

    def of(self, batch: int) -> slice:
        """Its places. `count` divides the batch."""
        each = batch // self.count
        return slice(self.number * each, (self.number + 1) * each)


WHOLE = Share()


def draw_batch(order: NDArray[np.int64], seed: int, phase: int, step: int, batch: int) -> NDArray[np.int64]:
    """The sample indices of one step: epochs are permutations of `order`, read on without a seam.

    order: (N,) sample indices of one epoch, repeats included.
    """
    length = len(order)
    positions = np.arange(step * batch, (step + 1) * batch)
    chosen = np.empty(batch, np.int64)
    for epoch in np.unique(positions // length):
        here = positions // length == epoch
        chosen[here] = order[_permutation(length, seed, phase, int(epoch))[positions[here] % length]]
    return chosen


@lru_cache(maxsize=2)  # the next step's is mostly this step's; at a seam there are two
def _permutation(length: int, seed: int, phase: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, phase, epoch)).permutation(length)


def draw_mirrored(seed: int, phase: int, step: int, batch: int, flip: bool) -> NDArray[np.bool_]:
    """Which samples of the batch are mirrored; none where `flip` is off."""
    return np.random.default_rng((seed, phase, step, 1)).random(batch) < (0.5 if flip else 0.0)


def step_generator(seed: int, phase: int, step: int) -> torch.Generator:
    """The CPU generator of one step's noise, timesteps and dropped captions."""
    state = np.random.SeedSequence((seed, phase, step, 2)).generate_state(1, np.uint64)[0]
    return torch.Generator("cpu").manual_seed(int(state) & (2**63 - 1))
