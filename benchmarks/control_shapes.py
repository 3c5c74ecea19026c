"""Shapes of drawn objects to paint into, and how well painted mattes meet them: for learn_control.py."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import cv2
import numpy as np
from drawn_objects import SIZE, drawn_objects
from numpy.typing import NDArray

import factory
from factory.diffusion.control.contour import HALF, contour
from factory.diffusion.control.settings import Control
from factory.diffusion.sizes import square
from factory.errors import DataError
from factory.jobs.generate import GenerateRecipe
from factory.quality.gates import GateSettings
from factory.run.execute import execute
from factory.sample import Matte, Picture
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from factory.shards.reader import Stored

MET, WORST = 0.8, 10
ON_THE_SHEET, ENLARGED = 48, 2


def outline(matte: Matte) -> Picture:
    """What the network is shown of a matte. Raises DataError for one without a rim."""
    return contour(cv2.imencode(".png", matte)[1].tobytes(), square(SIZE))


def has_outline(matte: Matte) -> bool:
    """Whether any of it covers a half: smoke may not."""
    try:
        return bool(outline(matte).any())
    except DataError:
        return False


class Shape(NamedTuple):
    """What is to be painted, and the matte that it is to have, (64, 64) uint8."""

    caption: str
    class_name: str
    matte: Matte


def held_out(out: Path, count: int, seed: int) -> Iterator[Shape]:
    """Shapes with an outline, each with another caption."""
    seen = set[str]()
    for sample in factory.open(drawn_objects(out, 3 * count, seed)):
        caption = sample.meta["caption"]
        if len(seen) < count and caption not in seen and has_outline(sample.alpha):
            seen.add(caption)
            yield Shape(caption, sample.meta["class"], sample.alpha)


@dataclass(frozen=True)
class Painted:
    """A set of one attempt a shape.

    passing: the share of attempts that pass the gate on GSG.  samples: by slot, those that pass all gates.
    overlaps: their intersection over union with the given mattes, both from half coverage on.
    """

    passing: float
    samples: Mapping[int, Stored]
    overlaps: Mapping[int, float]


def listed(shapes: Sequence[Shape], folder: Path) -> Path:
    """A prompt list that names each caption's matte, and the mattes beside it."""
    folder.mkdir(exist_ok=True)
    rows = [["prompt", "control"]]
    for index, shape in enumerate(shapes):
        rows.append([shape.caption, f"{index:04}.png"])
        cv2.imwrite(str(folder / rows[-1][1]), shape.matte)
    with (folder / "prompts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "prompts.csv"


def painted(out: Path, prompts: Path, shapes: Sequence[Shape], controls: tuple[Control, ...]) -> Painted:
    """Each caption painted once; with controls, into its shape."""
    recipe = GenerateRecipe(
        out=out,
        prompts=str(prompts),
        template="{a} {class}",  # a caption may be a class alone
        n=len(shapes),
        controls=controls,
        max_attempts=1,
        allow_short=True,
        executor="local",
        workers=1,
    )
    execute(recipe)
    table = read_manifest(Layout(out), ["gsg_screen"])
    gsg, most = table["gsg_screen"].to_numpy(), GateSettings().gsg_max
    data = factory.open(out)
    samples = dict(zip(data.manifest["slot"].to_pylist(), data, strict=True))
    overlaps = {slot: overlap(shapes[slot].matte >= HALF, sample.alpha >= HALF) for slot, sample in samples.items()}
    return Painted(float(((gsg >= 0) & (gsg <= most)).mean()), samples, overlaps)


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / (one | other).sum())


def in_words(name: str, shapes: Sequence[Shape], made: Painted) -> str:
    """A row, with the classes whose shapes are met least."""
    of_class: dict[str, list[float]] = defaultdict(list)
    for slot, found in made.overlaps.items():
        of_class[shapes[slot].class_name].append(found)
    least = sorted((fmean(found), name) for name, found in of_class.items())[:WORST]
    share = fmean(found >= MET for found in made.overlaps.values())
    return (
        f"{name} control: {len(made.samples)} samples pass all gates, IoU at least {MET} of {share:.2f}; "
        f"least: {', '.join(f'{name} {found:.2f}' for found, name in least)}"
    )


def sheet(shapes: Sequence[Shape], without: Mapping[int, Stored], laid: Mapping[int, Stored], file: Path) -> None:
    """Outline, picture without, picture with, its alpha: four slots in a row."""
    slots = sorted(without.keys() & laid.keys())[:ON_THE_SHEET]
    cells = [
        np.hstack([outline(shapes[slot].matte), without[slot].rgb, laid[slot].rgb, np.dstack([laid[slot].alpha] * 3)])
        for slot in slots
    ]
    rows = [np.hstack(cells[start : start + 4]) for start in range(0, len(cells) // 4 * 4, 4)]
    grid = np.repeat(np.repeat(np.vstack(rows), ENLARGED, 0), ENLARGED, 1)
    cv2.imwrite(str(file), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))
