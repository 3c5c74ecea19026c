"""What a training of a matting network is made of: a plain frozen dataclass that a recipe embeds.

Neither this file nor what it imports imports torch, so that reading a recipe stays fast.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from factory.errors import UsageError
from factory.matting.data.settings import LoaderSettings, SetEntry
from factory.training.schedule import Decay

LossRecipe = Literal["indexnet", "vitmatte", "small"]
LEAST_CROP = 64  # pixels that five levels of a pyramid need
_EACH = ("log_every", "save_every", "validate_every", "validation_items")


@dataclass(frozen=True)
class HeldOutFolder:
    """Pictures that the network will be tested on.  mattes: a folder of theirs, of the same names, by which framed and
    changed copies are found, too; "" for none.
    """

    pictures: str
    mattes: str = ""


@dataclass(frozen=True, kw_only=True)
class MattingTraining:
    """All that the final weights depend on, for equal software, device type and number of processes."""

    loader: LoaderSettings
    network: str = "small"  # its kind: small, indexnet or vitmatte
    options: dict[str, Any] = field(default_factory=dict)  # of the kind
    begin: str = ""  # folder of a network of this kind to go on from; "" for none
    steps: int = 3000
    batch: int = 16  # samples of a step, over all processes
    parts: int = 1  # that a batch is taken in, for GPUs that cannot hold it whole
    losses: LossRecipe = "indexnet"
    weighted: bool = False  # whether a sample counts in the loss as far as its label is trusted
    lr: float = 1e-3
    warmup: int = 100  # steps of linear warm-up
    decay: Decay = "cosine"
    drops: tuple[tuple[float, float], ...] = ()  # shares of the steps, and what the rate is times from there on
    lr_factors: dict[str, float] = field(default_factory=dict)  # pattern of names of weights → what their rate is times
    layer_decay: float = 1.0  # what each layer of a ViT's rate is times, compared with the next
    weight_decay: float = 0.0
    clip_norm: float = 0.0  # the longest gradient; 0 for any
    ema: float = 0.998
    bf16: Literal["auto", "on", "off"] = "auto"  # auto: products in bfloat16 where the processor has them
    threads: int = 1  # of this process; more give other last bits
    seed: int = 0

    # From here on nothing decides a weight: these may change from one start to the next
    workers: int = 1  # processes that make batches; 0: the training makes them itself
    tests: tuple[HeldOutFolder, ...] = ()  # no set may hold one of these pictures
    validation: tuple[SetEntry, ...] = ()  # sets to be measured on while it trains, loaded as the others are
    validation_items: int = 32
    validate_every: int = 500  # steps
    log_every: int = 20
    save_every: int = 200
    trackers: tuple[str, ...] = ()  # that are told of the log: tensorboard, wandb, mlflow …

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "parts", "threads", *_EACH):
            if getattr(self, name) < 1:
                raise UsageError(f"train.{name} is {getattr(self, name)}: give 1 or more")
        for name in ("lr", "warmup", "weight_decay", "clip_norm", "seed", "workers"):
            if getattr(self, name) < 0:
                raise UsageError(f"train.{name} is {getattr(self, name):g}: give 0 or more")
        self.crops_at_once(processes=1)
        if self.losses == "vitmatte" and self.loader.crop < LEAST_CROP:
            raise UsageError(
                f"train.loader.crop is {self.loader.crop}: the losses of vitmatte need {LEAST_CROP} or more"
            )
        for share, factor in self.drops:
            if not (0 < share < 1 and factor > 0):
                raise UsageError(
                    f"train.drops has [{share:g}, {factor:g}]: give a share of the steps between 0 and 1, and a factor"
                )
        for pattern, factor in self.lr_factors.items():
            if factor < 0:
                raise UsageError(f"train.lr_factors has {factor:g} for {pattern}: give 0 or more")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"train.layer_decay is {self.layer_decay:g}: give more than 0, and 1 at most")
        if not 0 <= self.ema < 1:
            raise UsageError(f"train.ema is {self.ema:g}: give 0 or more, and less than 1")

    def crops_at_once(self, processes: int) -> int:
        """Of which each of several processes makes a step. Raises UsageError where a batch cannot be shared so."""
        shares = self.parts * processes
        if self.batch % shares:
            raise UsageError(f"train.batch is {self.batch}: give a multiple of {shares}, train.parts × processes")
        if self.network == "indexnet" and self.batch == shares:
            raise UsageError(
                f"train.batch is {self.batch}, which leaves IndexNet one crop at a time, and it cannot normalise one: "
                f"give {2 * shares} or more"
            )
        return self.batch // shares


FREE = frozenset(
    {"workers", "tests", "validation", "validation_items", "validate_every", "log_every", "save_every", "trackers"}
    | {"loader.cache"}
)
"""The fields that decide no weight."""
