"""A cell: one arm, one seed. Its folder is named by a hash of all that decides its result, and holds it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from factory.errors import UsageError
from factory.shards.durable import json_bytes, write_json

RESULT, FAILURE, ABOUT = "errors.json", "failed.json", "cell.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An arm as the table has it.

    series, axis, value: of an arm that stands for one of several values: the arm of the recipe, what is varied, and its
    value here; "", "" and 0 for others.
    """

    name: str
    seeds: tuple[int, ...]
    folds: tuple[int, ...] = (0,)
    series: str = ""
    axis: str = ""
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one picture: numbers by the names of metrics."""

    picture: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(ABC):
    """One training and what is measured of it.  root: the folder of all cells."""

    arm: Row
    seed: int
    root: Path
    fold: int = 0

    @property
    @abstractmethod
    def decides(self) -> Mapping[str, Any]:
        """All that its result depends on, as JSON."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Which of its arm's cells it is, for people: "fold 0, seed 1"."""

    @property
    @abstractmethod
    def about(self) -> Mapping[str, Any]:
        """For people, as JSON: what it is made of."""

    @property
    def fingerprint(self) -> str:
        """Two cells with one of these have the same result, whatever their arms are called."""
        return sha256(json_bytes(self.decides)).hexdigest()

    @property
    def folder(self) -> Path:
        return self.root / self.fingerprint[:16]


C = TypeVar("C", bound=Cell)
Runner: TypeAlias = Callable[[C, Path], Sequence[Measured]]
"""Trains what a cell says in a folder, or goes on where it was killed, and measures. Importable by name: it travels to
other processes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell.  measured: none where it failed, or where it is not yet done; failure: why."""

    cell: Cell
    measured: tuple[Measured, ...] = ()
    failure: str = ""


def outcome_of(cell: Cell) -> Outcome:
    """As its folder tells it. Raises UsageError where a file there is damaged."""
    for name in (RESULT, FAILURE):
        file = cell.folder / name
        try:
            told = json.loads(file.read_bytes())
            if name == FAILURE:
                return Outcome(cell, failure=str(told["sentence"]))
            return Outcome(cell, tuple(_measured(dict(fields)) for fields in told["pictures"]))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{file} is damaged ({error}): remove it, and its cell is done again.") from error
    return Outcome(cell)


def _measured(fields: dict[str, Any]) -> Measured:
    return Measured(str(fields.pop("picture")), {name: float(value) for name, value in fields.items()})


def decisive(settings: Any, content: Mapping[str, str], free: frozenset[str], place: str = "") -> Any:
    """Settings that decide weights, with the hash of its content instead of each path.

    content: path → hash of what lies there.  free: names, with dots, of settings that decide nothing.
    """
    match settings:
        case Mapping():
            inner = {name: f"{place}.{name}".lstrip(".") for name in settings}
            return {name: decisive(settings[name], content, free, at) for name, at in inner.items() if at not in free}
        case list() | tuple():
            return [decisive(one, content, free, place) for one in settings]
        case str():
            return content.get(settings, settings)
    return settings


def write_about(cell: Cell) -> None:
    """For people: which cell this is."""
    told = {"arm": cell.arm.name, "fold": cell.fold, "seed": cell.seed, "fingerprint": cell.fingerprint}
    write_json(cell.folder / ABOUT, {**told, **cell.about})


def write_result(cell: Cell, measured: Sequence[Measured]) -> None:
    """From here on the cell is done."""
    write_json(cell.folder / RESULT, {"pictures": [{"picture": one.picture, **one.numbers} for one in measured]})
    (cell.folder / FAILURE).unlink(missing_ok=True)


def write_failure(cell: Cell, sentence: str) -> None:
    """It is tried again in the next run."""
    write_json(cell.folder / FAILURE, {"sentence": sentence})
