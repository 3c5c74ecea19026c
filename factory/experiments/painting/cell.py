"""A cell of such an experiment: one arm at one rate, one seed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.train.settings import FREE, TrainSettings
from factory.experiments.cells import Cell, decisive
from factory.experiments.painting.recipe import HeldOut, Painting
from factory.quality.scorers.aesthetic import Aesthetic
from factory.settings import said
from factory.shards.durable import json_bytes

VERSION = 1  # of how a cell is trained and measured: another one makes all anew


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintingCell(Cell):
    """One training, and what its model paints.

    content: path → hash of what lies there: sets, base, scorer.
    """

    training: TrainSettings
    sampler: SamplerSettings
    painting: Painting
    held_out: HeldOut | None
    aesthetic: Aesthetic | None
    content: Mapping[str, str]

    @property
    def decides(self) -> Mapping[str, Any]:
        held_out = self.held_out.model_dump() if self.held_out else None
        scorer = {name: str(path) for name, path in asdict(self.aesthetic).items()} if self.aesthetic else None
        return {
            "version": VERSION,
            "training": self._training,
            "painting": self.painting.model_dump(mode="json") | {"sampler": said(self.sampler), "batch": None},
            "held_out": decisive(held_out, self.content, frozenset()),
            "aesthetic": decisive(scorer, self.content, frozenset()),
        }

    @property
    def _training(self) -> Any:
        return decisive(asdict(self.training), self.content, FREE)

    @property
    def place(self) -> str:
        return f"seed {self.seed}"

    @property
    def about(self) -> Mapping[str, Any]:
        return {"training": asdict(self.training), "sampler": asdict(self.sampler), "content": dict(self.content)}

    @property
    def training_folder(self) -> Path:
        """Of all cells with this training: those that paint otherwise share it."""
        return self.root.parent / "trainings" / _mark({"version": VERSION, "training": self._training})

    @property
    def cache(self) -> Path:
        """Of all trainings on the same samples and base: what is made of these before the first step."""
        same = ("data", "base", "size", "key_rgb", "flip")
        return self.root.parent / "caches" / _mark({name: self._training[name] for name in same})


def _mark(told: Any) -> str:
    return sha256(json_bytes(told)).hexdigest()[:16]
