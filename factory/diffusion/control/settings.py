"""Which control networks and style pictures a recipe asks for. Light: a recipe is read without torch."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from factory.diffusion.control.kinds import KINDS
from factory.diffusion.control.modes import MODES
from factory.errors import UsageError

MOST = 10.0  # weight that anybody means


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A network that is shown a picture of where things are, and how it has its say.

    model: its folder.  kind: how the given picture becomes the network's, see kinds.py.
    column: of the prompt list, which names the picture.  weight: of what the network adds.
    begin, end: the shares of the steps from and until which it counts.
    mode: what a union network is to take the picture for, see modes.py; "" goes by the kind.
    """

    model: Path
    kind: str = "as-is"
    column: str = "control"
    weight: float = 1.0
    begin: float = 0.0
    end: float = 1.0
    mode: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"--control {self.model}: {self.kind!r} is no kind: take one of {', '.join(KINDS)}.")
        if self.mode and self.mode not in MODES:
            raise UsageError(f"--control {self.model}: {self.mode!r} is no mode: take one of {', '.join(MODES)}.")
        if not 0 <= self.begin < self.end <= 1:
            raise UsageError(f"--control {self.model}: `begin` and `end` are shares of the steps, 0 ≤ begin < end ≤ 1.")
        _check_weight(f"--control {self.model}", self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """An IP-Adapter, which is shown a picture of what things look like.

    model: its folder.  column: of the prompt list, which names the picture.  weight: of what it adds.
    """

    model: Path
    column: str = "style"
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_weight(f"--style {self.model}", self.weight)


def said_in_a_flag(text: str) -> Control:
    """`FOLDER` or `FOLDER=KIND`. Raises UsageError for a kind that there is not."""
    folder, sign, kind = text.rpartition("=")
    if not sign or Path(text).is_dir():  # the sign may be part of the folder's name
        return Control(model=Path(text))
    return Control(model=Path(folder), kind=kind)


def _check_weight(name: str, weight: float) -> None:
    if not isfinite(weight) or not 0 <= weight <= MOST:
        raise UsageError(f"{name}: its weight is {weight:g}; take one from 0 to {MOST:g}.")
