"""Make docs/greenbench.png: an object of every class of GreenBench, each on another of its five screens.

    python benchmarks/greenbench_sheet.py [--output docs/greenbench.png]

The objects are of no group: whoever looks at the sheet has seen none that figures are reported on. Generated scenes
have the texture of a large model's VAE here; in the benchmark half of those on green go through the embedded one.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.sample import Picture
from factory.sources.greenbench.drawing import classes_of, drawn
from factory.sources.greenbench.planning import seed_of
from factory.sources.greenbench.registry import KINDS, ObjectClass
from factory.sources.greenbench.scenes import SCREENS, hue_of, scene

SIZE, TILE = 448, 120  # pixels of a scene, and of what is shown of it
GAP = 4


def main() -> int:
    """A row of tiles for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parents[1] / "docs/greenbench.png")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    kinds = [classes_of(kind, "report") for kind in KINDS]
    columns = max(map(len, kinds))
    sheet = np.full((len(kinds) * (TILE + GAP), columns * (TILE + GAP), 3), 40, np.uint8)
    for row, classes in enumerate(kinds):
        for column, one in enumerate(classes):
            top, left = row * (TILE + GAP) + GAP // 2, column * (TILE + GAP) + GAP // 2
            sheet[top : top + TILE, left : left + TILE] = tile(one, row + column)
    cv2.imwrite(str(arguments.output), sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{arguments.output}: {len(kinds)} rows, {arguments.output.stat().st_size / 1e6:.2f} MB")
    return 0


def tile(one: ObjectClass, number: int) -> NDArray[np.uint8]:
    """One scene, made small."""
    seed = seed_of(f"sheet:{one.name}")
    screen = SCREENS[number % len(SCREENS)]
    picture: Picture = scene(drawn(one.name, seed, SIZE), screen, hue_of(one.kind, seed), seed, emits=one.emits).picture
    return np.asarray(cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
