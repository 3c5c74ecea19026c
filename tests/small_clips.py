"""Small clips, encoded here with the encoders that PyAV bundles: every trait a camera or a careless export gives one.

Frame i of a clip shows its number as eight bars (its bits), so that a test can tell which frame it was handed.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

MATRICES = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}
TAGS = {"bt709": 1, "bt601": 6, "bt2020": 9}
TRANSFERS = {"bt709": 1, "pq": 16, "hlg": 18}
BARS = 8
Pixels = NDArray[np.uint8]


def numbered(number: int, size: tuple[int, int] = (96, 160), screen: Sequence[int] = (0, 177, 64)) -> Pixels:
    """(H, W, 3): eight white or black bars along the top quarter say the number; below a figure on a screen."""
    height, width = size
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = screen
    for bit in range(BARS):
        left, right = bit * width // BARS, (bit + 1) * width // BARS
        picture[: height // 4, left:right] = 255 if number >> bit & 1 else 0
    top, left = height // 2, width // 4 + number % 8
    picture[top : height - 4, left : left + width // 3] = (200, 40, 60)
    return picture


def number_of(picture: NDArray[np.floating[Any]]) -> int:
    """The number that `numbered` drew, from a float picture in 0..1."""
    height, width = picture.shape[:2]
    row = picture[height // 8, [bit * width // BARS + width // (2 * BARS) for bit in range(BARS)]].mean(axis=1)
    return int(sum(1 << bit for bit in range(BARS) if row[bit] > 0.5))


def planes(picture: Pixels, *, matrix: str, full: bool, bits: int, across: int, down: int) -> list[NDArray[Any]]:
    """Y, Cb, Cr of a picture in float64 and rounded: the reference the reader is measured against.

    Chroma is averaged over `across` by `down` luma samples, so its siting is central.
    """
    kr, kb = MATRICES[matrix]
    r, g, b = np.moveaxis(picture.astype(np.float64) / 255, -1, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    chroma = [(b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))]
    height, width = y.shape
    padded = [np.pad(c, ((0, -height % down), (0, -width % across)), "edge") for c in chroma]
    small = [c.reshape(c.shape[0] // down, down, c.shape[1] // across, across).mean(axis=(1, 3)) for c in padded]
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    luma = y * top if full else (16 + 219 * y) * unit
    colour = [(c * top if full else c * 224 * unit) + 128 * unit for c in small]
    return [np.clip(np.rint(p), 0, top).astype(np.uint16 if bits > 8 else np.uint8) for p in (luma, *colour)]


def filled(frame: av.VideoFrame, content: Sequence[NDArray[Any]]) -> av.VideoFrame:
    """The frame with its planes' rows overwritten."""
    for plane, values in zip(frame.planes, content, strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        line = values.view(np.uint8).reshape(values.shape[0], -1)
        rows[: line.shape[0], : line.shape[1]] = line
    return frame


def encode(
    path: Path,
    pictures: Iterable[Pixels],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    matrix: str = "bt709",
    tagged: str = "",
    transfer: str = "",
    full: bool = False,
    times: Sequence[int] | None = None,
    rate: int = 25,
    rotation: int = 0,
    aspect: Fraction | None = None,
    container: str | None = None,
    container_options: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip.

    matrix: how the planes are computed.  tagged: what the stream says about it ("" = nothing).
    full: full range, tagged so.  times: presentation times in 1/1000 s, else constant `rate`.
    """
    layout = av.VideoFormat(pixels, 16, 16)
    bits = layout.components[0].bits
    across, down = 16 // layout.chroma_width(16), 16 // layout.chroma_height(16)
    with av.open(str(path), "w", format=container, options=dict(container_options or {})) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.options = {"preset": "ultrafast", "crf": "6"} | dict(options or {}) if "x26" in codec else options or {}
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.thread_count = 1
        if times is not None:
            context.time_base = Fraction(1, 1000)
        if tagged:
            context.colorspace = TAGS[tagged]
            context.color_primaries = TAGS[tagged]
        if transfer:
            context.color_trc = TRANSFERS[transfer]
        if full:
            context.color_range = 2
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame(picture.shape[1], picture.shape[0], pixels)
            filled(frame, planes(picture, matrix=matrix, full=full, bits=bits, across=across, down=down))
            frame.color_range = 2 if full else 1
            frame.colorspace = TAGS[tagged] if tagged else 2
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            for packet in stream.encode(frame):
                output.mux(packet)
        for packet in stream.encode(None):
            output.mux(packet)
    return path
