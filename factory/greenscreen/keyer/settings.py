"""The keyer's settings."""

from dataclasses import dataclass
from typing import TypeAlias

Pair: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyerSettings:
    """How a frame is keyed. The defaults are the default quality.

    These numbers, and those of this folder for which nothing else is said, were chosen on the 14 scenes of
    benchmarks/keyer.py and on the real material of docs/keyer.png. "0: MSE × 1.4, h264" is what the scenes on that
    screen lose by another number: benchmarks/keyer_numbers.py prints it. They were chosen before there was a fine pass.

    Pairs marked (drawn, filmed) are for a screen of exact levels and for one with noise, spill or coding; those marked
    (full, half) are for chroma of luma's resolution and of half of it.
    """

    work_size: int = 512  # most pixels of the long side at which fields and masks are made (evidence.py)
    solid: Pair = (0.999, 0.8)  # (drawn, filmed) apparent opacity from which an inside is solid; 2: MSE × 35, pure
    opaque: Pair = (0.97, 0.85)  # (drawn, filmed) … from which a pixel's colour is the object's own
    summit: Pair = (0.985, 0.97)  # (drawn, filmed) … if it has this share of the highest near by; 0.5: MSE × 1.5, pure
    few: Pair = (0.01, 0.003)  # (drawn, filmed) weight of opaque samples at which half is left to the prior
    light: Pair = (0.6, 0.1)  # (full, half) σ by which an object's light may differ from its samples'
    quiet: float = 1.5  # standard deviations of α that are smoothed as noise; 0: MSE × 1.3, studio
    black_point: float = 0.7  # standard deviations of α that count as clean screen
    coding: Pair = (0.025, 0.008)  # (full, half) α that noise and coding make of clean filmed screen
    haze: float = 1.5  # multiples of the haze along the border that count as clean screen
    spill: Pair = (0.15, 0.4)  # screen colour in an object: up to the first it is spill, from the second its own
    doubt: Pair = (0.02, 0.3)  # (drawn, filmed) α under which the colours around count more; 0: colours 20 % worse

    def __post_init__(self) -> None:
        if self.work_size < 64:
            raise ValueError(f"work_size is {self.work_size}: below 64 pixels no edge can be told")
