"""What a scorer is: a network of the user's that tells one number of a picture. One file a scorer.

A new one is such a file with a frozen dataclass whose fields are all paths, a line in scorers.py, and its two scores:
on mid grey, which the gate looks at, and on the screen (ARCHITECTURE.md, "A new score").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from factory.models.device import Device
from factory.sample import Picture

if TYPE_CHECKING:
    from factory.quality.scorers.clip import Clip

UNTOLD = -1.0
SCREEN = "_screen"  # behind the name of a score: of the picture on its own screen


@dataclass(frozen=True, eq=False)
class View:
    """A batch as scorers see it. It may be filled up with nothing, so that it is a full one whoever is in it.

    pictures: None where there is none.  texts: what each shows, in words; "" where nobody said.
    """

    pictures: tuple[Picture | None, ...]
    texts: tuple[str, ...]


Judge: TypeAlias = Callable[[View], Sequence[float]]
"""A number for each picture, 0 or more; what stands where there is no picture, is not looked at."""

ClipOf: TypeAlias = "Callable[[Path], Clip]"
"""Loads a folder once, whoever asks for it."""


class Scorer(Protocol):
    """A scorer as a recipe names it: where its files lie. The plan holds their hashes."""

    score: ClassVar[str]  # a field of `sample.Scores`; the one on the screen is called the same with SCREEN behind

    def check(self) -> None:
        """Raises UsageError for files that are missing, unsafe or do not fit each other. Only looks at files."""
        ...

    def open(self, clip_of: ClipOf, device: Device) -> Judge:
        """The scorer at work, in a worker."""
        ...
