"""GSG by our K-Means against `sklearn.cluster.KMeans(n_clusters=5, n_init=10)` on all pixels, in one run.

    python benchmarks/gsg.py [--pictures 50] [--side 512]

Pictures are varied: RGBA pictures (from the folder of test pictures, if it is there) and procedural objects, on
screens of six colours, plain, with a light gradient, with noise, and with both. Both sides run on one thread and are
measured in CPU time, so that what else the machine does is no part of the ratio. Noise, which has the most colours
that a picture can have, is measured by itself.
"""

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from figures import exit_code, shown, within
from material import DATA
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from factory.greenscreen.colours import Colour
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.gsg import GSG_DEFINITION, GSG_K, gsg
from factory.sample import Picture
from factory.sources.procedural.render import CLASSES, render

SCREENS: list[Colour] = [(0, 255, 0), (0, 177, 64), (4, 244, 4), (0, 0, 255), (255, 0, 255), (120, 255, 155)]
Floats = NDArray[np.float32]


def main() -> int:
    """Measure both on every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    ours, theirs, difference = [], [], []
    with threadpool_limits(1):
        for picture, key in pictures(arguments.pictures, arguments.side):
            seconds, mine = timed(gsg, picture, key)
            ours.append(seconds)
            seconds, reference = timed(by_sklearn, picture, key)
            theirs.append(seconds)
            difference.append(abs(mine - reference))
        noise = np.random.default_rng(0).integers(0, 256, (arguments.side, arguments.side, 3), np.uint8)
        on_noise = min(timed(gsg, noise, (0, 255, 0))[0] for _ in range(5))
    tracemalloc.start()
    gsg(noise, (0, 255, 0))
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    print(f"{len(ours)} pictures of {arguments.side} px; ours: {GSG_DEFINITION}; sklearn: K = {GSG_K}, all pixels")
    mine, other = 1e3 * float(np.mean(ours)), 1e3 * float(np.mean(theirs))
    near = float(np.mean(np.array(difference) <= 2))
    return exit_code(
        shown("GSG", f"{mine:.2f} ms a picture", f"sklearn KMeans {other:.0f} ms", other / mine, 100),
        shown("GSG, within ±2", f"{near:.0%} of the pictures", "all", near, 0.95),
        within("GSG, median difference", float(np.median(difference)), 0.5, "levels"),
        within("GSG of noise, time", on_noise / float(np.median(ours)), 3, "× the pictures' median"),
        within("GSG of noise, memory", peak, 50, "MB"),
    )


def by_sklearn(picture: Picture, key: Colour) -> float:
    """Eq. 11 as one would write it with sklearn."""
    from sklearn.cluster import KMeans

    clusters: Any = KMeans(n_clusters=GSG_K, n_init=10, random_state=0).fit(picture.reshape(-1, 3).astype(np.float32))
    largest = np.bincount(clusters.labels_, minlength=GSG_K).argmax()
    return float(np.linalg.norm(clusters.cluster_centers_[largest] - np.asarray(key)))


def timed(measure: Callable[[Picture, Colour], float], picture: Picture, key: Colour) -> tuple[float, float]:
    """CPU seconds of one call, and its result."""
    start = time.process_time()
    result = measure(picture, key)
    return time.process_time() - start, result


def pictures(number: int, side: int) -> Iterator[tuple[Picture, Colour]]:
    """Objects of varied size on screens of varied colour, light and noise, with the screen's nominal colour."""
    random = np.random.default_rng(0)
    files = [*sorted(DATA.glob("rgba_*/*.webp"))[::29], *sorted(DATA.glob("rgba_*/*/*.webp"))[::40]]
    files += [*sorted(DATA.glob("rgba_artmsra_semi/fg/*.png")), *sorted(DATA.glob("rgba_layerdiffuse/*.png"))]
    random.shuffle(files)
    photographs = (read(file, side, random) for file in files)
    drawn = (draw(i, side) for i in range(number))
    objects = [thing for pair in zip(photographs, drawn, strict=False) for thing in pair] or list(drawn)
    for i, (foreground, alpha) in enumerate(islice(cycle(objects), number)):
        key = SCREENS[i % len(SCREENS)]
        screen = np.broadcast_to(as_unit(np.array(key, np.uint8)), (side, side, 3))
        if i % 4 in (1, 3):
            screen = screen * lights(side, random)[..., None]
        picture = composite(foreground, alpha, np.asarray(screen, np.float32))
        if i % 4 >= 2:
            picture = picture + random.normal(0, random.uniform(1, 6) / 255, picture.shape).astype(np.float32)
        yield as_levels(picture), key


def lights(side: int, random: np.random.Generator) -> Floats:
    """A slow fall of light of up to about a third."""
    v, u = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    a, b = random.uniform(-1, 1, 2)
    return np.asarray(1 - random.uniform(0.03, 0.15) * (a * u + b * v + 0.5 * (u * u + v * v)), np.float32)


def draw(i: int, side: int) -> tuple[Floats, Floats]:
    """A procedural object."""
    drawn = render(CLASSES[7 * i % len(CLASSES)], i, side)
    return as_unit(drawn.foreground), as_unit(drawn.alpha)


def read(file: Path, side: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    """An RGBA picture somewhere in the frame, at 40 to 100 % of it."""
    rgba = as_unit(np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint8)[..., [2, 1, 0, 3]])
    scale = side * random.uniform(0.4, 1) / max(rgba.shape)
    rgba[..., :3] *= rgba[..., 3:]
    small = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.zeros((side, side, 4), np.float32)
    top, left = (int(random.integers(0, side - small.shape[c] + 1)) for c in (0, 1))
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    alpha = frame[..., 3]
    return np.asarray(frame[..., :3] / np.maximum(alpha, 1e-3)[..., None], np.float32), alpha


if __name__ == "__main__":
    sys.exit(main())
