"""A cell: one arm, one fold, one seed. Its folder is named by a hash of all that decides its result, and holds it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from factory.errors import UsageError
from factory.experiments.arms import OneArm
from factory.experiments.folds import TestPicture
from factory.matting.train.settings import FREE, MattingTraining
from factory.shards.durable import json_bytes, write_json

VERSION = 2  # of how a cell is trained and measured: another one makes all anew
RESULT, FAILURE, ABOUT = "errors.json", "failed.json", "cell.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureErrors:
    """What the matte of one test picture is wrong by, where its trimap is unknown; units as in quality/metrics.py."""

    picture: str
    sad: float
    mse: float
    grad: float
    conn: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One training and its test.

    pictures: what it is tested on.  content: path → hash of what lies there: sets, backgrounds, weights to begin with.
    fold_folder: where the pictures, trimaps and alphas of its fold lie.
    """

    arm: OneArm
    fold: int
    seed: int
    training: MattingTraining
    pictures: tuple[TestPicture, ...]
    content: Mapping[str, str]
    fold_folder: Path
    root: Path

    @property
    def fingerprint(self) -> str:
        """Two cells with one of these have the same result, whatever their arms are called."""
        pictures = {picture.name: picture.content for picture in self.pictures}
        settings = _decisive(asdict(self.training), self.content)
        decides = {"version": VERSION, "training": settings, "pictures": pictures}
        return sha256(json_bytes(decides)).hexdigest()

    @property
    def folder(self) -> Path:
        return self.root / self.fingerprint[:16]


def _decisive(settings: Any, content: Mapping[str, str], place: str = "") -> Any:
    """Settings that decide weights, with the hash of its content instead of each path."""
    match settings:
        case Mapping():
            inner = {name: f"{place}.{name}".lstrip(".") for name in settings}
            return {name: _decisive(settings[name], content, at) for name, at in inner.items() if at not in FREE}
        case list() | tuple():
            return [_decisive(one, content, place) for one in settings]
        case str():
            return content.get(settings, settings)
    return settings


class Runner(Protocol):
    """Trains what a cell says in a folder, or goes on where it was killed; measures its mattes of the test pictures.

    Importable by name: it travels to other processes.
    """

    def __call__(self, cell: Cell, folder: Path) -> Sequence[PictureErrors]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell.  errors: none where it failed, or where it is not yet done; failure: why."""

    cell: Cell
    errors: tuple[PictureErrors, ...] = ()
    failure: str = ""


def outcome_of(cell: Cell) -> Outcome:
    """As its folder tells it. Raises UsageError where a file there is damaged."""
    for name in (RESULT, FAILURE):
        file = cell.folder / name
        try:
            told = json.loads(file.read_bytes())
            if name == FAILURE:
                return Outcome(cell, failure=str(told["sentence"]))
            return Outcome(cell, tuple(PictureErrors(**errors) for errors in told["pictures"]))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{file} is damaged ({error}): remove it, and its cell is done again.") from error
    return Outcome(cell)


def write_about(cell: Cell) -> None:
    """For people: which cell this is."""
    told: dict[str, Any] = {"arm": cell.arm.name, "fold": cell.fold, "seed": cell.seed, "fingerprint": cell.fingerprint}
    told["pictures"] = [picture.name for picture in cell.pictures]
    write_json(cell.folder / ABOUT, told | {"training": asdict(cell.training), "content": dict(cell.content)})


def write_result(cell: Cell, errors: Sequence[PictureErrors]) -> None:
    """From here on the cell is done."""
    write_json(cell.folder / RESULT, {"pictures": [asdict(one) for one in errors]})
    (cell.folder / FAILURE).unlink(missing_ok=True)


def write_failure(cell: Cell, sentence: str) -> None:
    """It is tried again in the next run."""
    write_json(cell.folder / FAILURE, {"sentence": sentence})
