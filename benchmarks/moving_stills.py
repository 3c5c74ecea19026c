"""Clips made of stills, with the exact truth of each frame, and masks of them as a segmentation network leaves them.

Foreground and background each move along an eased affine path, as in Robust Video Matting (Lin et al., WACV 2022).
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.estimation import estimated_foreground
from factory.pictures.matte import decode_levels
from factory.pictures.picture import decode_layers, decode_picture
from factory.sample import Matte, Picture

Floats = NDArray[np.float32]

HELD_OUT = 0.1  # share of the cut-outs that no network may learn from
NOISE = 1.5 / 255  # of the camera
STRIDE = 4  # a segmentation network's output is so many times smaller


class Still(NamedTuple):
    """A cut-out. foreground: (H, W, 3) straight, alpha: (H, W), in 0..1."""

    name: str
    foreground: Floats
    alpha: Floats


class Film(NamedTuple):
    """A clip and its truth."""

    name: str
    pictures: list[Picture]
    alphas: list[Matte]


def is_held_out(name: str) -> bool:
    """By the object's name, so that other views of it go with it."""
    share = int.from_bytes(hashlib.sha256(name.partition("_S")[0].encode()).digest()[:8], "big") / 2**64
    return share < HELD_OUT


def cut_outs(folder: Path) -> list[Path]:
    """Held-out files with alpha below a folder, in an order that says nothing of their names."""
    files = [path for path in folder.rglob("*.webp") if is_held_out(path.stem)]
    return sorted(files, key=lambda path: hashlib.sha256(path.stem.encode()).digest())


def still_of(path: Path) -> Still | None:
    """A cut-out in a file; None where it is nearly empty or opaque."""
    colour, alpha = decode_layers(path.read_bytes())
    if alpha is None or not 0.05 < as_unit(alpha).mean() < 0.85:
        return None
    return Still(path.stem, as_unit(colour), as_unit(alpha))


def photographs(folder: Path, longest: int) -> Iterator[Still]:
    """Those of alphamatting.com, with their measured alpha."""
    for path in sorted((folder / "image").iterdir()):
        picture = decode_picture(path.read_bytes())
        alpha = decode_levels((folder / "alpha" / path.name).read_bytes())
        foreground, shrunk = estimated_foreground(picture, alpha, longest)
        yield Still(path.stem, as_unit(foreground), as_unit(shrunk))


def film_of(still: Still, background: Picture, side: int, frames: int, seed: int) -> Film:
    """So many frames of side² pixels."""
    rng = default_rng(seed)
    height, width = still.alpha.shape
    scale = 0.8 * side / max(height, width)
    begin, end = (_pose(rng, (width, height), side, scale, shift=0.12) for _ in range(2))
    behind = as_unit(background)
    cover = 1.35 * side / min(behind.shape[:2])
    there = [_pose(rng, (behind.shape[1], behind.shape[0]), side, cover, shift=0.05) for _ in range(2)]
    times = _eased(np.linspace(0, rng.uniform(0.15, 0.6), frames), float(rng.uniform(1, 2)))
    multiplied = still.foreground * still.alpha[..., None]
    pictures, alphas = [], []
    for time in times:
        pose = (1 - time) * begin + time * end
        alpha = np.clip(_moved(still.alpha, pose, side), 0, 1)
        alpha = as_unit(as_levels(alpha))  # the truth is what is stored
        straight = np.clip(_moved(multiplied, pose, side) / np.maximum(alpha, 1 / 255)[..., None], 0, 1)
        plate = _moved(behind, (1 - time) * there[0] + time * there[1], side, cv2.BORDER_REFLECT_101)
        shown = composite(straight, alpha, np.clip(plate, 0, 1)) + rng.normal(0, NOISE, (side, side, 3))
        pictures.append(as_levels(shown))
        alphas.append(as_levels(alpha))
    return Film(still.name, pictures, alphas)


def _pose(rng: Generator, size: tuple[int, int], side: int, scale: float, shift: float) -> NDArray[np.float64]:
    """(2, 3): about the middle, turned up to 10°, larger or smaller by up to 15 %, sheared by up to 5 %."""
    turn, grow = np.radians(rng.uniform(-10, 10)), scale * rng.uniform(0.85, 1.15)
    rotation = grow * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation @ np.array([[1, rng.uniform(-0.05, 0.05)], [0, 1]])
    middle = side * (0.5 + rng.uniform(-shift, shift, 2))
    return np.column_stack([linear, middle - linear @ (np.array(size) / 2)])


def _eased(times: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    return np.asarray(times**power)


def _moved(picture: Floats, pose: NDArray[np.float64], side: int, border: int = cv2.BORDER_CONSTANT) -> Floats:
    moved = cv2.warpAffine(picture, pose, (side, side), flags=cv2.INTER_AREA, borderMode=border)
    return np.asarray(moved, np.float32)


def mask_of(alpha: Matte, rng: Generator) -> Floats:
    """(H, W) of 0 and 1: the truth above one half, coarse, its border wavering by two pixels, grown or eaten."""
    height, width = alpha.shape
    small = (width // STRIDE, height // STRIDE)
    sway = [cv2.resize(rng.normal(0, 2, (small[1] // 4, small[0] // 4)), (width, height)) for _ in range(2)]
    offset = rng.uniform(-1.5, 1.5, 2)
    down, across = np.mgrid[:height, :width].astype(np.float32)
    wavering = cv2.remap(
        as_unit(alpha),
        (across + sway[0] + offset[0]).astype(np.float32),
        (down + sway[1] + offset[1]).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    coarse = cv2.resize(cv2.resize(wavering, small, interpolation=cv2.INTER_AREA), (width, height))
    mask = (coarse > 0.5).astype(np.uint8)
    radius = int(rng.integers(0, 3))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    mask = cv2.erode(mask, kernel) if rng.random() < 0.5 else cv2.dilate(mask, kernel)
    return mask.astype(np.float32)


def spoilt(mask: Floats, rng: Generator) -> Floats:
    """The mask as it is in a bad frame: lost, or with a piece of its border missing or too much."""
    what = rng.random()
    if what < 0.06:
        return np.zeros_like(mask)
    border = np.argwhere(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0)
    if what > 0.4 or not len(border):
        return mask
    y, x = border[rng.integers(len(border))]
    radius = int(rng.uniform(0.04, 0.1) * mask.shape[0])
    return np.asarray(cv2.circle(mask.copy(), (int(x), int(y)), radius, float(rng.random() < 0.3), -1), np.float32)
