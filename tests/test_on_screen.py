"""Framing on a screen: objects stay whole, keep their margin, and stay flush where their picture cut them."""

from itertools import chain, combinations
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.equation import residual
from factory.errors import DataError, UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.greenscreen.framing import Side, Sides, bounds, cut_sides, framed, mirrored
from factory.greenscreen.on_screen import FramingSettings, painted
from factory.sample import Matte, Origin, Picture, Request, Sample

SIDES: tuple[Side, ...] = get_args(Side)
ALL_SIDES = [frozenset(some) for some in chain.from_iterable(combinations(SIDES, n) for n in range(5))]
RED = np.array((210, 40, 30), np.uint8)


def object_at(height: int, width: int, flush: Sides) -> tuple[Picture, Matte]:
    """A solid red box, 9 pixels away from every side of its picture but those it is cut by."""
    picture = np.random.default_rng(0).integers(0, 256, (height + 18, width + 18, 3)).astype(np.uint8)
    alpha = np.zeros((height + 18, width + 18), np.uint8)
    alpha[9 : 9 + height, 9 : 9 + width] = 255
    picture[9 : 9 + height, 9 : 9 + width] = RED
    rows = slice(9 if "top" in flush else 0, 9 + height if "bottom" in flush else None)
    columns = slice(9 if "left" in flush else 0, 9 + width if "right" in flush else None)
    return picture[rows, columns], alpha[rows, columns]


def paint(picture: Picture, alpha: Matte, seed: int, framing: FramingSettings, flush: Sides = frozenset()) -> Sample:
    request = Request(key="0000000000", slot=0, attempt=0, seed=seed)
    return painted(request, Origin(kind="composited"), picture, alpha, framing, flush=flush)


def free_space(sample: Sample) -> dict[Side, int]:
    assert sample.alpha is not None
    left, top, right, bottom = bounds(sample.alpha)
    height, width = sample.alpha.shape
    return {"left": left, "top": top, "right": width - right, "bottom": height - bottom}


@pytest.mark.parametrize("flush", ALL_SIDES)
def test_the_sides_that_cut_an_object_are_found(flush: Sides) -> None:
    _, alpha = object_at(80, 60, flush)
    assert cut_sides(alpha) == flush
    assert cut_sides(alpha[:, ::-1]) == mirrored(flush)


def test_a_hair_that_leaves_the_picture_is_no_cut_but_a_blank_last_line_does_not_hide_one() -> None:
    _, alpha = object_at(200, 200, frozenset())
    alpha[:10, 100] = 255
    assert cut_sides(alpha) == frozenset()
    _, alpha = object_at(200, 200, frozenset({"bottom"}))
    alpha[-1] = 0
    assert cut_sides(alpha) == {"bottom"}


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(16, 150), st.integers(16, 150)),
    flush=st.sampled_from(ALL_SIDES),
    size=st.integers(32, 96),
    seed=st.integers(0, 2**63 - 1),
    margins=st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)),
)
def test_objects_stay_whole_keep_their_margin_and_stay_flush(
    shape: tuple[int, int], flush: Sides, size: int, seed: int, margins: tuple[float, float]
) -> None:
    mirror = seed % 2
    framing = FramingSettings(size=size, margin=(min(margins), max(margins)), wander=1.0, flip=float(mirror))
    picture, alpha = object_at(*shape, flush)
    spans = {"left", "right"} <= flush or {"top", "bottom"} <= flush
    try:
        sample = paint(picture, alpha, seed, framing, flush)
    except DataError as fault:
        assert fault.kind == "cut"
        assert spans
        return
    assert sample.alpha is not None
    assert sample.foreground is not None
    expected = mirrored(flush) if mirror else flush
    for side, free in free_space(sample).items():
        assert free == 0 if side in expected else free >= int(framing.margin[0] * size)
    if not spans:  # whole: the box keeps its shape
        left, top, right, bottom = bounds(sample.alpha)
        scale = max(right - left, bottom - top) / max(shape)
        assert abs((right - left) - scale * shape[1]) <= 1
        assert abs((bottom - top) - scale * shape[0]) <= 1
    assert np.array_equal(sample.foreground, np.broadcast_to(RED, sample.foreground.shape))
    assert sample.rgb.tobytes() == paint(picture, alpha, seed, framing, flush).rgb.tobytes()


@pytest.mark.parametrize("key", ["green", "blue", "magenta"])
def test_what_is_painted_satisfies_its_equation_on_every_screen(key: KeyName) -> None:
    rng = np.random.default_rng(1)
    picture, alpha = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((90, 70, 3), (90, 70)))
    sample = paint(picture, alpha, 5, FramingSettings(size=64, key=key))
    assert sample.origin.key_rgb == KEY_COLOURS[key]
    assert tuple(sample.rgb[0, 0]) == KEY_COLOURS[key]
    assert sample.alpha is not None
    assert sample.foreground is not None
    assert residual(sample.rgb, sample.alpha, sample.foreground, sample.plate) <= 0.51


def test_seeds_move_mirror_and_size_an_object() -> None:
    picture, alpha = object_at(40, 60, frozenset({"left"}))
    samples = [paint(picture, alpha, seed, FramingSettings(size=64), frozenset({"left"})) for seed in range(40)]
    free = [free_space(sample) for sample in samples]
    assert {(f["left"] == 0, f["right"] == 0) for f in free} == {(True, False), (False, True)}
    assert len({f["top"] for f in free}) > 5


def test_a_close_portrait_spans_the_frame_and_runs_over_the_side_that_cut_it_already() -> None:
    """Cut left, right and below, and too tall for a square: the head stays, the chest goes."""
    picture, alpha = object_at(120, 80, frozenset({"left", "right", "bottom"}))
    foreground, matte = framed(picture, alpha, 64, 0.1, frozenset({"left", "right", "bottom"}))
    assert foreground.shape == (64, 64, 3)
    assert bounds(matte) == (0, 6, 64, 64)


def test_what_opposite_sides_cut_and_no_square_can_hold_is_refused() -> None:
    picture, alpha = object_at(120, 80, frozenset({"left", "right"}))
    with pytest.raises(DataError, match="opposite sides") as fault:
        framed(picture, alpha, 64, 0.1, frozenset({"left", "right"}))
    assert fault.value.kind == "cut"


def test_all_four_sides_fill_the_frame() -> None:
    picture, alpha = object_at(70, 90, frozenset(SIDES))
    _, matte = framed(picture, alpha, 64, 0.1, frozenset(SIDES))
    assert (matte == 255).all()


def test_settings_no_plan_should_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="size is 8"):
        FramingSettings(size=8)
    with pytest.raises(UsageError, match="margin"):
        FramingSettings(margin=(0.3, 0.1))
