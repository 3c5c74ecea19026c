"""Samplers of models and adapters that were distilled to paint in a few steps: how they are called unless told."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from factory.errors import UsageError


class FewSteps(NamedTuple):
    """steps: as published.  most, least: of them, that its timesteps allow.  eta: see `SamplerSettings`."""

    steps: int
    least: int
    most: int
    eta: float = 0.0


FEW_STEPS: Mapping[str, FewSteps] = {
    "lcm": FewSteps(steps=4, least=1, most=50),  # of the 50 timesteps that it was distilled on
    "tcd": FewSteps(steps=4, least=1, most=50, eta=0.3),
    "euler": FewSteps(steps=4, least=1, most=1000),
    "dmd2": FewSteps(steps=4, least=4, most=4),  # at 999, 749, 499, 249
}
NOISY = ("ddim", "tcd")  # the samplers that may draw some of their noise anew at each step: that is `eta`


def with_few_steps(asked: Mapping[str, Any], own: str = "") -> dict[str, Any]:
    """What is asked of a sampler, laid over what such a sampler is called with: its steps, no guidance, its eta.

    own: the sampler of the model's own settings, whose steps, guidance and eta are meant for it; another that takes
    any number of steps keeps the first two.
    """
    sampler = asked.get("sampler", own)
    if sampler == own or not isinstance(sampler, str):  # what is no name is refused where settings are made of it
        return dict(asked)
    few = FEW_STEPS.get(sampler)
    if few is None:
        return {"eta": 0.0, **asked}
    return {"steps": few.steps, "guidance": 1.0, "eta": few.eta, **asked}


def check_steps(sampler: str, steps: int, eta: float) -> None:
    """Raises UsageError for what a sampler cannot do."""
    few = FEW_STEPS.get(sampler)
    if few and not few.least <= steps <= few.most:
        span = f"{few.least} to {few.most}" if few.least < few.most else f"{few.least}"
        raise UsageError(f"steps {steps} is out of range for {sampler}: take {span}")
    if not 0 <= eta <= 1:
        raise UsageError(f"eta {eta} is out of range: take 0 to 1")
    if eta and sampler not in NOISY:
        raise UsageError(f"eta {eta} is of no use to {sampler or 'this sampler'}: take it with {' or '.join(NOISY)}")
