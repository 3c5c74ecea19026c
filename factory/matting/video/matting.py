"""α and foreground of a clip, frame by frame: trimaps from three frames' masks, a network, and its mattes steadied.

No more than some five frames are held, however long the clip.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.estimation import estimated_foreground
from factory.greenscreen.keyer.steady import Frame, mean_along
from factory.greenscreen.motion import belief, flow
from factory.matting.applying import UNKNOWN
from factory.matting.video.trimaps import Vote, trimap_of
from factory.sample import Matte, Picture

T = TypeVar("T")
Floats: TypeAlias = NDArray[np.float32]
Matting: TypeAlias = Callable[[Picture, Matte], Floats]
"""Picture and trimap (0, 128, 255) to α: (H, W) float32 in 0..1, exact where the trimap knows."""

REACH = 0.1  # by which α may move where it is steadied


class Way(NamedTuple):
    """The motion from one frame to another, and how far to believe it: greenscreen/motion.py."""

    flow: Floats
    belief: Floats


class Followed(NamedTuple):
    """A frame with its mask in 0..1, and the ways to the frames beside it; None at the ends of the clip."""

    picture: Picture
    mask: Floats
    before: Way | None
    after: Way | None


class Matted(NamedTuple):
    """A frame of the result. foreground: straight.  trimap: that α was computed with."""

    foreground: Picture
    alpha: Matte
    trimap: Matte


def matted(
    frames: Iterable[Floats], masks: Iterable[Floats], matting: Matting, *, band: float, steady: bool = True
) -> Iterator[Matted]:
    """The clip's frames with their mattes, in their order.

    frames: (H, W, 3) float32 in 0..1.  masks: (H, W) float32 in 0..1, one a frame.  band: least width in pixels of the
    unknown region on each side of a border.  steady: average α with its neighbours' along the motion.
    """
    looked = _with_trimaps(_followed(zip(map(as_levels, frames), masks, strict=True)), band)
    keyed = ((frame, trimap, matting(frame.picture, trimap)) for frame, trimap in looked)
    for before, (frame, trimap, alpha), after in beside(keyed):
        others = [(way, other) for way, other in ((frame.before, before), (frame.after, after)) if way and other]
        if steady:
            ways = [(Frame(as_unit(o.picture), found), way.flow, way.belief) for way, (o, _, found) in others]
            mean = mean_along(Frame(as_unit(frame.picture), alpha), ways)
            moved = alpha + np.clip(mean - alpha, -REACH, REACH)
            alpha = np.where(trimap == UNKNOWN, moved, alpha)  # noqa: PLW2901  (what is steadied is never looked at again)
        levels = as_levels(alpha)
        foreground, _ = estimated_foreground(frame.picture, levels, max(levels.shape))
        yield Matted(foreground, levels, trimap)


def _followed(frames: Iterable[tuple[Picture, Floats]]) -> Iterator[Followed]:
    """Each frame with its ways; those between two frames are computed once."""
    back: Way | None = None
    for _, (picture, mask), after in beside(frames):
        there: Way | None = None
        returning: Way | None = None
        if after is not None:
            way, way_back = flow(picture, after[0]), flow(after[0], picture)
            there, returning = Way(way, belief(way, way_back)), Way(way_back, belief(way_back, way))
        yield Followed(picture, mask, back, there)
        back = returning


def _with_trimaps(frames: Iterable[Followed], band: float) -> Iterator[tuple[Followed, Matte]]:
    for before, frame, after in beside(frames):
        pairs = ((frame.before, before), (frame.after, after))
        votes = [Vote(other.mask, *way) for way, other in pairs if way is not None and other is not None]
        yield frame, trimap_of(frame.mask, votes, band)


def beside(items: Iterable[T]) -> Iterator[tuple[T | None, T, T | None]]:
    """Each item between the one before and the one after it; None at the ends. Reads one ahead."""
    before: T | None = None
    here: T | None = None
    for after in items:
        if here is not None:
            yield before, here, after
            before = here
        here = after
    if here is not None:
        yield before, here, None
