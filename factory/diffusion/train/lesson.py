"""A phase of DiffuMatting's training as a lesson of the loop: what learns in it, by which losses, and how far it is."""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from factory.diffusion.train.settings import Phase, TrainSettings
from factory.training.draws import Share
from factory.training.ranks import Ranks
from factory.training.schedule import learning_rate

B = TypeVar("B")


class Task(Protocol[B]):
    """What the losses of a phase are computed from."""

    def batch(self, step: int, size: int, share: Share) -> B:
        """A share of the inputs of a step of so many samples."""

    def watching(self) -> AbstractContextManager[object]:
        """Steps are taken in it, forward and backward."""

    def losses(self, b: B) -> dict[str, Tensor]:
        """Weighted, to be summed; the mean of the shares' losses is the batch's."""


class PhaseLesson(Generic[B]):
    """The phase's task, the modules that it changes, and what shows how far they are."""

    def __init__(
        self,
        task: Task[B],
        modules: Mapping[str, nn.Module],
        phase: Phase,
        settings: TrainSettings,
        look: Callable[[int], dict[str, float]],
        *,
        ranks: Ranks,
    ) -> None:
        """The modules learn from now on.  look: the averaged weights' measures after a step.

        Raises UsageError where the batch cannot be shared among the processes.
        """
        phase.at_once(ranks.count)
        self.task, self.modules, self.phase, self.look, self.ranks = task, dict(modules), phase, look, ranks
        self.network = StepLosses(task, self.modules).requires_grad_()
        self.optimizer = build_optimizer(self.modules, phase, settings)

    def batches(self, step: int) -> Generator[B, None, None]:
        """The shares of this process."""
        count = self.phase.parts * self.ranks.count
        first = self.ranks.number * self.phase.parts
        with self.task.watching():
            while True:
                for part in range(self.phase.parts):
                    yield self.task.batch(step, self.phase.batch, Share(first + part, count))
                step += 1

    def losses(self, network: nn.Module, batch: B) -> dict[str, Tensor]:
        """The task's."""
        terms: dict[str, Tensor] = network(batch)
        return terms

    def rate(self, base: float, step: int) -> float:
        """Of the phase."""
        p = self.phase
        return learning_rate(base, step, steps=p.steps, warmup=p.warmup, decay=p.decay)

    def validate(self, step: int) -> dict[str, float]:
        """What `look` says."""
        return self.look(step)


class StepLosses(nn.Module, Generic[B]):
    """A step's losses as one network of all that learns: so several processes find the gradients that they share."""

    def __init__(self, task: Task[B], modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.task = task
        self.learning = nn.ModuleDict(modules)

    def forward(self, batch: B) -> dict[str, Tensor]:
        """By name, weighted."""
        return self.task.losses(batch)


def build_optimizer(modules: Mapping[str, nn.Module], phase: Phase, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW, one group per module; the matting head has a learning rate of its own."""
    groups = [
        {"params": list(module.parameters()), "base_lr": phase.head_lr if name == "head" else phase.lr}
        for name, module in modules.items()
    ]
    return torch.optim.AdamW(groups, lr=phase.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)
