"""Exponential moving average of weights: what is shown while training and shipped at its end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from factory.training.mapped import MappedTensors

Weights = dict[str, Tensor]


class MovingAverage:
    """Averages the weights of named modules; early steps count more, so that the start is forgotten.

    The state outlives a phase: a module that comes back goes on with its average, a new one starts its own.
    """

    def __init__(self, decay: float, folder: Path | None = None) -> None:
        """folder: where the averages lie in files, which takes longer; None: in memory, where the weights are."""
        self.decay, self.folder = decay, folder
        self.averages: dict[str, Weights] = {}
        self.updates: dict[str, int] = {}
        self._files: dict[str, MappedTensors] = {}

    def update(self, modules: Mapping[str, nn.Module]) -> None:
        """Take the modules' present weights into their averages."""
        for name, module in modules.items():
            live = weights_of(module)
            if name not in self.averages:
                self._begin(name, live)
            n = self.updates[name]
            weight = 1 - min(self.decay, (1 + n) / (10 + n))
            average = self.averages[name]
            if name in self._files:
                for key, value in average.items():
                    value.lerp_(live[key].to(value.device), weight)
                    self._files[name].release(key)
            else:
                torch._foreach_lerp_(list(average.values()), [live[key] for key in average], weight)
            self.updates[name] = n + 1

    def _begin(self, name: str, weights: Weights) -> None:
        self.updates.setdefault(name, 0)
        if self.folder is None:
            self.averages[name] = {key: value.clone() for key, value in weights.items()}
            return
        file = self._files[name] = MappedTensors(weights, self.folder)
        self.averages[name] = file.tensors
        for key, value in weights.items():
            file.tensors[key].copy_(value)
            file.release(key)

    @contextmanager
    def swapped_in(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """The modules carry their averages inside the block, their own weights after it, bit for bit.

        Their own lie in the averages' place meanwhile: no third copy is made.
        """
        self._swap(modules)
        try:
            yield
        finally:
            self._swap(modules)

    def _swap(self, modules: Mapping[str, nn.Module]) -> None:
        for name, module in modules.items():
            live = weights_of(module)
            for key, value in self.averages.get(name, {}).items():
                own = live[key].clone()
                live[key].copy_(value)
                value.copy_(own)
                self._release(name, key)

    def copy_to(self, modules: Mapping[str, nn.Module]) -> None:
        """Make the averages the modules' weights, for those that have one."""
        for name, module in modules.items():
            live = weights_of(module)
            for key, value in self.averages.get(name, {}).items():
                live[key].copy_(value)
                self._release(name, key)

    def forget(self, name: str) -> None:
        """Stop averaging a module whose weights are final."""
        self.averages.pop(name, None)
        self.updates.pop(name, None)
        self._files.pop(name, None)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"averages": self.averages, "updates": self.updates}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from `state()`."""
        self.updates = dict(state["updates"])
        for name, weights in state["averages"].items():
            if self.folder is None:
                self.averages[name] = {key: value.to(device) for key, value in weights.items()}
            else:
                self._begin(name, weights)

    def release(self) -> None:
        """Give back the memory of what lies in files: reading it, as a save does, has taken some."""
        for name, weights in self.averages.items():
            for key in weights:
                self._release(name, key)

    def _release(self, name: str, key: str) -> None:
        if name in self._files:
            self._files[name].release(key)


def weights_of(module: nn.Module) -> Weights:
    """What of a module can be averaged, detached (it shares memory with the module).

    With the parameters go the running means and variances of batch normalisation, which belong to them.
    """
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
