"""One picture file with alpha: its bytes in, straight colour and matte out, or a fault with a name."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from factory.errors import DataError
from factory.sample import Matte, Picture
from factory.sources.files.picture import BROKEN, has_16_bits, open_picture

MAX_PIXELS = 40_000_000  # about 0.6 GB while it is resized
METADATA_CHUNKS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"acTL", b"tRNS")  # may turn a picture, or animate it


def decode(data: bytes) -> tuple[Picture, Matte]:
    """Straight colour (H, W, 3) and alpha (H, W), both uint8, upright as its EXIF orientation says.

    DataError kinds: undecodable, format, depth, too_large, no_alpha, empty, opaque.
    """
    image = _opened(data)
    rgba = _of_plain_png(data)
    if rgba is None:
        try:
            rgba = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
        except BROKEN:
            raise DataError("undecodable", "the picture's data is broken or cut off") from None
    foreground = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    alpha = np.asarray(cv2.extractChannel(rgba, 3), np.uint8)
    if not alpha.any():
        raise DataError("empty", "the picture is fully transparent")
    if alpha.min() == 255:
        raise DataError("opaque", "the picture's alpha is 255 everywhere: nothing was cut out")
    return foreground, alpha


def probe(data: bytes) -> tuple[int, int, DataError | None]:
    """Width, height (−1 where unknown) and what the header already tells to be wrong; decodes no pixels."""
    try:
        image = _opened(data)
    except DataError as fault:
        return -1, -1, fault
    return image.width, image.height, None


def _of_plain_png(data: bytes) -> NDArray[np.uint8] | None:
    """(H, W, 4) RGBA by OpenCV, a third faster, where it has the same pixels as Pillow: 8-bit RGBA without metadata.

    None for all other files, and for what OpenCV does not like: Pillow has the last word.
    """
    if (
        data[:8] != b"\x89PNG\r\n\x1a\n"
        or data[24:26] != b"\x08\x06"
        or any(chunk in data for chunk in METADATA_CHUNKS)
    ):
        return None
    bgra = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if bgra is None or bgra.dtype != np.uint8 or bgra.shape[2:] != (4,):
        return None
    return np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA), np.uint8)


def _opened(data: bytes) -> Image.Image:
    """The picture with its header read and judged."""
    image = open_picture(data, MAX_PIXELS)
    if image.format not in {"PNG", "WEBP"}:
        raise DataError("format", f"the file is a {image.format} picture in mode {image.mode}, not PNG or WebP")
    if has_16_bits(image, data):
        raise DataError("depth", "the picture has 16 bits per channel: convert it to 8")
    if not image.has_transparency_data:
        raise DataError("no_alpha", f"the picture has no alpha channel (mode {image.mode})")
    return image
