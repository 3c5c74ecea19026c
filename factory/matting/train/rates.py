"""Which weights learn how fast."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from factory.errors import UsageError

IN_BACKBONE = re.compile(r"\bbackbone\.(?:embeddings|encoder\.layer\.(\d+))\.")


def parameter_groups(
    network: nn.Module, lr: float, weight_decay: float, factors: Mapping[str, float], layer_decay: float
) -> list[dict[str, Any]]:
    """The weights in groups of one rate and one weight decay, for an optimizer; each has its `base_lr`.

    factors: pattern of names → what the rate is times; the first that fits counts.  layer_decay: below 1, a ViT's layer
    learns by that factor slower than the next, and what lies above them all by none (Li et al., "Exploring Plain Vision
    Transformer Backbones for Object Detection", 2022; the added residual blocks are above, too). Vectors (biases,
    normalisation) and learned positions do not decay. Raises UsageError for a pattern that fits nothing.
    """
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    for pattern in factors:
        if not any(fnmatchcase(name, pattern) for name in named):
            raise UsageError(f"train.lr_factors: no weight's name is like {pattern!r}; one is {next(iter(named))!r}")
    depths = depths_below_top(named) if layer_decay != 1 else {}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        factor = next((factor for pattern, factor in factors.items() if fnmatchcase(name, pattern)), 1.0)
        decays = parameter.ndim > 1 and "position_embeddings" not in name
        key = lr * factor * layer_decay ** depths.get(name, 0), weight_decay if decays else 0.0
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "base_lr": rate, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def depths_below_top(names: Iterable[str]) -> dict[str, int]:
    """How many layers lie above each weight of a ViT's; the last layer's have 1, the embedding's one more than layers.

    Raises UsageError where there are no such layers.
    """
    found = {name: match for name in names if (match := IN_BACKBONE.search(name)) and ".residual." not in name}
    layers = {name: int(match[1]) if match[1] else -1 for name, match in found.items()}
    if not layers:
        raise UsageError("train.layer_decay: this network has no layers of a ViT: leave it out")
    top = max(layers.values()) + 1
    return {name: top - layer for name, layer in layers.items()}
