"""Where a training stands, told to whoever watches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """`step` of `steps` in phase `phase`. losses: by name, of that step. waiting: for data, as a share of the time."""

    phase: str
    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float
    finished: bool = False
    waiting: float | None = None  # None where it is not measured
