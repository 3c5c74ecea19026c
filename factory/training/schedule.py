"""Learning rates as a pure function of the step: nothing to save, nothing to resume."""

import math
from typing import Literal


def learning_rate(base: float, step: int, *, steps: int, warmup: int, decay: Literal["constant", "cosine"]) -> float:
    """Linear warm-up, then constant or a half cosine that ends at zero after `steps`."""
    warm = min(1.0, (step + 1) / max(warmup, 1))
    fall = 0.5 * (1 + math.cos(math.pi * step / steps)) if decay == "cosine" else 1.0
    return base * warm * fall
