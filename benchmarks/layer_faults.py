"""What layer diffusion does to mattes: synthetic faults laid over true ones, drawn from a seed.

The rim of such a matte is fine, and "regions of absolute foreground or background" are not: there are blotches of
fractional α inside the object, haze and ghosts outside, pinholes, and values beside 0 and 255 that the decoder meant to
be them. Their sizes are shares of the picture's shorter side, and any of them may touch the rim. They were fixed before
the refiner that they measure was tuned.
"""

import hashlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit
from factory.sample import Matte

Floats = NDArray[np.float32]
Fault = Callable[[Floats, Generator], Floats]


def faulty(matte: Matte, name: str, fault: str) -> Matte:
    """The true matte of a scene with one kind of fault, or with all of them ("all")."""
    random = default_rng(list(hashlib.sha256(f"{name} {fault}".encode()).digest()[:8]))
    alpha = as_unit(matte)
    for own in FAULTS.values() if fault == "all" else (FAULTS[fault],):
        alpha = own(alpha, random)
    return as_levels(alpha)


def blotches(alpha: Floats, random: Generator) -> Floats:
    """Three to eight clouds of too little α, anywhere in the object."""
    for _ in range(random.integers(3, 9)):
        spot = _spot(alpha == 1, random.uniform(0.01, 0.06) * min(alpha.shape), random)
        alpha = alpha * (1 - random.uniform(0.05, 0.7) * spot)
    return alpha


def pinholes(alpha: Floats, random: Generator) -> Floats:
    """Five to forty specks, some of them down to 0."""
    for _ in range(random.integers(5, 41)):
        spot = _spot(alpha == 1, max(0.7, random.uniform(0.001, 0.005) * min(alpha.shape)), random)
        alpha = alpha * (1 - random.uniform(0.4, 1) * spot)
    return alpha


def haze(alpha: Floats, random: Generator) -> Floats:
    """A thin veil over a tenth to four tenths of the picture, behind the object."""
    cloud = _clouds(alpha.shape, random.uniform(0.15, 0.4) * min(alpha.shape), random)
    least = np.quantile(cloud, 1 - random.uniform(0.1, 0.4))
    veil = np.clip((cloud - least) / max(float(cloud.max() - least), 1e-6), 0, 1)
    return np.asarray(alpha + (1 - alpha) * random.uniform(0.03, 0.25) * veil, np.float32)


def ghosts(alpha: Floats, random: Generator) -> Floats:
    """One to three translucent blobs in the background."""
    for _ in range(random.integers(1, 4)):
        spot = _spot(alpha == 0, random.uniform(0.015, 0.06) * min(alpha.shape), random)
        alpha = alpha + (1 - alpha) * random.uniform(0.2, 0.95) * spot
    return alpha


def decode_noise(alpha: Floats, random: Generator) -> Floats:
    """Levels that should be 0 or 255 and lie some beside it, as a decoder's output does once it is rounded."""
    off = np.abs(random.normal(0, random.uniform(0.8, 2.0) / 255, alpha.shape)).astype(np.float32)
    return np.where(alpha == 0, off, np.where(alpha == 1, 1 - off, alpha))


FAULTS: dict[str, Fault] = {  # in the order in which they are laid over one another
    "blotches": blotches,
    "pinholes": pinholes,
    "haze": haze,
    "ghosts": ghosts,
    "decode noise": decode_noise,
}


def _spot(where: NDArray[np.bool_], radius: float, random: Generator) -> Floats:
    """A soft blob of uneven outline and strength, at most 1, about one of these places; nothing if there is none."""
    places = np.flatnonzero(where)
    if not places.size:
        return np.zeros(where.shape, np.float32)
    row, column = divmod(int(random.choice(places)), where.shape[1])
    longer = random.uniform(1, 2)
    turn = random.uniform(0, np.pi)
    y, x = np.mgrid[: where.shape[0], : where.shape[1]].astype(np.float32)
    along = (x - column) * np.cos(turn) + (y - row) * np.sin(turn)
    across = (y - row) * np.cos(turn) - (x - column) * np.sin(turn)
    distance = np.hypot(along / longer, across) / radius
    cloud = _clouds(where.shape, max(2.0, radius), random)
    soft = random.uniform(0.15, 0.6)
    shape = np.clip((1 - distance + 0.6 * (cloud - 0.5)) / soft, 0, 1)
    return np.asarray(shape * (0.75 + 0.25 * cloud), np.float32)


def _clouds(shape: tuple[int, ...], cell: float, random: Generator) -> Floats:
    """Smooth noise in 0..1 whose features are about this many pixels wide."""
    rows, columns = (max(2, round(side / cell) + 1) for side in shape[:2])
    grid = random.random((rows, columns)).astype(np.float32)
    return np.clip(cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), 0, 1).astype(np.float32)
