"""A cell of an experiment on matting networks: one arm, one fold, one seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from factory.experiments.cells import Cell, decisive
from factory.experiments.matting.arms import OneArm
from factory.experiments.matting.folds import TestPicture
from factory.matting.train.settings import FREE, MattingTraining

VERSION = 2  # of how a cell is trained and measured: another one makes all anew


@dataclass(frozen=True, slots=True, kw_only=True)
class MattingCell(Cell):
    """One training and its test.

    pictures: what it is tested on.  content: path → hash of what lies there: sets, backgrounds, weights to begin with.
    fold_folder: where the pictures, trimaps and alphas of its fold lie.
    """

    arm: OneArm
    training: MattingTraining
    pictures: tuple[TestPicture, ...]
    content: Mapping[str, str]
    fold_folder: Path

    @property
    def decides(self) -> Mapping[str, Any]:
        pictures = {picture.name: picture.content for picture in self.pictures}
        settings = decisive(asdict(self.training), self.content, FREE)
        return {"version": VERSION, "training": settings, "pictures": pictures}

    @property
    def place(self) -> str:
        return f"fold {self.fold}, seed {self.seed}"

    @property
    def about(self) -> Mapping[str, Any]:
        pictures = [picture.name for picture in self.pictures]
        return {"pictures": pictures, "training": asdict(self.training), "content": dict(self.content)}
