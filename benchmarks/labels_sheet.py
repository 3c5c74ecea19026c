"""Make docs/labels.png: of each kind of object the scene of a GreenBench set whose matte our keyer gets most wrong.

    factory run greenbench --set group=develop --set per_kind=4 --set plain=8 --out runs/develop
    python benchmarks/labels_sheet.py runs/develop [--every 7] [--output docs/labels.png]

Four columns, twice: the picture, the true α, ours, and where they differ (white: by a half and more). The group
*report* is refused: whoever has seen what goes wrong in it tunes to it.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

import factory
from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.sample import Matte, Picture
from factory.shards.reader import Stored
from factory.sources.greenbench.facts import facts_in

HALVED = ("h264", "phone")  # screens whose pictures were coded with chroma of half resolution
TILE, GAP, LINE = 150, 4, 18  # pixels
LOOKED_AT = ("develop", "validate")


class Seen(NamedTuple):
    """A scene and what became of it. error: MSE of α."""

    kind: str
    name: str
    screen: str
    error: float
    tiles: tuple[Picture, ...]


def main() -> int:
    """One row of tiles for two kinds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=1, help="look at every n-th scene")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[1] / "docs/labels.png")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    worst: dict[str, Seen] = {}
    for seen in looked_at(arguments.data, arguments.every):
        if seen.kind not in worst or seen.error > worst[seen.kind].error:
            worst[seen.kind] = seen
    blocks = [block(seen) for seen in sorted(worst.values(), key=lambda seen: -seen.error)]
    blocks += [np.full_like(blocks[0], 24)] * (len(blocks) % 2)
    sheet = np.vstack([np.hstack(blocks[i : i + 2]) for i in range(0, len(blocks), 2)])
    cv2.imwrite(str(arguments.output), sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    for seen in worst.values():
        print(f"{seen.kind}: {seen.name}, {seen.screen}, MSE {seen.error * 1e3:.1f}e-3")
    return 0


def looked_at(data: Path, every: int) -> Iterator[Seen]:
    """Every n-th scene of a set, keyed with a plate of our own."""
    for number, stored in enumerate(factory.open(data)):
        if number % every == 0:
            facts = facts_in(stored.meta["prompt"])
            if facts["group"] not in LOOKED_AT:
                raise SystemExit(f"{data} is of the group {facts['group']}: look at {' or '.join(LOOKED_AT)}")
            alpha = keyed(stored, halved=facts["screen"] in HALVED)
            error = float(np.mean((as_unit(alpha) - as_unit(stored.alpha)) ** 2))
            off = cv2.convertScaleAbs(cv2.absdiff(alpha, stored.alpha), alpha=2)
            layers = (stored.rgb, stored.alpha, alpha, np.asarray(off, np.uint8))
            yield Seen(facts["kind"], stored.meta["class"], facts["screen"], error, tuple(map(tile, layers)))


def keyed(stored: Stored, *, halved: bool) -> Matte:
    """Our α of a scene; empty where no screen is found in it."""
    picture = as_unit(stored.rgb)
    try:
        screen = find_screen([picture])
        plate = plate_at(clean_plate([picture], screen), *picture.shape[:2])
        return as_levels(key_frame(picture, plate, screen, KeyerSettings(), halved=halved).alpha)
    except DataError:
        return np.zeros_like(stored.alpha)


def tile(layer: NDArray[np.uint8]) -> Picture:
    """(TILE, TILE, 3), the middle of what is not square."""
    height, width = layer.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(layer[top : top + side, left : left + side], (TILE, TILE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_GRAY2RGB) if square.ndim == 2 else square, np.uint8)


def block(seen: Seen) -> Picture:
    """The tiles of one scene under a line that says what it is."""
    own = np.full((TILE + LINE + GAP, len(seen.tiles) * (TILE + GAP) + GAP, 3), 24, np.uint8)
    words = f"{seen.kind}: {seen.name}, {seen.screen}, MSE {seen.error * 1e3:.1f}e-3"
    cv2.putText(own, words, (GAP, LINE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (230, 230, 230), 1, cv2.LINE_AA)
    for number, picture in enumerate(seen.tiles):
        left = GAP + number * (TILE + GAP)
        own[LINE : LINE + TILE, left : left + TILE] = picture
    return own


if __name__ == "__main__":
    sys.exit(main())
