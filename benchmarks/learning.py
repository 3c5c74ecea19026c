"""The loop in which what is laid beside a frozen model learns: an adapter, or a ControlNet."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from factory.diffusion.train.generation import GenerationTask
from factory.training.schedule import learning_rate

BATCH = 16  # samples of a step
TOLD = 50  # steps between two lines


def backward(task: GenerationTask, step: int, batch: int) -> dict[str, Tensor]:
    """Add the gradients of one step's sum of losses (Eq. 10) and return the losses by name."""
    with task.watching():
        terms = task.losses(task.batch(step, batch))
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
    return terms


def take_steps(
    task: GenerationTask, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer, steps: int, warmup: int
) -> None:
    """The optimizer's learning rate is the highest: it is reached after `warmup` steps, and falls as a cosine."""
    highest = optimizer.param_groups[0]["lr"]
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(highest, step, steps=steps, warmup=warmup, decay="cosine")
        terms = backward(task, step, BATCH)
        clip_grad_norm_(weights, task.settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        if step % TOLD == TOLD - 1:
            print(f"step {step + 1}: {', '.join(f'{name} {value:.4f}' for name, value in terms.items())}", flush=True)
