"""Text-to-image pipelines of diffusers with tiny random networks: one function a class, files by family.

They paint blots on a green screen, so that what comes after them has something to do: see `paints_green`.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import torch

Builder = Callable[[], Any]
BUILDERS: dict[str, Builder] = {}


def tiny(name: str) -> Callable[[Builder], Builder]:
    """Registers the function that builds a pipeline of this class: an object of it, on the CPU, in float32."""

    def register(builder: Builder) -> Builder:
        BUILDERS[name] = builder
        return builder

    return register


def build(name: str) -> Any:
    """The pipeline; the same weights on every call. Raises KeyError for a class that nobody wrote a builder for."""
    for module in iter_modules([str(Path(__file__).parent)]):
        import_module(f"{__name__}.{module.name}")
    torch.manual_seed(0)
    return BUILDERS[name]()


@torch.no_grad()
def paints_green(last: torch.nn.Module, norm: torch.nn.Module | None = None) -> None:
    """Change the end of a decoder, in place: a flat green picture, with purple blots where its first feature is high.

    last: a convolution (2d or 3d) or linear layer into 3 channels of −1..1, or more.
    norm: what comes before it and before a SiLU, with weight and bias; without it the green is not flat.
    """
    weight, bias = _tensor(last.weight), _tensor(last.bias)
    weight.zero_()
    bias.zero_()
    gain = 0.2
    if norm is not None:  # 6·x − 9: next to nothing below a standard deviation, and up to 9 above
        _tensor(norm.weight)[0], _tensor(norm.bias)[0] = 6.0, -9.0
        gain = 0.3
    middle = tuple(size // 2 for size in weight.shape[2:])
    for channel, sign in enumerate((1.0, -1.0, 1.0)):
        weight[(channel, 0, *middle)] = sign * gain
        bias[channel] = -sign


def _tensor(value: Any) -> torch.Tensor:
    assert isinstance(value, torch.Tensor)
    return value
