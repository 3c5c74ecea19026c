"""People's joints as ControlNet's openpose networks were taught with them.

The file is OpenPose's JSON: `people`, each with `pose_keypoints_2d`, x, y and confidence of COCO's 18 joints (nose,
neck; right shoulder, elbow, wrist; left ones; right hip, knee, ankle; left ones; eyes and ears, right before left).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from factory.diffusion.sizes import Size
from factory.errors import DataError
from factory.sample import Picture
from factory.shards.foreign_text import parse_json

JOINTS = 18
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)),
    *((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)),
    *((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
DIMMED = 0.6  # limbs beside their joints
PARTS = 128  # of the shorter side are a joint's radius and half a limb's width: 4 pixels at 512
CANVAS = ("canvas_width", "canvas_height")
MOST = 1e9  # pixels that nobody means


class Joint(NamedTuple):
    """In 0..1 of the square that the canvas lies in the middle of."""

    x: float
    y: float


def pose(data: bytes, size: Size) -> Picture:
    """The joints of all people as coloured dots, joined by limbs, on black. Raises DataError."""
    drawn = np.zeros((*size, 3), np.uint8)
    thick = max(1, round(min(size) / PARTS))
    for pixels in _people(data, size):
        for (first, second), colour in zip(LIMBS, COLOURS, strict=False):
            if (one := pixels[first]) is not None and (other := pixels[second]) is not None:
                _draw_limb(drawn, one, other, thick, [int(level * DIMMED) for level in colour])
        for at, colour in zip(pixels, COLOURS, strict=True):
            if at is not None:
                cv2.circle(drawn, (int(at[0]), int(at[1])), thick, colour, -1)
    return drawn


def _draw_limb(
    drawn: Picture, one: tuple[float, float], other: tuple[float, float], thick: int, colour: Sequence[int]
) -> None:
    """An ellipse between two joints."""
    across, down = one[0] - other[0], one[1] - other[1]
    middle = int((one[0] + other[0]) / 2), int((one[1] + other[1]) / 2)
    axes = int(math.hypot(across, down) / 2), thick
    angle = int(math.degrees(math.atan2(down, across)))
    cv2.fillConvexPoly(drawn, np.asarray(cv2.ellipse2Poly(middle, axes, angle, 0, 360, 1)), colour)


def _people(data: bytes, painted: Size) -> list[list[Joint | None]]:
    """In pixels of what is painted. Raises DataError."""
    try:
        told = parse_json(data)
    except ValueError as error:
        raise DataError("undecodable", "the pose is not JSON") from error
    if isinstance(told, list) and told:  # as some editors save it, a frame each
        told = told[0]
    people = told.get("people") if isinstance(told, dict) else None
    if not isinstance(people, list) or not people:
        raise DataError("empty", "the pose has no `people`: give the JSON that OpenPose writes")
    joints = [_joints(person) for person in people]
    seen = [joint for person in joints for joint in person if joint is not None]
    if not seen:
        raise DataError("empty", "the pose has nobody of whom a joint was seen")
    width, height = (_number(told.get(name)) for name in CANVAS)
    there_is_a_canvas, are_shares = min(width, height) > 0, max(map(max, seen)) <= 1
    if not there_is_a_canvas and not are_shares:
        raise DataError("pose", f"the pose is in pixels, and of what canvas is not said: write {', '.join(CANVAS)}")
    canvas = (width, height) if there_is_a_canvas else (float(painted.width), float(painted.height))
    unit = (1.0, 1.0) if are_shares else canvas
    return [[joint and _placed(joint, unit, canvas, painted) for joint in own] for own in joints]


def _placed(joint: Joint, unit: tuple[float, float], canvas: tuple[float, float], painted: Size) -> Joint:
    """From units of which the canvas has so many, to pixels, the canvas whole in the middle. Raises DataError."""
    shares = [at / whole for at, whole in zip(joint, unit, strict=True)]
    if any(not -1 <= share <= 2 for share in shares):
        raise DataError("pose", "the pose has joints far outside of its canvas")
    scale = min(painted.width / canvas[0], painted.height / canvas[1])
    across, down = ((share - 0.5) * side * scale for share, side in zip(shares, canvas, strict=True))
    return Joint(painted.width / 2 + across, painted.height / 2 + down)


def _joints(person: Any) -> list[Joint | None]:
    """As they stand in the file; None for those that were not seen."""
    numbers = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
    if not isinstance(numbers, list) or len(numbers) != 3 * JOINTS or not all(map(_is_number, numbers)):
        raise DataError("pose", f"`pose_keypoints_2d` is to be x, y and confidence of {JOINTS} joints (COCO's)")
    triples = [numbers[i : i + 3] for i in range(0, len(numbers), 3)]
    return [Joint(x, y) if confidence > 0 else None for x, y, confidence in triples]


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else 0.0


def _is_number(value: Any) -> bool:
    """Also no integer beyond what a float can be, of which JSON may have some."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST < value < MOST
