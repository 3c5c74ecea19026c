"""Our loader against a plain one that reads folders of PNGs and composites with OpenCV: samples per second.

Both yield the same five pictures by IndexNet's recipe (squares of 1, 1.5 or 2 crops about an unknown pixel, brought to
the crop; mirrored; bands of a random Euclidean width; no second object), from the same mattes and the same backgrounds,
with as many workers of one thread each. Passes alternate. Beside the seconds stands the processor's time a sample,
which a busy machine changes less, and how much the memory of a worker grows from the first half of a long run to its
second. The cache is filled before its passes.

    python benchmarks/matting_loader.py [--backgrounds FOLDER] [--samples 128] [--workers 2] [--passes 5] [--long 4000]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from figures import exit_code, shown, within
from material import DATA
from torch.utils.data import DataLoader, Dataset, Sampler

import factory
from factory.matting import EpochOrder, LoaderSettings, MattingData, SetEntry

PLAIN_MUST, CACHED_MUST = 1.2, 2.0
GROWS_BY = 32  # MB in a worker, at most
SIDE, CROP, BATCH = 512, 320, 16
RECIPE = """
job: build-green100k
size: {side}
shard_size: 64
sources: [{{type: procedural, n: {samples}, validation: 0}}]
gates: {{duplicate_distance: -1}}
"""


class Plain(Dataset[dict[str, Any]]):
    """What people write: three PNGs, a composite of the whole picture, then crop, mirror and tensors."""

    def __init__(self, folder: Path, backgrounds: Path) -> None:
        self.foregrounds = sorted((folder / "fg").iterdir())
        self.alphas = sorted((folder / "alpha").iterdir())
        self.backgrounds = sorted(backgrounds.glob("*.png"))

    def __len__(self) -> int:
        return len(self.foregrounds)

    def __getitem__(self, index: int) -> dict[str, Any]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng()
        foreground = cv2.cvtColor(cv2.imread(str(self.foregrounds[index])), cv2.COLOR_BGR2RGB)
        alpha = cv2.imread(str(self.alphas[index]), cv2.IMREAD_GRAYSCALE)
        background = cv2.imread(str(self.backgrounds[rng.integers(len(self.backgrounds))]))
        height, width = alpha.shape
        background = cv2.resize(cv2.cvtColor(background, cv2.COLOR_BGR2RGB), (width, height))
        trimap = trimap_of(alpha, rng.uniform(1, 19))
        fg, bg, a = (layer.astype(np.float32) / 255 for layer in (foreground, background, alpha))
        a3 = cv2.merge([a, a, a])
        image = cv2.add(cv2.multiply(a3, fg), cv2.multiply(1 - a3, bg))
        side = min(int(rng.choice([1, 1.5, 2]) * CROP), height, width)
        ys, xs = np.nonzero(trimap == 128)
        pick = rng.integers(len(ys))
        y, x = (int(np.clip(at - side // 2, 0, size - side)) for at, size in ((ys[pick], height), (xs[pick], width)))
        mirrored = rng.random() < 0.5
        item = {}
        for name, layer in (("image", image), ("trimap", trimap), ("alpha", a), ("foreground", fg), ("background", bg)):
            way = cv2.INTER_NEAREST if name == "trimap" else cv2.INTER_AREA
            part = cv2.resize(layer[y : y + side, x : x + side], (CROP, CROP), interpolation=way)
            part = part[:, ::-1] if mirrored else part
            part = part.transpose(2, 0, 1) if part.ndim == 3 else part[None]
            item[name] = torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))
        item["trimap"] /= 255
        return item


def trimap_of(alpha: np.ndarray, width: float) -> np.ndarray:
    """0, 128 or 255 at every pixel."""
    solid, empty = (
        cv2.distanceTransform((alpha == level).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for level in (255, 0)
    )
    trimap = np.full(alpha.shape, 128, np.uint8)
    trimap[solid > width] = 255
    trimap[empty > width] = 0
    return trimap


def main() -> int:
    """Race, then run long."""
    parser = argparse.ArgumentParser(description="our matting loader against a plain one")
    parser.add_argument("--backgrounds", type=Path, default=DATA / "backgrounds/kodak24", help="a folder of PNGs")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--long", type=int, default=4000, help="samples of the long run")
    parser.add_argument("--set", type=Path, help="a set that is there; without it drawn objects are made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        there = Path(temporary)
        made = arguments.set or make(there, arguments.samples)
        folder = laid_out(made, there / "plain")
        common = {"sets": (SetEntry(str(made)),), "backgrounds": str(arguments.backgrounds), "crop": CROP}
        ours = MattingData(LoaderSettings(**common))
        cached = MattingData(LoaderSettings(**common, cache=str(there / "cache")))
        plain = Plain(folder, arguments.backgrounds)
        loaders = {
            "plain": lambda number: loader(plain, arguments.workers, range(len(plain))),
            "ours": lambda number: loader(ours, arguments.workers, one_epoch(ours, number)),
            "cached": lambda number: loader(cached, arguments.workers, one_epoch(cached, number)),
        }
        seconds, work = race(loaders, arguments.passes)
        growth = {name: grown(data, arguments) for name, data in (("ours", ours), ("cached", cached))}
    reached = []
    for name, must in (("ours", PLAIN_MUST), ("cached", CACHED_MUST)):
        rates = {who: len(plain) / statistics.median(seconds[who]) for who in (name, "plain")}
        costs = {who: 1000 * statistics.median(work[who]) / len(plain) for who in (name, "plain")}
        what = f"matting loader, {name}, {arguments.workers} workers"
        ratio = rates[name] / rates["plain"]
        reached.append(shown(what, f"{rates[name]:.1f} samples/s", f"plain {rates['plain']:.1f}", ratio, must))
        print(f"  of the processor: {costs[name]:.2f} ms a sample, plain {costs['plain']:.2f} ms")
        reached.append(within(f"{what}, a worker's memory grows", growth[name], GROWS_BY, "MB"))
    return exit_code(*reached)


def make(there: Path, samples: int) -> Path:
    """Drawn objects on green, by the program's own command."""
    recipe = there / "recipe.yaml"
    recipe.write_text(RECIPE.format(side=SIDE, samples=samples))
    command = ["build-green100k", str(recipe), "--out", str(there / "set"), "--executor", "local"]
    subprocess.run([sys.executable, "-m", "factory", *command], check=True, stdout=subprocess.DEVNULL)
    return there / "set"


