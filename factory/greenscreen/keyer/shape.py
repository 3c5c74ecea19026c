"""What of a picture is object, by its shape: the answers of shape_network.py, and what they have to say to the physics.

Colour and shape know different things. Colour is exact to the level and to the hair, but it takes an object's own
green, or a mirrored screen, for what they are not. A shape is known only coarsely, but whole. So colour tells α unless
the shape contradicts it by more than a shape can be wrong. Where a screen may be drawn, colour is exact: there a shape
is believed only in breadth.
"""

from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.filling import fill
from factory.greenscreen.keyer.clues import clues
from factory.greenscreen.morphology import square
from factory.greenscreen.resizing import enlarged, resized, size_within
from factory.greenscreen.unmixing import visible

if TYPE_CHECKING:
    from factory.greenscreen.keyer.shape_network import ShapeNetwork

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

LONG_SIDE = 128  # pixels at which the network looks at pictures: it was trained at that size
WEIGHTS = Path(__file__).with_name("shape.safetensors")
WHOLE = 0.8  # α less its deviation, from which all is object: its colours are the object's own
ALL_OF_IT = 0.999  # of a pixel's surroundings that must be so
NOTHING = (0.04, 0.1)  # distance from the plate (0..1) up to which a picture shows none but it, and from which it does
# By how much α by colour and by shape may differ; chosen with the groups *develop*.
SLACK = 0.15  # wherever it is; 0.1: fire MSE × 1.2, hair × 1.1, mirrors × 0.94
DEVIATIONS = 0.3  # multiples of the deviation that the network expects; 0.6: own green MSE × 1.05, mirrors × 1.07
RIMS = 0.5  # multiples of how much α changes from one of its pixels to the next
# A part may be floor or wall that is the screen in another light to colours, and unsure to the network: from this mean
# deviation anywhere, and where it reaches the picture's border; up to this mean α by colour. 0.2 at the border and no
# bound of α: one of 36 photographs is lost (118e-3).
UNSURE = (0.22, 0.15)
BARE = 0.2
SHARP = 0.2  # root mean square of the step of α across three pixels, under which a part has no edge
BROAD = 1  # of its pixels about one: what is contradicted there, too, is contradicted in breadth; 0: hair × 14, pure
IN_BREADTH = 2 / 3  # of all this by which they may differ there, before a camera; 1: reflections × 1.26, motion × 0.76


class Shape(NamedTuple):
    """What the network tells, (h, w) in 0..1 each."""

    alpha: Floats
    deviation: Floats  # that it expects α to have
    own: Floats  # the object's own dominance of the screen's channels ÷ the plate's: what it mirrors counts, no spill
    seen: Floats  # how surely anything but the plate is seen; it must not invent objects


def shape_of(picture: Floats, plate: Floats, colour: Floats, weights: bytes | None = None) -> Shape:
    """Look at a whole picture. It says nothing of what is finer than a pixel of its own.

    picture, plate: (H, W, 3) in 0..1.  colour: (3,) the screen's.
    weights: a safetensors file that `factory train-keyer` made; None: what ships.
    Raises DataError("no_screen") for a grey screen.
    """
    import torch  # noqa: PLC0415  (a second, and only here)

    from factory.greenscreen.keyer.shape_network import MULTIPLE  # noqa: PLC0415

    size = size_within(picture.shape, LONG_SIDE)
    small, behind = (resized(field, size) for field in (picture, plate))
    known = clues(small, behind, colour)
    width, height = size
    padded = np.pad(known, ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE)), mode="edge")
    with torch.inference_mode():
        logits, spread, own = (
            field[0, :height, :width] for field in _network(weights or _shipped())(torch.from_numpy(padded[None]))
        )
        alpha, deviation, own = (
            field.numpy().copy() for field in (torch.sigmoid(logits), torch.exp(spread), torch.sigmoid(own))
        )
    away = np.abs(small - behind).max(axis=-1)
    seen = np.clip((away - NOTHING[0]) / (NOTHING[1] - NOTHING[0]), 0, 1)
    return Shape(alpha, deviation, own, np.asarray(seen, np.float32))


def whole(shape: Shape, field: Floats) -> Mask:
    """Where the shape says that all is object, at the size of a field (h, w, …)."""
    mask = (shape.alpha - shape.deviation > WHOLE) & (shape.seen == 1)
    return np.asarray(enlarged(mask.astype(np.float32), field) > ALL_OF_IT)


