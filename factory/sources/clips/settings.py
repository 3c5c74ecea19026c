"""What a recipe says about clips. Apart from the probe, so that reading a recipe loads no decoder."""

from dataclasses import dataclass
from typing import Literal

from factory.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSettings:
    """Which frames of a clip are taken, and how its colours are read. Part of the plan.

    frames: every n-th frame (`every`), all key frames, or `rate` frames per second.
    keyed_at: frames whose shorter side is larger are averaged by the whole factor that comes nearest to it; 0 keys all
    as filmed. Compositing is linear: the matte of the mean is the mean of the mattes, at less noise and time.
    matrix, range, siting: "auto" takes the clip's tags, or the rule where it has none.
    """

    frames: Literal["every", "keyframes", "rate"] = "every"
    every: int = 20
    rate: float = 1.0
    keyed_at: int = 1080
    matrix: Literal["auto", "bt709", "bt601"] = "auto"
    range: Literal["auto", "tv", "pc"] = "auto"
    siting: Literal["auto", "left", "centre", "topleft"] = "auto"

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        if self.every < 1:
            raise UsageError(f"every is {self.every}: take every 1st frame or fewer")
        if not 0 < self.rate <= 1000:
            raise UsageError(f"rate is {self.rate}: give frames per second, above 0 and at most 1000")
        if self.keyed_at < 0:
            raise UsageError(f"keyed_at is {self.keyed_at}: give lines, or 0 to key frames as filmed")
