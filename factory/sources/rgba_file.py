"""One picture file with alpha: its bytes in, straight colour and matte out, or a fault with a name."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from factory.errors import DataError
from factory.sample import Matte, Picture

MAX_PIXELS = 40_000_000  # about 0.6 GB while it is resized
KNOWN = ("PNG", "WEBP", "JPEG", "TIFF")  # JPEG and TIFF only to name them: files often carry the wrong suffix
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)  # what Pillow raises


def decode(data: bytes) -> tuple[Picture, Matte]:
    """Straight colour (H, W, 3) and alpha (H, W), both uint8, upright as its EXIF orientation says.

    DataError kinds: undecodable, format, depth, too_large, no_alpha, empty, opaque.
    """
    image = _opened(data)
    try:
        upright = ImageOps.exif_transpose(image)
        rgba = np.asarray(upright.convert("RGBA"))
    except BROKEN:
        raise DataError("undecodable", "the picture's data is broken or cut off") from None
    foreground, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
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


def _opened(data: bytes) -> Image.Image:
    """The picture with its header read and judged."""
    try:
        image = Image.open(io.BytesIO(data), formats=KNOWN)
    except Image.DecompressionBombError:
        raise DataError("too_large", f"the picture has more than {MAX_PIXELS // 10**6} million pixels") from None
    except BROKEN:
        raise DataError("undecodable", "the file is no picture that can be read") from None
    if image.width * image.height > MAX_PIXELS:
        raise DataError("too_large", f"the picture has more than {MAX_PIXELS // 10**6} million pixels")
    if image.format not in {"PNG", "WEBP"}:
        raise DataError("format", f"the file is a {image.format} picture in mode {image.mode}, not PNG or WebP")
    if image.format == "PNG" and data[24] == 16:  # IHDR's bit depth
        raise DataError("depth", "the picture has 16 bits per channel: convert it to 8")
    if not image.has_transparency_data:
        raise DataError("no_alpha", f"the picture has no alpha channel (mode {image.mode})")
    return image