def laid_out(made: Path, folder: Path) -> Path:
    """The set's own encoded pictures as files: both decode the same bytes."""
    samples = factory.open(made)
    for position in range(len(samples)):
        key, bodies = samples.encoded(position, ("alpha.png", "fg.png"))
        for name, body in bodies.items():
            path = folder / name.removesuffix(".png") / f"{key}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
    return folder


def one_epoch(data: MattingData, number: int) -> EpochOrder:
    return EpochOrder(data, start=number * len(data), epochs=number + 1)


def loader(data: Dataset[Any], workers: int, order: Iterable[Any] | Sampler[Any]) -> DataLoader[Any]:
    return DataLoader(data, BATCH, sampler=order, num_workers=workers)


def race(loaders: dict[str, Callable[[int], DataLoader[Any]]], passes: int) -> list[dict[str, list[float]]]:
    """Of each loader and pass, in turn: seconds from the first batch on, and processor seconds of its workers.

    The first pass warms up, fills the cache and is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    work: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(passes + 1):
        for name, open_loader in loaders.items():
            before, started = used_by_children(), time.perf_counter()
            for _ in open_loader(number):
                pass
            if number:
                seconds[name].append(time.perf_counter() - started)
                work[name].append(used_by_children() - before)
    return [seconds, work]


def used_by_children() -> float:
    """Processor seconds of all workers that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Watched(Dataset[int]):
    """An item is only the memory, in kB, that its worker holds after having made it."""

    def __init__(self, data: MattingData) -> None:
        self.data = data

    def __getitem__(self, at: tuple[int, int]) -> int:
        self.data[at]
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") // 1024


def grown(data: MattingData, arguments: argparse.Namespace) -> float:
    """MB by which the largest memory of the second half of a long run exceeds that of its first half."""
    order = EpochOrder(data, epochs=max(1, arguments.long // len(data)))
    held = [int(kilobytes) for batch in loader(Watched(data), arguments.workers, order) for kilobytes in batch]
    half = len(held) // 2
    return (max(held[half:]) - max(held[:half])) / 1024


if __name__ == "__main__":
    sys.exit(main())
