"""Learning rates as a pure function of the step: nothing to save, nothing to resume."""

import math
from collections.abc import Sequence
from typing import Literal

Decay = Literal["constant", "cosine"]


def learning_rate(
    base: float,
    step: int,
    *,
    steps: int,
    warmup: int,
    decay: Decay,
    drops: Sequence[tuple[float, float]] = (),
) -> float:
    """Linear warm-up, then constant or a half cosine that ends at zero after `steps`.

    drops: pairs of a share of all steps and what the rate is times from there on: (2/3, 0.1), (13/15, 0.01).
    """
    warm = min(1.0, (step + 1) / max(warmup, 1))
    fall = 0.5 * (1 + math.cos(math.pi * step / steps)) if decay == "cosine" else 1.0
    dropped = next((factor for share, factor in sorted(drops, reverse=True) if step >= round(share * steps)), 1.0)
    return base * warm * fall * dropped
