"""What of a picture is object, by its shape: the answers of shape_network.py, and what they have to say to the physics.

Colour and shape know different things. Colour is exact to the level and to the hair, but an object's own green, a
mirrored screen it takes for what they are not. A shape is known only coarsely, but
whole. So colour tells α unless the shape contradicts it by more than a shape can be wrong. Before a drawn screen colour
is exact; there no shape is asked.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.keyer.clues import clues
from factory.greenscreen.morphology import square
from factory.greenscreen.resizing import enlarged, resized, size_within

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
SLACK = 0.15  # wherever it is
DEVIATIONS = 1.5  # multiples of the deviation that the network expects; 0.5: photographs before a floor MSE × 3.5
RIMS = 0.5  # multiples of how much α changes from one of its pixels to the next


class Shape(NamedTuple):
    """What the network tells, (h, w) in 0..1 each."""

    alpha: Floats
    deviation: Floats  # that it expects α to have
    seen: Floats  # how surely anything but the plate is seen; it must not invent objects


def shape_of(picture: Floats, plate: Floats, colour: Floats) -> Shape:
    """Look at a whole picture. It says nothing of what is finer than a pixel of its own.

    picture, plate: (H, W, 3) in 0..1.  colour: (3,) the screen's.  Raises DataError("no_screen") for a grey screen.
    """
    import torch  # noqa: PLC0415  (a second, and only here)

    from factory.greenscreen.keyer.shape_network import MULTIPLE  # noqa: PLC0415

    size = size_within(picture.shape, LONG_SIDE)
    small, behind = (resized(field, size) for field in (picture, plate))
    known = clues(small, behind, colour)
    width, height = size
    padded = np.pad(known, ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE)), mode="edge")
    with torch.inference_mode():
        logits, spread = _network()(torch.from_numpy(padded[None]))
        both = torch.stack([torch.sigmoid(logits[0]), torch.exp(spread[0])])[:, :height, :width].numpy()
    away = np.abs(small - behind).max(axis=-1)
    seen = np.clip((away - NOTHING[0]) / (NOTHING[1] - NOTHING[0]), 0, 1)
    return Shape(np.ascontiguousarray(both[0]), np.ascontiguousarray(both[1]), np.asarray(seen, np.float32))


def whole(shape: Shape, field: Floats) -> Mask:
    """Where the shape says that all is object, at the size of a field (h, w, …)."""
    mask = (shape.alpha - shape.deviation > WHOLE) & (shape.seen == 1)
    return np.asarray(enlarged(mask.astype(np.float32), field) > ALL_OF_IT)


def agreed(alpha: Floats, shape: Shape) -> Floats:
    """α by colour, raised to that by shape where the shape contradicts it. (H, W) in 0..1.

    It is never lowered: what stands beside a screen, a set around it for one, may be garbage or the subject.

    They are compared at the shape's resolution, where a strand of hair is a share of a pixel to both.
    """
    rim = cv2.dilate(shape.alpha, square(1)) - cv2.erode(shape.alpha, square(1))
    apart = shape.alpha - resized(alpha, shape.alpha.shape[::-1])
    wrong = shape.seen * np.clip(apart / (SLACK + DEVIATIONS * shape.deviation + RIMS * rim) - 1, 0, 1)
    return np.asarray(alpha + enlarged(wrong, alpha) * (enlarged(shape.alpha, alpha) - alpha), np.float32)


@cache
def _network() -> "ShapeNetwork":
    from safetensors.torch import load_file  # noqa: PLC0415

    from factory.greenscreen.keyer.shape_network import ShapeNetwork  # noqa: PLC0415

    network = ShapeNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return network.eval()
