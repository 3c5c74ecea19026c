"""Any ordinary picture file: its bytes in, upright 8-bit sRGB out, or a fault with a name.

The one reader of all sources, of `evaluate` and of `identify`: what one of them reads, all read, and alike.
"""

import io
import logging
import struct
import warnings
import zlib
from contextlib import nullcontext, suppress
from functools import lru_cache
from importlib import import_module
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin, TiffImagePlugin, features

from factory.errors import DataError
from factory.pictures.muting import muted
from factory.sample import Matte, Picture

MAX_PIXELS = 128_000_000  # medium format has 102 million; Pillow takes more for a bomb
BROKEN = (  # what Pillow raises; a RuntimeError is its AVIF decoder's
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, RuntimeError),
    *(struct.error, zlib.error),
)
BITS_PER_SAMPLE, EXTRA_SAMPLES, ORIENTATION = 258, 338, 0x0112  # TIFF tags; the last is EXIF's as well
MULTIPLIED = 1  # the extra sample of a TIFF is alpha, and the colours are multiplied by it
HALVED = 2  # Pillow's word for 4:2:0
SRGB = ImageCms.createProfile("sRGB")

# What Pillow warns of and logs is judged here, or is a fault with a name; its own lines would not name the file.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _formats() -> dict[str, tuple[str, ...]]:
    """Pillow's name of each format that is read here → the suffixes of its files."""
    known = {
        "PNG": (".png",),
        "WEBP": (".webp",),
        "JPEG": (".jpg", ".jpeg"),
        "TIFF": (".tif", ".tiff"),
        "BMP": (".bmp",),
        "GIF": (".gif",),
    }
    if features.check("avif"):
        known["AVIF"] = (".avif",)
    with suppress(ImportError):  # it is the user's to install
        import_module("pillow_heif").register_heif_opener()
        known["HEIF"] = (".heic", ".heif")
    return known


FORMATS = _formats()
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)


def decode_picture(data: bytes) -> Picture:
    """(H, W, 3) uint8 sRGB, upright as its EXIF orientation says; of an animation the first frame.

    16 bits per channel are rounded to 8; palettes, greys and CMYK become RGB; an embedded colour profile is honoured;
    an alpha channel is left out.  DataError kinds: undecodable, too_large, depth, format.
    """
    return decode_layers(data)[0]


def decode_layers(data: bytes) -> tuple[Picture, Matte | None]:
    """As `decode_picture`, with the alpha (H, W) uint8 beside it; None where the file has none."""
    image = open_picture(data)
    profile = profile_of(image)
    colour, alpha = layers(upright(image, data))
    return in_srgb(colour, profile), alpha


def probe_picture(data: bytes) -> tuple[int, int, DataError | None]:
    """Width, height (−1 where unknown) and what the header already tells to be wrong; decodes no pixels."""
    try:
        image = open_picture(data)
    except DataError as fault:
        return -1, -1, fault
    return image.width, image.height, None


def chroma_is_halved(data: bytes) -> bool:
    """Whether the file surely keeps colour at half of the picture's resolution, down and across: JPEG's 4:2:0."""
    image = open_picture(data)
    return isinstance(image, JpegImagePlugin.JpegImageFile) and JpegImagePlugin.get_sampling(image) == HALVED


def open_picture(data: bytes) -> Image.Image:
    """The picture with its header read and its size judged. Raises DataError."""
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
    except Image.DecompressionBombError:
        raise _too_large() from None
    except BROKEN:
        raise DataError("undecodable", "the file is no picture that can be read") from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_large()
    if image.mode in {"I", "F"} and not has_16_bits(image, data):
        raise DataError("depth", "the picture has 32 bits per channel: convert it to 8 or 16")
    return image


def _too_large() -> DataError:
    return DataError("too_large", f"the picture has more than {MAX_PIXELS // 10**6} million pixels: make it smaller")


def upright(image: Image.Image, data: bytes) -> Image.Image:
    """All pixels decoded, in at most 8 bits per channel, turned as EXIF says.  image: from `open_picture(data)`.

    Raises DataError("undecodable") where the file is broken or cut off, DataError("depth") for odd 16-bit channels.
    """
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
        with muted() if image.format == "TIFF" else nullcontext():
            image.load()  # Pillow notices what OpenCV lets pass: checksums, missing rows
        if has_16_bits(image, data):
            turned_already = image.format == "TIFF"  # by OpenCV
            image = Image.fromarray(_eight_of_sixteen(image, data))
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


def _eight_of_sixteen(image: Image.Image, data: bytes) -> NDArray[np.uint8]:
    """The picture as OpenCV decodes it, rounded to 8 bits: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA."""
    with muted():
        wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if wide is None or wide.dtype != np.uint16 or wide.shape[2:] not in {(), (3,), (4,)}:
        raise DataError("depth", "the picture's 16-bit format is not known: convert it to 8 bits per channel")
    if wide.ndim == 2:
        return _rounded(wide)
    if wide.shape[2] == 3:
        return _rounded(wide[..., ::-1])
    colour, alpha = wide[..., 2::-1], wide[..., 3]
    if isinstance(image, TiffImagePlugin.TiffImageFile) and MULTIPLIED in image.tag_v2.get(EXTRA_SAMPLES, ()):
        colour = divided(colour, alpha)
    return _rounded(np.dstack([colour, alpha]))


def _rounded(wide: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(np.ascontiguousarray(wide), alpha=1 / 257), np.uint8)  # to the nearest


def divided(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Straight colour (H, W, 3) from one that is multiplied by alpha (H, W), both of 8 or of 16 bits; 0 where α is."""
    top = np.iinfo(colour.dtype).max
    a = np.maximum(alpha, 1).astype(np.uint32)[..., None]
    straight = np.minimum((colour * np.uint32(top) + a // 2) // a, top)
    return np.asarray(straight, colour.dtype)


def profile_of(image: Image.Image) -> bytes:
    """The colour profile in the file; b"" where there is none."""
    return bytes(image.info.get("icc_profile") or b"")


def layers(image: Image.Image) -> tuple[Image.Image, Matte | None]:
    """A decoded picture's colours, still in its own colour space (mode RGB, L or CMYK), and its alpha, if it has one.

    Colours that their format keeps multiplied by alpha come out straight.  Raises DataError("format").
    """
    try:
        if image.has_transparency_data:
            rgba = image if image.mode == "RGBA" else image.convert("RGBA")
            colour = rgba.convert("L" if image.mode in {"L", "LA", "La"} else "RGB")
            return colour, np.asarray(rgba.getchannel("A"), np.uint8)
        if image.mode in {"RGB", "L", "CMYK"}:
            return image, None
        return image.convert("L" if image.mode == "1" else "RGB"), None
    except ValueError:
        raise DataError("format", f"the picture's colours (mode {image.mode}) are of no ordinary kind") from None


def in_srgb(colour: Image.Image, profile: bytes) -> Picture:
    """(H, W, 3). A profile that cannot be read, or is made for another kind of pixels, has no say."""
    transform = _to_srgb(profile, colour.mode) if profile else None
    if transform:
        colour = transform.apply(colour)
    return np.asarray(colour if colour.mode == "RGB" else colour.convert("RGB"), np.uint8)


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
