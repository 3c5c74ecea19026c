"""Pictures drawn while a training runs: a row of pictures over a row of masks, or of originals over what came back.

The file is a plain PNG to look at, and says in a text chunk which captions its columns were drawn of.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from factory.sample import Picture
from factory.shards.marking import HEADER_END, with_chunk

SAYS = b"tEXtcaptions\0"
ROWS = 2
MOST_ROWS = 16  # of squares: what is taller is no such picture
FOLDER = "pictures"  # in a training's folder
NAMED = re.compile(r"(\d+)-([a-z]+)-(\d+)\.png")  # number and name of the phase, step


@dataclass(frozen=True)
class Grid:
    """columns: pictures (2·h, w, 3) RGB.  captions: one each, or none."""

    columns: tuple[Picture, ...]
    captions: tuple[str, ...]


def write_grid(rows: Sequence[Sequence[Picture]], file: Path, captions: Sequence[str] = (), zoom_to: int = 128) -> None:
    """Rows of equal pictures (H, W, 3) RGB; small ones are enlarged pixel by pixel.  captions: of the columns."""
    zoom = max(1, zoom_to // rows[0][0].shape[0])
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    large = cv2.resize(grid, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    png = cv2.imencode(".png", cv2.cvtColor(large, cv2.COLOR_RGB2BGR))[1].tobytes()
    file.write_bytes(with_chunk(png, SAYS + json.dumps(list(captions)).encode()) if captions else png)


def drawn(out: Path) -> list[tuple[Path, int, str, int]]:
    """What a training has drawn so far, in order: file, number and name of its phase, step."""
    files = sorted((out / FOLDER).iterdir()) if (out / FOLDER).is_dir() else []
    found = [(file, named) for file in files if (named := NAMED.fullmatch(file.name)) and not file.is_symlink()]
    return sorted(
        ((file, int(named[1]), named[2], int(named[3])) for file, named in found if file.is_file()),
        key=lambda one: (one[1], one[3]),
    )


def read_grid(file: Path) -> Grid | None:
    """None for what is no such picture. Columns are as wide as their number says, or squares where it is not told."""
    pixels = read_pixels(file)
    if pixels is None:
        return None
    captions = _captions(file.read_bytes())
    height, width = pixels.shape[:2]
    count = len(captions) or width * ROWS // height
    if count < 1 or width % count or height > MOST_ROWS * (width // count):
        return None
    return Grid(tuple(np.split(pixels, count, axis=1)), captions)


def read_pixels(file: Path) -> Picture | None:
    """The whole picture, RGB; None for what is none."""
    data = np.frombuffer(file.read_bytes(), np.uint8)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except cv2.error:  # more pixels than it takes
        return None
    return None if pixels is None else pixels.astype(np.uint8)


def _captions(png: bytes) -> tuple[str, ...]:
    length = int.from_bytes(png[HEADER_END : HEADER_END + 4])
    body = png[HEADER_END + 4 : HEADER_END + 8 + length]
    if not body.startswith(SAYS):
        return ()
    try:
        said = json.loads(body.removeprefix(SAYS))
    except ValueError:
        return ()
    return tuple(str(one) for one in said) if isinstance(said, list) else ()
