"""What cut-outs are shown on: plain grey, a checkerboard, drawn gradients, and pictures of the user's.

A fringe of the old screen shows on some grounds and not on others, so one is not enough to judge a matte by.
"""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from factory.errors import DataError
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, decode_picture
from factory.review.thumbnails import EMPTY_LEVEL, checkerboard
from factory.sample import Picture

OWN = 24  # pictures of the user's that are read, the first by name


def grey(side: int) -> Picture:
    """(side, side, 3) of one middle grey."""
    return np.full((side, side, 3), EMPTY_LEVEL, np.uint8)


def checkered(side: int) -> Picture:
    """(side, side, 3)."""
    return checkerboard(side, side)


def gradient(side: int, seed: int) -> Picture:
    """Colours that run into each other from corner to corner, others for each seed. (side, side, 3)"""
    corners = np.random.default_rng(seed).integers(0, 256, (2, 2, 3), np.uint8)
    twice = cv2.resize(corners, (2 * side, 2 * side), interpolation=cv2.INTER_LINEAR)  # flat beyond the pixels' middles
    return np.asarray(twice[side // 2 :, side // 2 :][:side, :side], np.uint8)


def own(folder: Path, side: int) -> tuple[list[Picture], list[str]]:
    """The user's pictures, cut to squares (side, side, 3), and the names of those that cannot be read."""
    pictures, unreadable = [], []
    for path in islice(sorted(files_below(folder, SUFFIXES)), OWN):
        try:
            pictures.append(_square(decode_picture((folder / path).read_bytes()), side))
        except (DataError, OSError):
            unreadable.append(path)
    return pictures, unreadable


def _square(picture: Picture, side: int) -> Picture:
    """The middle of a picture."""
    height, width = picture.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    middle = picture[top : top + short, left : left + short]
    return np.asarray(cv2.resize(middle, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
