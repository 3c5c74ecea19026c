"""The pictures of a training over time: the same captions and the same noise, thumbnails side by side."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from factory.sample import Picture
from factory.training.grids import FOLDER, Grid, drawn, read_grid

MOST_MOMENTS = 8  # side by side, the first and the last among them
WIDTH = 80  # pixels of a thumbnail


@dataclass(frozen=True)
class Moment:
    """What was drawn at one step.  link: to the whole picture.  thumbnails: as addresses that hold their bytes."""

    step: int
    link: str
    thumbnails: tuple[str, ...]


@dataclass(frozen=True)
class Strip:
    """What one phase has drawn.  captions: one for each thumbnail of a moment, or none.  of: all its moments."""

    name: str
    captions: tuple[str, ...]
    moments: tuple[Moment, ...]
    of: int


def strips(out: Path, prompts: Sequence[str]) -> list[Strip]:
    """By phase, in order. Files that are no such pictures are passed over.

    prompts: of the settings, for pictures of earlier versions, which do not say what they were drawn of.
    """
    phases: dict[tuple[int, str], list[tuple[int, Path]]] = {}
    for file, number, name, step in drawn(out):
        phases.setdefault((number, name), []).append((step, file))
    found = (_strip(name, files, prompts) for (_, name), files in phases.items())
    return [one for one in found if one is not None]


def _strip(name: str, files: Sequence[tuple[int, Path]], prompts: Sequence[str]) -> Strip | None:
    """Of the last one's captions: what was drawn of others does not show what was learned since."""
    last = next((grid for _, file in reversed(files) if (grid := read_grid(file))), None)
    if last is None:
        return None
    captions = last.captions or (tuple(prompts) if len(prompts) == len(last.columns) else ())
    return Strip(name=name, captions=captions, moments=tuple(_moments(spread(files), last)), of=len(files))


def _moments(files: Sequence[tuple[int, Path]], like: Grid) -> Iterator[Moment]:
    for step, file in files:
        grid = read_grid(file)
        if grid and grid.captions == like.captions and len(grid.columns) == len(like.columns):
            yield Moment(step, f"{FOLDER}/{quote(file.name)}", tuple(_thumbnail(one) for one in grid.columns))


def spread(files: Sequence[tuple[int, Path]]) -> Sequence[tuple[int, Path]]:
    """At most MOST_MOMENTS, evenly over the steps there are."""
    chosen = np.linspace(0, len(files) - 1, min(MOST_MOMENTS, len(files))).round().astype(int)
    return [files[index] for index in chosen]


def _thumbnail(pixels: Picture) -> str:
    """A column as a data address."""
    height = max(1, round(pixels.shape[0] * WIDTH / pixels.shape[1]))
    small = cv2.resize(pixels, (WIDTH, height), interpolation=cv2.INTER_AREA)
    webp = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 85])[1]
    return f"data:image/webp;base64,{b64encode(webp.tobytes()).decode()}"
