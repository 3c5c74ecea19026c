"""Pictures that sampling begins with: read for their prompts, and set into the size that the model paints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.diffusion.given.settings import Given
from factory.diffusion.row_pictures import RowPictures, about, planned_row_pictures
from factory.diffusion.sizes import Size
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS, Colour, KeyName
from factory.greenscreen.compositing import paint_on_screen
from factory.greenscreen.framing import AT_ONCE, resized, shrunk_in_bands
from factory.sample import PARTLY_GENERATED, Matte, Origin, Picture, Request
from factory.settings import settings

SETTINGS = "given"  # of a plan
OPAQUE, ANEW = 255, 128  # levels: of alpha; of a mask, from which on a picture is painted anew


class Read(NamedTuple):
    """A prompt's picture (H, W, 3) as its file has it, its alpha (H, W), and its mask (H, W), of whatever size."""

    picture: Picture
    alpha: Matte
    mask: Matte | None


class GivenBatch(NamedTuple):
    """pictures: (B, H, W, 3) uint8 sRGB.  masks: (B, H, W), true where painted anew; None where all is."""

    pictures: Picture
    masks: NDArray[np.bool_] | None
    strength: float


@dataclass(frozen=True)
class GivenPictures:
    """Those of a plan."""

    given: Given
    files: RowPictures

    def read(self, request: Request) -> Read:
        """What belongs to a prompt. Raises DataError where it is missing, or no picture."""
        picture, alpha = self.files.layers(request.item, self.given.column)
        if alpha is None:
            alpha = np.full(picture.shape[:2], OPAQUE, np.uint8)
        if not self.given.mask:
            return Read(picture, alpha, None)
        mask = self.files.picture(request.item, self.given.mask)
        if mask.shape != picture.shape:
            fault = DataError("mask_size", f"it has another size than its picture, `{self.given.column}`")
            raise about(request.item, self.given.mask, fault)
        return Read(picture, alpha, np.asarray(cv2.cvtColor(mask, cv2.COLOR_RGB2GRAY), np.uint8))

    def batch(self, read: Sequence[Read], keys: Sequence[KeyName], size: Size) -> GivenBatch:
        """Each whole in a picture of this size, with its screen about it and behind what is transparent."""
        pictures = [
            in_the_middle(one.picture, one.alpha, KEY_COLOURS[key], size) for one, key in zip(read, keys, strict=True)
        ]
        masks = [
            in_the_middle(cv2.merge([one.mask] * 3), None, (0, 0, 0), size) for one in read if one.mask is not None
        ]
        anew = np.stack(masks)[..., 0] >= ANEW if masks else None
        return GivenBatch(np.stack(pictures), anew, self.given.strength)

    def told(self, origin: Origin, item: Mapping[str, Any]) -> Origin:
        """The origin of what was painted from an item's picture."""
        return replace(origin, start="given", item=str(item[self.given.column]), digital_source_type=PARTLY_GENERATED)


def plan_given(given: Given | None, draft: Draft) -> None:
    """Say in the plan how the pictures of the prompts' rows are used."""
    if given is not None:
        draft.settings[SETTINGS] = asdict(given)


def planned_given(plan: Plan) -> GivenPictures | None:
    """None where a plan's prompts begin with no pictures."""
    if SETTINGS not in plan.settings:
        return None
    return GivenPictures(settings(Given, plan.settings[SETTINGS]), planned_row_pictures(plan))


def in_the_middle(picture: Any, alpha: Matte | None, around: Colour, size: Size) -> Picture:
    """(*size, 3) with the picture as large as it fits, in the middle, over a colour. One of its shape is only resized.

    alpha: None where all is opaque.
    """
    return centred(fitted(picture, alpha, around, size), around, size)


def fitted(picture: Any, alpha: Matte | None, behind: Colour, size: Size) -> Picture:
    """(h, w, 3) as large as it fits into a size, with a colour behind what is transparent."""
    matte = np.full(picture.shape[:2], OPAQUE, np.uint8) if alpha is None else alpha
    if (factor := math.ceil(math.sqrt(matte.size / AT_ONCE))) > 1:
        picture, matte = shrunk_in_bands(picture, matte, factor)
    scale = min(there / own for there, own in zip(size, matte.shape, strict=True))
    height, width = (max(round(side * scale), 1) for side in matte.shape)
    colours, coverage = resized(picture, matte, height, width)
    return paint_on_screen(colours, coverage, behind)


def centred(picture: Picture, around: Colour, size: Size) -> Picture:
    """(*size, 3) with a picture (h, w, 3) that is no larger in the middle."""
    height, width = picture.shape[:2]
    whole = np.full((*size, 3), around, np.uint8)
    y, x = (size.height - height) // 2, (size.width - width) // 2
    whole[y : y + height, x : x + width] = picture
    return whole
