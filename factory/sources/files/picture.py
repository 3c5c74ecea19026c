"""Any ordinary picture file: its bytes in, upright 8-bit sRGB out, or a fault with a name."""

import io
import struct
import zlib
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

from factory.errors import DataError
from factory.sample import Picture

MAX_PIXELS = 89_000_000  # 0.4 GB as a picture with its matte; Pillow takes more for a bomb
FORMATS = ("PNG", "WEBP", "JPEG", "TIFF", "BMP", "GIF")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)  # what Pillow raises
BITS_PER_SAMPLE, ORIENTATION = 258, 0x0112  # TIFF tags; the second is EXIF's as well
SRGB = ImageCms.createProfile("sRGB")


def decode_picture(data: bytes) -> Picture:
    """(H, W, 3) uint8 sRGB, upright as its EXIF orientation says; of an animation the first frame.

    16 bits per channel are rounded to 8; palettes, greys and CMYK become RGB; an embedded colour profile is honoured;
    an alpha channel is left out.  DataError kinds: undecodable, too_large, depth, format.
    """
    image = open_picture(data, MAX_PIXELS)
    profile = image.info.get("icc_profile", b"")
    return np.ascontiguousarray(_in_srgb(upright(image, data), profile))


def open_picture(data: bytes, most: int) -> Image.Image:
    """The picture with its header read and its size judged.  most: pixels.  Raises DataError."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise DataError("too_large", f"the picture has more than {most // 10**6} million pixels") from None
    except BROKEN:
        raise DataError("undecodable", "the file is no picture that can be read") from None
    if image.width * image.height > most:
        raise DataError("too_large", f"the picture has more than {most // 10**6} million pixels")
    return image


def upright(image: Image.Image, data: bytes) -> Image.Image:
    """All pixels decoded, in at most 8 bits per channel, turned as EXIF says.  image: from `open_picture(data)`.

    Raises DataError("undecodable") where the file is broken or cut off, DataError("depth") for 32-bit channels.
    """
    deep = has_16_bits(image, data)
    if not deep and image.mode in {"I", "F"}:
        raise DataError("depth", "the picture has 32 bits per channel: convert it to 8 or 16")
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
        image.load()  # Pillow notices what OpenCV lets pass: checksums, missing rows
        if deep:
            turned_already = image.format == "TIFF"  # by OpenCV
            image = Image.fromarray(_eight_of_sixteen(data))
            image.getexif()[ORIENTATION] = 1 if turned_already else orientation
        ImageOps.exif_transpose(image, in_place=True)
    except BROKEN:
        raise DataError("undecodable", "the picture's data is broken or cut off") from None
    return image


def has_16_bits(image: Image.Image, data: bytes) -> bool:
    """Whether the file holds 16 bits per channel. Pillow reads most of these by dropping the lower eight."""
    if image.format == "PNG":
        return data[24] == 16  # IHDR's bit depth
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.mode != "CMYK" and 16 in image.tag_v2.get(BITS_PER_SAMPLE, ())
    return False


def _eight_of_sixteen(data: bytes) -> NDArray[np.uint8]:
    """The picture as OpenCV decodes it, rounded to 8 bits: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA."""
    wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if wide is None or wide.dtype != np.uint16:
        raise DataError("depth", "the picture's 16-bit format is not known: convert it to 8 bits per channel")
    levels = ((wide.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if levels.ndim == 2:
        return levels
    return np.asarray(
        cv2.cvtColor(levels, cv2.COLOR_BGR2RGB if levels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA), np.uint8
    )


def _in_srgb(image: Image.Image, profile: bytes) -> Picture:
    """(H, W, 3). A profile that cannot be read, or is made for another kind of pixels, has no say."""
    try:
        if image.mode not in {"RGB", "L", "CMYK"}:
            image = image.convert("L" if image.mode in {"1", "LA"} else "RGB")
        transform = _to_srgb(profile, image.mode) if profile else None
        if transform:
            image = transform.apply(image)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)
    except ValueError:
        raise DataError("format", f"the picture's colours (mode {image.mode}) are of no ordinary kind") from None


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile's colours to sRGB; None where there is none, or nothing to do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, SRGB, mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