def contradicted(alpha: Floats, shape: Shape) -> Floats:
    """(h, w) by how much the shape says more than α (H, W), as far as anything but the plate is seen."""
    return np.asarray((shape.alpha - resized(alpha, shape.alpha.shape[::-1])) * shape.seen, np.float32)


def agreed(alpha: Floats, shape: Shape, *, filmed: bool) -> Floats:
    """α by colour, raised to that by shape where the shape contradicts it. (H, W) in 0..1.

    filmed: whether a camera surely saw it. Where colours may be exact only what is contradicted in breadth gives way: a
    mirror does, hair and nets know better. Before a camera what is so gives way sooner.

    It is never lowered: what stands beside a screen, a set around it for one, may be garbage or the subject.

    They are compared at the shape's resolution, where a strand of hair is a share of a pixel to both.
    """
    rim = cv2.dilate(shape.alpha, square(1)) - cv2.erode(shape.alpha, square(1))
    apart = contradicted(alpha, shape)
    may_differ = np.float32(SLACK) + DEVIATIONS * shape.deviation + RIMS * rim
    colour = np.asarray(np.clip(resized(alpha, apart.shape[::-1]), 0, 1), np.float32)

    def beyond(limit: NDArray[np.floating]) -> Floats:
        return np.asarray(np.clip(apart / limit - 1, 0, 1), np.float32)

    if filmed:
        wrong = np.maximum(beyond(may_differ), _in_breadth(beyond(IN_BREADTH * may_differ)))
        wrong = _without_floors(wrong, colour, shape.deviation)
    else:
        wrong = _without_smoke(_in_breadth(beyond(may_differ)), colour)
    return np.asarray(alpha + enlarged(wrong, alpha) * (enlarged(shape.alpha, alpha) - alpha), np.float32)


def _in_breadth(wrong: Floats) -> Floats:
    return np.asarray(cv2.morphologyEx(wrong, cv2.MORPH_OPEN, square(BROAD)), np.float32)


def _without_floors(wrong: Floats, colour: Floats, deviation: Floats) -> Floats:
    """(h, w) less floors and walls: they are nearly the screen, and the network is unsure of them.

    wrong: how far α by colour is to give way.  colour: that α.  All (h, w).
    """
    parts = _Parts.of(wrong)
    label = parts.label
    unsure = np.full(len(parts.area), UNSURE[0])
    unsure[np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])] = UNSURE[1]
    floors = (parts.mean(deviation) > unsure) & (parts.mean(colour) < BARE)
    return np.where(floors[label], np.float32(0), wrong)


def _without_smoke(wrong: Floats, colour: Floats) -> Floats:
    """(h, w) less what has no edge, by colour: smoke and what moved are as thin as they look, mirrors have edges."""
    parts = _Parts.of(wrong)
    edge = cv2.blur(cv2.dilate(colour, square(1)) - cv2.erode(colour, square(1)), (3, 3))
    return np.where((np.sqrt(parts.mean(edge * edge)) < SHARP)[parts.label], np.float32(0), wrong)


class _Parts(NamedTuple):
    """The connected parts of a field.  label: (h, w) which part, 0 where it is 0.  area: (n,) pixels of each."""

    label: NDArray[np.int32]
    area: NDArray[np.float64]

    @classmethod
    def of(cls, field: Floats) -> "_Parts":
        number, label = cv2.connectedComponents((field > 0).view(np.uint8), connectivity=4)
        area = np.maximum(np.bincount(label.ravel(), minlength=number), 1)
        return cls(np.asarray(label, np.int32), np.asarray(area, np.float64))

    def mean(self, values: Floats) -> NDArray[np.float64]:
        """(n,) of a field (h, w) over each part."""
        return np.asarray(np.bincount(self.label.ravel(), values.ravel(), len(self.area)) / self.area, np.float64)


def own_share_about(shape: Shape, field: Floats) -> Floats:
    """(h, w) how much of the screen's dominance the object has of its own, at the size of a field (h, w, …).

    Beside the object it is what the object has near by.
    """
    return enlarged(fill(shape.own[..., None], visible(shape.alpha))[..., 0], field)


@lru_cache(maxsize=2)
def _network(weights: bytes) -> "ShapeNetwork":
    from safetensors.torch import load  # noqa: PLC0415

    from factory.greenscreen.keyer.shape_network import ShapeNetwork  # noqa: PLC0415

    network = ShapeNetwork()
    network.load_state_dict({name: value.float() for name, value in load(weights).items()})
    return network.eval()


@cache
def _shipped() -> bytes:
    return WEIGHTS.read_bytes()
