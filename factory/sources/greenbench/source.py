"""The benchmark's scenes as a source: drawn objects, or cut-outs of a folder, each on the screen that its row names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from factory.engine.input_files import read_as_planned
from factory.equation import plate_basis
from factory.errors import DataError
from factory.greenscreen.framing import framed, moved_within
from factory.pictures.cutout import decode
from factory.sample import DRAWN, Origin, Picture, PlateCoefficients, Request, Sample
from factory.sources.greenbench.drawing import drawn
from factory.sources.greenbench.facts import AMBIGUOUS, EXACT, in_words
from factory.sources.greenbench.registry import CLASSES
from factory.sources.greenbench.scenes import MIRRORING, PAINTER, VAE, Scene, scene
from factory.sources.greenbench.sheet import Drawn

MARGIN = 0.06  # of the frame, beside a cut-out's longer side
PLATE = "plate"  # the layer with the clean screen


@dataclass(frozen=True, slots=True)
class DrawnScenes:
    """Scenes of drawn objects. size: pixels per side."""

    size: int

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        """One scene per request, whose item is a row of planning.drawn_rows."""
        return [self._sample(request) for request in requests]

    def _sample(self, request: Request) -> Sample:
        row = request.item
        name = str(row["class_name"])
        shot = scene(
            drawn(name, int(row["seed"]), self.size),
            row["screen"],
            row["hue"],
            int(row["seed"]),
            emits=CLASSES[name].emits,
        )
        origin = Origin(kind="composited", source="greenbench", licence="CC0-1.0", digital_source_type=DRAWN)
        return _sample(request, shot, name, origin)


@dataclass(frozen=True, slots=True)
class CutoutScenes:
    """Scenes of the pictures of one pinned folder. source: what it goes by."""

    folder: Path
    size: int
    source: str

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        """One scene per request, whose item is a row of planning.cutout_rows. A changed file raises InputChanged."""
        return [self._sample_or_fault(request) for request in requests]

    def _sample_or_fault(self, request: Request) -> Sample | DataError:
        row = request.item
        data = read_as_planned(self.folder / str(row["path"]), str(row["sha256"]))
        try:
            foreground, alpha = decode(data)
        except DataError as fault:
            return fault
        foreground, alpha = framed(foreground, alpha, self.size, MARGIN)
        across, down = default_rng([int(row["seed"]), 1]).uniform(-0.7, 0.7, 2)
        foreground, alpha = moved_within(foreground, alpha, float(across), float(down), MARGIN / 2)
        cutout = Drawn(foreground, alpha, np.zeros_like(alpha))
        shot = scene(cutout, row["screen"], row["hue"], int(row["seed"]))
        origin = Origin(
            kind="composited",
            source=self.source,
            item=str(row["path"]),
            licence=str(row["licence"]),
            attribution=str(row["attribution"]),
        )
        return _sample(request, shot, str(row["caption"]), origin)


def _sample(request: Request, shot: Scene, name: str, origin: Origin) -> Sample:
    row = request.item
    told = replace(
        origin,
        class_name=_without_article(name),
        caption=f"{name} before a {row['hue']} screen",
        prompt=in_words(_facts(row, shot)),
        soft_alpha=bool(((shot.alpha > 0) & (shot.alpha < 255)).any()),
        key_rgb=shot.key,
    )
    return Sample(
        request=request,
        origin=told,
        rgb=shot.picture,
        alpha=shot.alpha,
        foreground=shot.foreground,
        plate=_nearest_polynomial(shot.plate),
        layers={PLATE: shot.plate},
    )


def _facts(row: Mapping[str, Any], shot: Scene) -> dict[str, str]:
    """A mirror shows colours that are not its own, and a VAE changes colours."""
    ambiguous = row["kind"] in MIRRORING or shot.told.get(PAINTER) == VAE
    named = {name: str(row[name]) for name in ("kind", "screen", "hue", "group", "number")}
    return named | {"foreground": AMBIGUOUS if ambiguous else EXACT} | shot.told


def _without_article(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if first in ("a", "an") else name


def _nearest_polynomial(plate: Picture) -> PlateCoefficients:
    """The plate as far as the JSON can hold it; all of it is a member of the sample."""
    basis = plate_basis(*plate.shape[:2]).reshape(-1, 6).astype(np.float64)
    terms = np.linalg.solve(basis.T @ basis, basis.T @ plate.reshape(-1, 3).astype(np.float64))
    return tuple(tuple(float(term) for term in channel) for channel in terms.T)
