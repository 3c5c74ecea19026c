"""Exponential moving average of weights: what is shown while training and shipped at its end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


class MovingAverage:
    """Averages the weights of named modules; early steps count more, so that the start is forgotten.

    The state outlives a phase: a module that comes back goes on with its average, a new one starts its own.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.averages: dict[str, Weights] = {}
        self.updates: dict[str, int] = {}

    def update(self, modules: Mapping[str, nn.Module]) -> None:
        """Take the modules' present weights into their averages."""
        for name, module in modules.items():
            live = weights_of(module)
            if name not in self.averages:
                self.averages[name] = {key: value.clone() for key, value in live.items()}
                self.updates[name] = 0
            n = self.updates[name]
            weight = 1 - min(self.decay, (1 + n) / (10 + n))
            average = self.averages[name]
            torch._foreach_lerp_(list(average.values()), [live[key] for key in average], weight)
            self.updates[name] = n + 1

    @contextmanager
    def swapped_in(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """The modules carry their averages inside the block, their own weights after it, bit for bit."""
        own = {name: {k: v.clone() for k, v in weights_of(module).items()} for name, module in modules.items()}
        self.copy_to(modules)
        try:
            yield
        finally:
            for name, module in modules.items():
                write(module, own[name])

    def copy_to(self, modules: Mapping[str, nn.Module]) -> None:
        """Make the averages the modules' weights, for those that have one."""
        for name, module in modules.items():
            if name in self.averages:
                write(module, self.averages[name])

    def forget(self, name: str) -> None:
        """Stop averaging a module whose weights are final."""
        self.averages.pop(name, None)
        self.updates.pop(name, None)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"averages": self.averages, "updates": self.updates}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from `state()`."""
        self.updates = dict(state["updates"])
        self.averages = {
            name: {key: value.to(device) for key, value in weights.items()}
            for name, weights in state["averages"].items()
        }


def weights_of(module: nn.Module) -> Weights:
    """What of a module can be averaged, detached (it shares memory with the module).

    With the parameters go the running means and variances of batch normalisation, which belong to them.
    """
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}


def write(module: nn.Module, weights: Weights) -> None:
    """Overwrite the weights in place."""
    live = weights_of(module)
    for name, value in weights.items():
        live[name].copy_(value)
