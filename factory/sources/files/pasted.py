"""Cut-outs resized and pasted as a few lines of OpenCV do it: what sets made with care are compared with.

`cv2.resize` sees colour and alpha apart and as they are stored, so that what lies under alpha 0 bleeds into the edge;
nothing is averaged, padded or re-estimated; compositing cuts off what is less than a level. Files are read as
`rgba_folder` reads them: what is compared is not who opens more formats.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.random import default_rng
from pydantic import Field

from factory.engine.input_files import read_as_planned
from factory.equation import constant_plate
from factory.errors import DataError, UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.pictures.cutout import decode
from factory.sample import Matte, Origin, Picture, Request, Sample
from factory.settings import settings
from factory.sources.entry import FiniteEntry, PlannedSource, Planning, SourceKind
from factory.sources.files.planning import plan_pictures
from factory.sources.files.rgba_folder import KINDS, list_items, look_at_cutouts

SIZES = (0.5, 0.95)  # longer side of a pasted picture, as a share of the frame


class PastedEntry(FiniteEntry):
    """Pictures with an alpha channel, pasted without care."""

    type: Literal["pasted"] = "pasted"
    include: Annotated[tuple[str, ...], Field(min_length=1)] = ("**/*",)  # glob patterns below the folder
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastedSettings:
    """The square, its screen, and the name the folder goes by. Part of the plan."""

    size: int
    key: KeyName
    source: str


def plan(planning: Planning, name: str, entry: PastedEntry) -> None:
    """Look at each picture and freeze what is to know of it."""
    rows = list_items(
        entry.path,
        lambda paths: look_at_cutouts(planning.surveyor, entry.path, paths),
        include=entry.include,
        licence=entry.licence,
        attribution=entry.attribution,
    )
    if not rows:
        raise UsageError(f"{entry.path} holds no picture ({KINDS}) that matches {', '.join(entry.include)}.")
    title, _ = entry.known_as()
    key = "green" if planning.key == "nearest" else planning.key  # no screen is near to a cut-out
    own = PastedSettings(size=planning.size, key=key, source=title)
    source = {"type": entry.type, "settings": asdict(own)}
    plan_pictures(planning, name, entry, source, [row | {"source": title} for row in rows], title=title)


def open_source(planned: PlannedSource) -> "Pasted":
    """The source in a worker."""
    return Pasted(planned.folder, settings(PastedSettings, planned.settings["settings"]))


KIND = SourceKind(PastedEntry, plan, {"pasted": open_source})


@dataclass(frozen=True, slots=True)
class Pasted:
    """A finite source: the request's `item` is a row of `rgba_folder.list_items`."""

    folder: Path
    settings: PastedSettings

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        """One pasted sample per request, or the fault of its picture. A changed file raises InputChanged."""
        return [self._sample_or_fault(request) for request in requests]

    def _sample_or_fault(self, request: Request) -> Sample | DataError:
        row = request.item
        data = read_as_planned(self.folder / str(row["path"]), str(row["sha256"]))
        try:
            colours, matte = decode(data, premultiplied=False)
        except DataError as fault:
            return fault
        screen = KEY_COLOURS[self.settings.key]
        foreground, alpha = pasted(colours, matte, self.settings.size, request.seed)
        share = alpha[..., None].astype(np.uint16)
        behind = np.array(screen, np.uint16) * (255 - share)
        origin = Origin(
            kind="composited",
            class_name=str(row["class_name"]),
            caption=str(row["caption"]),
            source=self.settings.source,
            item=str(row["path"]),
            licence=str(row["licence"]),
            attribution=str(row["attribution"]),
            soft_alpha=bool(((alpha > 0) & (alpha < 255)).any()),
            key_rgb=screen,
        )
        return Sample(
            request=request,
            origin=origin,
            rgb=((foreground * share + behind) // 255).astype(np.uint8),
            alpha=alpha,
            foreground=foreground,
            plate=constant_plate(screen),
        )


def pasted(colours: Picture, matte: Matte, size: int, seed: int) -> tuple[Picture, Matte]:
    """Colour and alpha somewhere in a square, at a size between SIZES of it, mirrored or not: drawn from the seed."""
    random = default_rng(seed)
    height, width = matte.shape
    scale = random.uniform(*SIZES) * size / max(height, width)
    to = max(1, round(width * scale)), max(1, round(height * scale))
    small, thin = cv2.resize(colours, to), cv2.resize(matte, to)
    if random.random() < 0.5:
        small, thin = small[:, ::-1], thin[:, ::-1]
    x, y = int(random.integers(0, size - to[0] + 1)), int(random.integers(0, size - to[1] + 1))
    foreground, alpha = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    foreground[y : y + to[1], x : x + to[0]] = small
    alpha[y : y + to[1], x : x + to[0]] = thin
    return foreground, alpha
