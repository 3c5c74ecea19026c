"""Make docs/keyer.png: real green-screen pictures and clips, keyed unattended, over grey, white, black and a photo.

python benchmarks/keyer_sheet.py [--output docs/keyer.png]
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from material import DATA
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.sources.clips.colour import colours_of, to_rgb

FOLDER = DATA / "greenscreen"
PHOTOGRAPH = DATA / "backgrounds/kodak24/13.png"
CLIPS = (("aframe/example.mp4", (0, 60, 90)), ("mdn/video.mp4", (0, 540, 900)))  # and the frames that are shown
LOOKED_AT = 12  # frames that screen and plate are found from
TILE = (312, 176)  # pixels of one picture on the sheet
GAP = 4
Floats = NDArray[np.float32]


def main() -> int:
    """Key everything and lay it out; a row of pictures that are refused says why on the terminal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[1] / "docs/keyer.png")
    arguments = parser.parse_args()
    if not FOLDER.is_dir():
        print(f"no material at {FOLDER}: set FACTORY_DATA to a folder with the test pictures; nothing made")
        return 0
    cv2.setNumThreads(1)
    rows = [laid_out(tiles) for tiles in keyed()]
    sheet = np.concatenate(rows)[..., ::-1]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.output), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{arguments.output}: {len(rows)} rows, {arguments.output.stat().st_size / 1e6:.2f} MB")
    return 0


def keyed() -> Iterator[list[Floats]]:
    """The tiles of each row: original, then over grey, white, black and the photograph."""
    for file in sorted([*FOLDER.glob("xintong/fg*.jpg"), *FOLDER.glob("plates_ikomia/*.png")]):
        picture = as_unit(np.asarray(cv2.imread(str(file)), np.uint8)[..., ::-1])
        yield from shown_over([picture], [0], file.name)
    for name, shown in CLIPS:
        frames = read(FOLDER / name)
        step = max(1, len(frames) // LOOKED_AT)
        there = [min(i, len(frames) - 1) for i in shown]
        yield from shown_over(frames, there, name, looked_at=frames[::step], halved=True)


def shown_over(
    frames: Sequence[Floats],
    chosen: Sequence[int],
    name: str,
    looked_at: Sequence[Floats] | None = None,
    *,
    halved: bool = False,
) -> Iterator[list[Floats]]:
    """A row for each chosen frame, or none and a sentence where there is no screen."""
    try:
        screen = find_screen(looked_at or frames)
    except DataError as error:
        print(f"{name} refused: {error}")
        return
    plate = clean_plate(looked_at or frames, screen)
    photograph = as_unit(np.asarray(cv2.imread(str(PHOTOGRAPH)), np.uint8)[..., ::-1])
    for i in chosen:
        picture = frames[i]
        height, width = picture.shape[:2]
        behind = plate_at(plate, height, width)
        alpha, foreground, _ = key_frame(picture, behind, screen, KeyerSettings(), halved=halved)
        grounds = [np.full(3, level, np.float32) for level in (0.5, 1, 0)]
        backgrounds = [*grounds, cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)]
        yield [picture, *(composite(foreground, alpha, np.asarray(ground)) for ground in backgrounds)]


def read(file: Path) -> list[Floats]:
    """All frames of a clip."""
    with av.open(str(file)) as container:
        return [to_rgb(frame, colours_of(frame)) for frame in container.decode(video=0)]


def laid_out(tiles: Sequence[Floats]) -> NDArray[np.uint8]:
    """One row of the sheet, each tile fitted into its place."""
    row = np.full((TILE[1] + GAP, (TILE[0] + GAP) * len(tiles), 3), 40, np.uint8)
    for i, tile in enumerate(tiles):
        scale = min(TILE[0] / tile.shape[1], TILE[1] / tile.shape[0])
        small = as_levels(np.asarray(cv2.resize(tile, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)))
        top, left = (TILE[1] - small.shape[0]) // 2, i * (TILE[0] + GAP) + (TILE[0] - small.shape[1]) // 2
        row[top : top + small.shape[0], left : left + small.shape[1]] = small
    return row


if __name__ == "__main__":
    sys.exit(main())
