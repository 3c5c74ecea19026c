"""What control networks are shown: edges, lines, poses and outlines, of the files that belong to prompts."""

import io
import json
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factory.diffusion.control.kinds import KINDS
from factory.diffusion.control.pose import COLOURS, JOINTS
from factory.diffusion.given.pictures import in_the_middle
from factory.diffusion.sizes import Size, square
from factory.errors import DataError
from factory.sample import Picture

SIDE = 128
SQUARE = square(SIDE)
SIZES = st.builds(Size, st.integers(8, 96), st.integers(8, 96))


def saved(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()


def disc(side: int = 200, radius: int = 60) -> Any:
    matte = np.zeros((side, side), np.uint8)
    cv2.circle(matte, (side // 2, side // 2), radius, 255, -1)
    return matte


def person(**more: Any) -> dict[str, Any]:
    """All joints on a line down the middle."""
    numbers = [number for joint in range(JOINTS) for number in (0.5, (joint + 1) / (JOINTS + 1), 1.0)]
    return {"pose_keypoints_2d": numbers, **more}


def drawn(told: Any) -> Picture:
    return KINDS["pose"](json.dumps(told).encode(), SQUARE)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["as-is", "canny", "scribble"]), st.integers(1, 90), st.integers(1, 90), SIZES)
def test_any_picture_becomes_one_of_the_asked_size(kind: str, height: int, width: int, size: Size) -> None:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3))
    told = KINDS[kind](saved(pixels), size)
    assert told.shape == (*size, 3)
    assert told.dtype == np.uint8


def test_a_picture_of_the_right_size_is_shown_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    assert np.array_equal(KINDS["as-is"](saved(pixels), SQUARE), pixels)


@pytest.mark.parametrize("kind", ["as-is", "canny", "scribble", "contour", "pose"])
@pytest.mark.parametrize("high", [False, True])
def test_what_is_shown_lies_where_a_given_picture_would(kind: str, high: bool) -> None:
    """A disc in a wide or high picture, brought into the square by the code for pictures to begin with."""
    wide = np.zeros((100, 200, 3), np.uint8)
    cv2.circle(wide, (60, 50), 30, (255, 255, 255), -1)
    picture = np.ascontiguousarray(wide.transpose(1, 0, 2)) if high else wide
    if kind == "pose":
        ring = [(60 + 30 * np.cos(at), 50 + 30 * np.sin(at)) for at in np.linspace(0, 2 * np.pi, JOINTS)]
        numbers = [float(number) for at in ring for number in (*(at[::-1] if high else at), 1.0)]
        height, width = picture.shape[:2]
        data = json.dumps(
            {"people": [{"pose_keypoints_2d": numbers}], "canvas_width": width, "canvas_height": height}
        ).encode()
    else:
        data = saved(picture[..., 0] if kind == "contour" else picture)
    begun_with = in_the_middle(picture, None, (0, 0, 0), SQUARE)[..., 0] > 127
    shown = KINDS[kind](data, SQUARE).any(axis=2)
    for axis in (0, 1):
        (first, last), (begin, end) = (np.flatnonzero(each.any(axis=axis))[[0, -1]] for each in (shown, begun_with))
        assert abs(int(first) - begin) <= 2
        assert abs(int(last) - end) <= 2


@pytest.mark.parametrize("kind", ["as-is", "canny", "scribble"])
def test_colours_beneath_transparency_have_no_say(kind: str) -> None:
    matte = disc(SIDE, 40)
    shown = []
    for beneath in (0, 255):
        colours = np.full((SIDE, SIDE, 3), (200, 30, 30), np.uint8)
        colours[matte == 0] = beneath
        colours[:, ::9][matte[:, ::9] == 0] = (0, 0, 255)
        shown.append(KINDS[kind](saved(np.dstack([colours, matte])), SQUARE))
    assert np.array_equal(*shown)
    ring = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE // 2)) - 40
    assert shown[0][np.abs(ring) < 2].any(), "the rim is seen"
    assert not shown[0][ring > 8].any()


