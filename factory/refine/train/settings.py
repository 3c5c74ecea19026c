"""What a training of the keyer's shape network is made of: a plain frozen dataclass that a recipe embeds.

This file imports no torch, so that reading a recipe stays fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.errors import UsageError
from factory.refine.shape_weights import shape_weights
from factory.shards.layout import Layout


@dataclass(frozen=True, kw_only=True)
class KeyerTraining:
    """All that the final weights depend on, for equal software and device type."""

    data: tuple[str, ...]  # finished sets, of whose objects scenes are made; their screens do not count
    begin: str = ""  # weights to go on from: a .safetensors file, or "shipped" for the keyer's own; "" for none
    steps: int = 3000
    batch: int = 16
    side: int = 128  # pixels of a scene's longer side: the size at which the network looks at pictures
    lr: float = 2e-3
    warmup: int = 100  # steps of linear warm-up, before a cosine that ends at zero
    weight_decay: float = 1e-3
    square_weight: float = 2.0  # of the squared error, beside the absolute one
    edge_weight: float = 0.5  # of the absolute error of differences between neighbours
    own_weight: float = 0.3  # of the absolute error of the object's own share of the screen's colour
    deviation_weight: float = 0.05  # of the negative logarithm of a Laplace density with the deviation as its width
    ema: float = 0.998
    threads: int = 1
    seed: int = 0

    # From here on nothing decides a weight: these may change from one start to the next
    log_every: int = 20  # steps
    save_every: int = 200
    trackers: tuple[str, ...] = ()  # that are told of the log: tensorboard, wandb, mlflow …

    def __post_init__(self) -> None:
        if not self.data:
            raise UsageError("train.data names no set: make one with `factory build-green100k keyer-objects`")
        if self.side % 16 or not 32 <= self.side <= 512:
            raise UsageError(f"train.side is {self.side}: give a multiple of 16 from 32 to 512")


AS_SHIPPED = "shipped"
"""How a recipe names the weights that the keyer has."""

FREE = frozenset({"log_every", "save_every", "threads", "trackers"})
"""The fields that decide no weight."""


def check_inputs(settings: KeyerTraining) -> None:
    """A set that still grows would train another network at the next run. Raises UsageError; for lost weights, too."""
    check_sets(settings.data)
    if settings.begin not in ("", AS_SHIPPED):
        shape_weights(Path(settings.begin), "train.begin")


def check_sets(folders: Sequence[str]) -> None:
    """Raises UsageError for a set that is not finished."""
    for folder in map(Path, folders):
        if not Layout(folder).finished.is_file():
            raise UsageError(
                f"{folder} is not a finished data set: run the command that makes it, for example "
                "`factory build-green100k keyer-objects`, or correct train.data."
            )
