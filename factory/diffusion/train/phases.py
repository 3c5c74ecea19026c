"""Which modules learn in each phase of a training, and what is kept of those that learned before."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from factory.diffusion.train.lesson import PhaseLesson
from factory.diffusion.train.settings import Phase, TrainSettings
from factory.errors import UsageError
from factory.training.ema import MovingAverage
from factory.training.ranks import Ranks


class PhasedTraining(ABC):
    """What lasts from phase to phase.  modules: all that ever learns, by name.  base_hash: of the base's files."""

    modules: dict[str, nn.Module]
    base_hash: str

    def __init__(self, settings: TrainSettings, out: Path, device: torch.device, ranks: Ranks) -> None:
        self.settings, self.out, self.device, self.ranks = settings, out, device, ranks

    @abstractmethod
    def learning(self, phase: Phase) -> dict[str, nn.Module]:
        """The modules that a phase changes."""

    @abstractmethod
    def lesson(self, number: int) -> PhaseLesson[Any]:
        """Of a phase; its modules learn from now on."""

    @abstractmethod
    def publish(self, model: Path, average: MovingAverage) -> None:
        """Write the averaged weights as a model folder, on a base beside what it left frozen."""

    def kept(self, number: int) -> dict[str, Any]:
        """What `restore` takes, from the beginning of a phase to its end."""
        phases = self.settings.phases
        before = {name for phase in phases[:number] for name in self.learning(phase)}
        frozen = sorted(before - self.learning(phases[number]).keys())
        return {"base_hash": self.base_hash, "frozen": {name: self.modules[name].state_dict() for name in frozen}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Bring back what earlier phases taught; the present one's is the loop's.

        Raises UsageError where the base is another one than in the beginning.
        """
        if state["base_hash"] != self.base_hash:
            raise UsageError(
                f"{self.settings.base} has changed since the training began: bring back the old one, or start in "
                "another --out"
            )
        for name, weights in state["frozen"].items():
            self.modules[name].load_state_dict(weights)

    def end(self, number: int, average: MovingAverage) -> None:
        """Close a phase."""
        for module in self.learning(self.settings.phases[number]).values():
            module.requires_grad_(False).eval()