def test_edges_lie_where_the_picture_has_some() -> None:
    data = saved(disc())
    thin, thick = KINDS["canny"](data, SQUARE), KINDS["scribble"](data, SQUARE)
    ring = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2)) - 60 * SIDE / 200
    assert set(np.unique(thin)) == {0, 255}
    assert np.abs(ring[thin[..., 0] > 0]).max() < 2
    assert (thick > 0).sum() > 2 * (thin > 0).sum()
    assert np.abs(ring[thick[..., 0] > 0]).max() < 8
    assert not KINDS["canny"](saved(np.full((9, 9, 3), 90)), SQUARE).any()


def test_an_outline_runs_around_the_object_and_its_holes() -> None:
    matte = disc()
    cv2.circle(matte, (100, 100), 30, 0, -1)
    of_matte = KINDS["contour"](saved(matte), SQUARE)
    of_picture = KINDS["contour"](saved(np.dstack([np.full((200, 200, 3), 77, np.uint8), matte])), SQUARE)
    assert np.array_equal(of_matte, of_picture)
    distance = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2)) * 200 / SIDE
    lines = of_matte[..., 0] > 0
    assert set(np.unique(of_matte)) == {0, 255}
    assert np.minimum(np.abs(distance - 60), np.abs(distance - 30))[lines].max() < 4
    assert (np.abs(distance - 60)[lines] < 4).any()
    assert (np.abs(distance - 30)[lines] < 4).any()


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.random.default_rng(0).integers(0, 256, (9, 9, 3)), "no_alpha"),
        (np.zeros((9, 9)), "empty"),
        (np.full((9, 9), 255), "empty"),
    ],
)
def test_what_has_no_outline_is_a_fault_of_its_own(pixels: Any, kind: str) -> None:
    with pytest.raises(DataError) as fault:
        KINDS["contour"](saved(pixels), SQUARE)
    assert fault.value.kind == kind


def test_a_pose_has_each_joint_in_its_colour() -> None:
    told = drawn({"people": [person()]})
    for joint, colour in enumerate(COLOURS):
        at = int((joint + 1) / (JOINTS + 1) * SIDE)
        assert tuple(told[at, SIDE // 2]) == colour
    in_pixels = [
        number * 640 if index % 3 < 2 else number for index, number in enumerate(person()["pose_keypoints_2d"])
    ]
    canvas = {"canvas_width": 640, "canvas_height": 640}
    assert np.array_equal(told, drawn({"people": [{"pose_keypoints_2d": in_pixels}], **canvas}))
    assert np.array_equal(told, drawn([{"people": [person()]}]))


def test_a_pose_in_shares_may_name_its_canvas() -> None:
    canvas = {"canvas_width": 512, "canvas_height": 512}
    assert np.array_equal(drawn({"people": [person()], **canvas}), drawn({"people": [person()]}))


def test_joints_that_were_not_seen_are_not_drawn() -> None:
    numbers = person()["pose_keypoints_2d"]
    numbers[2::3] = [0.0] * JOINTS
    numbers[2] = 1.0
    assert set(map(tuple, drawn({"people": [{"pose_keypoints_2d": numbers}]}).reshape(-1, 3))) == {
        (0, 0, 0),
        COLOURS[0],
    }


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"people": []}, "empty"),
        ({}, "empty"),
        ([], "empty"),
        ({"people": [{}]}, "pose"),
        ({"people": [person(pose_keypoints_2d=[0.0] * 75)]}, "pose"),
        ({"people": [person(pose_keypoints_2d=["a"] * 54)]}, "pose"),
        ({"people": [person(pose_keypoints_2d=[10**400, 0.5, 1.0] * 18)]}, "pose"),
        ({"people": [person(pose_keypoints_2d=[0.5, 0.5, 0.0] * 18)]}, "empty"),
        ({"people": [person(pose_keypoints_2d=[300.0, 40.0, 1.0] * 18)]}, "pose"),
        (
            {"people": [person(pose_keypoints_2d=[1e300, 40.0, 1.0] * 18)], "canvas_width": 9, "canvas_height": 9},
            "pose",
        ),
    ],
)
def test_a_pose_that_is_none_is_a_fault_of_its_own(told: Any, kind: str) -> None:
    with pytest.raises(DataError) as fault:
        drawn(told)
    assert fault.value.kind == kind


@given(st.binary(max_size=60))
def test_no_file_is_more_than_a_fault(data: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(DataError):
            KINDS[kind](data, SQUARE)
