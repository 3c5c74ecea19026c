"""One picture file with alpha: its bytes in, straight colour and matte out, or a fault with a name."""

from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image

from factory.errors import DataError
from factory.pictures.matte import STEP, refuse_trimap
from factory.pictures.picture import divided, in_srgb, layers, open_picture, profile_of, upright
from factory.sample import Matte, Picture

Premultiplied: TypeAlias = bool | None
"""Whether a cut-out's colours are multiplied by its alpha; None where nobody knows."""

ROUNDING = 1  # levels by which a multiplied colour may exceed its alpha
TELLING, MANY = 64, 1_000_000  # soft pixels that are enough to tell, and about the most that are looked at
DARKEST = 0.15  # mean colour, 0..1, of which a multiplication by alpha takes something that is seen
AKIN = 0.5  # correlation of α and brightness among soft pixels; of any straight picture it is near 0


def decode(data: bytes, premultiplied: Premultiplied = None) -> tuple[Picture, Matte]:
    """Straight sRGB (H, W, 3) and alpha (H, W), both uint8, upright as its EXIF orientation says.

    premultiplied: True divides the colours by their alpha. None refuses those that look as if they needed it.
    DataError kinds: undecodable, format, depth, too_large, no_alpha, empty, opaque, trimap, premultiplied.
    """
    image = _opened(data)
    profile = profile_of(image)
    colour, alpha = layers(upright(image, data))
    if alpha is None:
        raise _no_alpha(colour)
    if not alpha.any():
        raise DataError("empty", "the picture is fully transparent")
    if alpha.min() == 255:
        raise DataError("opaque", "the picture's alpha is 255 everywhere: nothing was cut out")
    refuse_trimap(alpha)
    if premultiplied:
        colour = Image.fromarray(divided(np.asarray(colour.convert("RGB")), alpha))
    foreground = in_srgb(colour, profile)
    stored = np.asarray(colour.convert("RGB")) if profile else foreground
    if premultiplied is None and looks_premultiplied(stored, alpha):
        raise DataError(
            "premultiplied",
            "its colours look multiplied by its alpha, as no channel exceeds it: "
            "say `premultiplied: true` for this source, or false to take them as they are",
        )
    return foreground, alpha


def probe(data: bytes) -> tuple[int, int, DataError | None]:
    """Width, height (−1 where unknown) and what the header already tells to be wrong; decodes no pixels."""
    try:
        image = _opened(data)
    except DataError as fault:
        return -1, -1, fault
    return image.width, image.height, None


def looks_premultiplied(colour: Picture, alpha: Matte) -> bool:
    """Whether no channel exceeds alpha anywhere, and enough soft pixels grow brighter with it.

    Straight colour of a bright object exceeds a small alpha; that of a dark rim does not, but knows nothing of alpha.
    """
    if _exceeds(colour[::STEP, ::STEP], alpha[::STEP, ::STEP]) or _exceeds(colour, alpha):
        return False
    brightest = colour.max(axis=2)
    is_soft = (alpha > 0) & (alpha < 255)
    some = slice(None, None, max(1, np.count_nonzero(is_soft) // MANY))
    a, c = alpha[is_soft][some].astype(np.float64), brightest[is_soft][some].astype(np.float64)
    if a.size < TELLING or np.ptp(a) == 0 or np.ptp(c) == 0:
        return False
    return bool((a @ c) / (a @ a) >= DARKEST and np.corrcoef(a, c)[0, 1] >= AKIN)


def _exceeds(colour: Picture, alpha: Matte) -> bool:
    """Whether a channel is brighter than alpha somewhere."""
    red, green, blue = cv2.split(colour)
    return bool((cv2.subtract(cv2.max(cv2.max(red, green), blue), alpha) > ROUNDING).any())


def _opened(data: bytes) -> Image.Image:
    """The picture with its header read and judged."""
    image = open_picture(data)
    if not image.has_transparency_data:
        raise _no_alpha(image)
    return image


def _no_alpha(image: Image.Image) -> DataError:
    return DataError("no_alpha", f"the picture has no alpha channel (mode {image.mode})")
