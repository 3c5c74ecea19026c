"""Smooth random fields: of light, of folds, of patches."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def coordinates(side: int) -> tuple[Floats, Floats]:
    """(side, side) each: x and y of pixel centres, −1 to 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def slope(side: int, strength: float, random: Generator) -> Floats:
    """(side, side) a polynomial of 2nd order about 0, at most about `strength` from it."""
    x, y = coordinates(side)
    terms = np.stack([x, y, x * x - 1 / 3, x * y, y * y - 1 / 3])
    weights = random.normal(0, [0.6, 0.6, 0.4, 0.3, 0.4]).astype(np.float32)
    return np.asarray(np.clip(strength * np.tensordot(weights, terms, 1), -strength, strength), np.float32)


def blotches(side: int, size: float, random: Generator) -> Floats:
    """(side, side) noise of mean 0 and σ 1, smooth over about `size` of the side."""
    cells = max(2, round(1 / size))
    coarse = random.normal(0, 1, (cells + 3, cells + 3)).astype(np.float32)
    fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray((fine - fine.mean()) / max(float(fine.std()), 1e-3), np.float32)


def lines(side: int, random: Generator) -> Floats:
    """(side, side) 0..1: a few folds, each a bent ridge from one side of the picture to another."""
    x, y = coordinates(side)
    x, y = (axis + 0.1 * blotches(side, 0.4, random) for axis in (x, y))
    ridges = np.zeros((side, side), np.float32)
    for _ in range(int(random.integers(1, 6))):
        angle = random.uniform(0, np.pi)
        away = np.cos(angle) * x + np.sin(angle) * y - random.uniform(-1, 1)
        ridges = np.maximum(ridges, np.exp(-np.square(away / random.uniform(0.01, 0.06))))
    return ridges


def stripes(side: int, random: Generator) -> NDArray[np.bool_]:
    """(side, side) a pattern of bent stripes, two to twelve of them across the picture."""
    x, y = coordinates(side)
    angle, count, share = random.uniform(0, np.pi), random.uniform(2, 12), random.uniform(0.2, 0.8)
    bend = random.uniform(0, 0.15) * blotches(side, 0.4, random)
    phase = count / 2 * (np.cos(angle) * x + np.sin(angle) * y + bend) + random.uniform(0, 1)
    return np.asarray(phase % 1 < share)
