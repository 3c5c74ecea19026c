"""What a training reaches on samples that it does not learn from."""

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from factory.diffusion.train.lesson import Task
from factory.training.draws import WHOLE

BATCH = 8

B_contra = TypeVar("B_contra", contravariant=True)


class Masked(Protocol[B_contra]):
    """A batch's coarse masks and mattes."""

    def masks(self, b: B_contra) -> tuple[Tensor, Tensor]:
        """M̃_cp of the encoded pictures, and M: (B, 1, H, W) each."""


class HeldOutTask(Task[Any], Masked[Any], Protocol):
    """A task of a phase that paints, on the samples held out."""

    @property
    def with_head(self) -> bool:
        """Whether masks are learned."""


def measure(task: HeldOutTask, samples: int) -> dict[str, float]:
    """Means over so many samples, always with the same noise: each loss; with a head its masks' `mae` and `iou`.

    iou: of masks and mattes cut at a half; 1 where nothing is in either.
    """
    batches = -(-samples // BATCH)
    told: dict[str, float] = {}
    with task.watching():
        for number in range(batches):
            b = task.batch(number, BATCH, WHOLE)
            found = {name: float(term) for name, term in task.losses(b).items()}
            if task.with_head:
                found |= _errors(*task.masks(b))
            for name, value in found.items():
                told[name] = told.get(name, 0.0) + value / batches
    return told


def _errors(M_cp: Tensor, M: Tensor) -> dict[str, float]:
    inside, wanted = M_cp > 0.5, M > 0.5
    both = (inside & wanted).flatten(1).sum(dim=1)
    either = (inside | wanted).flatten(1).sum(dim=1)
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    return {"mae": float((M_cp.clamp(0, 1) - M).abs().mean()), "iou": float(iou.mean())}
