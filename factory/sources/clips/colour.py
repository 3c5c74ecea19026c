"""From a decoded frame's planes to RGB, in float: a keyer must not see a converter's rounding or its chroma blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError

if TYPE_CHECKING:
    from av import VideoFrame

Floats: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = Literal["bt709", "bt601", "fcc", "smpte240m", "rgb"]
Range: TypeAlias = Literal["tv", "pc"]
Siting: TypeAlias = Literal["left", "centre", "topleft"]

LUMA_WEIGHTS = {  # K_R and K_B of Y' = K_R R' + (1 − K_R − K_B) G' + K_B B'
    "bt709": (0.2126, 0.0722),
    "bt601": (0.299, 0.114),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}
TAGGED: dict[int, Matrix] = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m"}  # ITU-T H.273
UNTAGGED = {2, 3}  # unspecified, reserved
WIDE = {9, 10, 12, 13, 14}  # BT.2020 and what is derived from it
WIDE_PRIMARIES = 9
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
FULL_RANGE = 2
HIGH_DEFINITION = 720  # lines from which untagged video is BT.709
OTHER: dict[Matrix, Matrix] = {"bt709": "bt601", "bt601": "bt709"}  # what an assumed matrix may be instead
OUTSIDE = 0.02  # of the range by which coding may take a screen out of the gamut: five levels
REPACKED = {  # what is not planar, and the planar layout with the same samples
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "p010le": "yuv420p10le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "y210le": "yuv422p10le",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """How a clip's samples stand for colours. Decided once per clip, part of the plan.

    assumed: the stream does not name its matrix; the rule by height did, or the clip's screen against it.
    siting: where a chroma sample lies among its luma samples.
    halved: whether rows have fewer chroma samples than luma ones, as in 4:2:0 and 4:2:2.
    """

    matrix: Matrix
    range: Range
    assumed: bool = False
    siting: Siting = "left"
    halved: bool = False

    def __str__(self) -> str:
        return f"{self.matrix} {self.range}" + (" assumed" if self.assumed else "")

    def told(self, height: int) -> str:
        """For people, with the reason where the matrix was assumed against the rule. height: of the coded frames."""
        if not self.assumed or self.matrix == _by_height(height):
            return str(self)
        return f"{self}: as {_by_height(height)} its screen would leave the gamut"


def _by_height(height: int) -> Matrix:
    return "bt709" if height >= HIGH_DEFINITION else "bt601"


def colours_of(frame: "VideoFrame") -> Colours:
    """What the frame's tags say; for an unnamed matrix BT.709 from 720 lines on, else BT.601.

    Raises DataError("hdr") for PQ, HLG and BT.2020, DataError("colours") for matrices that no camera writes.
    """
    if frame.color_trc in HDR_TRANSFERS or frame.color_primaries == WIDE_PRIMARIES or frame.colorspace in WIDE:
        name = HDR_TRANSFERS.get(frame.color_trc, "BT.2020")
        raise DataError("hdr", f"the clip is HDR or of wide gamut ({name}): convert it to BT.709 first")
    if frame.format.is_rgb or frame.format.has_palette:
        return Colours(matrix="rgb", range="pc")
    full = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    if frame.colorspace in UNTAGGED:
        matrix = _by_height(frame.height)
    elif frame.colorspace in TAGGED:
        matrix = TAGGED[frame.colorspace]
    else:
        raise DataError("colours", f"the clip's colour matrix (number {frame.colorspace} of ITU-T H.273) is not known")
    return Colours(
        matrix=matrix,
        range="pc" if full else "tv",
        assumed=frame.colorspace in UNTAGGED,
        siting="centre" if frame.format.name.startswith("yuvj") and frame.colorspace in UNTAGGED else "left",
        halved=len({component.width for component in frame.format.components}) > 1,
    )


def to_rgb(frame: "VideoFrame", colours: Colours) -> Floats:
    """(H, W, 3) in 0..1, gamma-encoded as filmed, in the frame's own orientation; super-white is clipped.

    Chroma is brought to luma's size by a Catmull–Rom spline in float, each sample at its place.
    Raises DataError("format") for a layout of samples that is not known.
    """
    if colours.matrix == "rgb":
        return _from_rgb(frame)
    y, *chroma = _samples(frame, colours)
    if not chroma:  # grey
        return np.repeat(np.clip(y, 0, 1)[..., None], 3, axis=2)
    rgb = _in_matrix(y, chroma, colours.matrix)
    return np.clip(rgb, 0, 1, out=rgb)


def with_evidence(colours: Colours, frame: "VideoFrame", is_screen: NDArray[np.bool_]) -> Colours:
    """The same with the other matrix, where it was assumed and only the other keeps the screen's colour in the gamut.

    Whatever a camera or a program wrote was a colour before it was coded, so its own matrix leads back to one. A pure
    green under the wrong matrix does not come near it: (0, 255, 0) of BT.601 is (−18, 216, −7) in BT.709.
    is_screen: (H, W) in the frame's own orientation, where it surely shows the screen.
    """
    other = OTHER.get(colours.matrix)
    if not colours.assumed or other is None or not is_screen.any():
        return colours
    y, *chroma = (np.median(plane[is_screen], keepdims=True) for plane in _samples(frame, colours))
    if not chroma:
        return colours
    colour = {matrix: _in_matrix(y, chroma, matrix) for matrix in (colours.matrix, other)}
    beyond = {matrix: float(np.abs(rgb - np.clip(rgb, 0, 1)).max()) for matrix, rgb in colour.items()}
    leaves = beyond[colours.matrix] > OUTSIDE >= beyond[other]
    return replace(colours, matrix=other) if leaves else colours


def _samples(frame: "VideoFrame", colours: Colours) -> list[Floats]:
    """Y, Cb and Cr (or Y alone) of each pixel, at luma's size: 0..1 and −0.5..0.5."""
    luma, *chroma = _planes(frame)
    y = _luma(luma, colours.range)
    return [y, *(_full_size(_chroma(plane, colours.range), y.shape, colours.siting) for plane in chroma)]


def _in_matrix(y: Floats, chroma: Sequence[Floats], matrix: Matrix) -> Floats:
    """(..., 3) in 0..1, or beyond where no colour has such samples.  chroma: Cb and Cr."""
    cb, cr = chroma
    kr, kb = LUMA_WEIGHTS[matrix]
    rgb = np.empty((*y.shape, 3), np.float32)
    red, blue = 2 * (1 - kr), 2 * (1 - kb)
    np.add(y, red * cr, out=rgb[..., 0])
    np.add(y, blue * cb, out=rgb[..., 2])
    np.subtract(y, (kr * red * cr + kb * blue * cb) / (1 - kr - kb), out=rgb[..., 1])
    return rgb


def luma_of(frame: "VideoFrame", colours: Colours) -> Floats:
    """(H, W) in 0..1: 16 is 0 and 235 is 1 in limited range. Raises DataError("format")."""
    if colours.matrix == "rgb":
        return np.asarray(_from_rgb(frame).mean(axis=2), np.float32)
    return np.clip(_luma(_planes(frame)[0], colours.range), 0, 1)


def upright(picture: Floats, rotation: int, width: int, height: int) -> Floats:
    """The picture turned as its metadata says, in its display size (pixels made square).

    rotation: degrees counterclockwise, a multiple of 90.
    """
    turned = np.ascontiguousarray(np.rot90(picture, rotation // 90 % 4))
    if turned.shape[:2] == (height, width):
        return turned
    shrinks = turned.shape[1] > width or turned.shape[0] > height
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.clip(np.asarray(cv2.resize(turned, (width, height), interpolation=way), np.float32), 0, 1)


def _from_rgb(frame: "VideoFrame") -> Floats:
    deep = max(component.bits for component in frame.format.components) > 8
    levels: NDArray[Any] = frame.to_ndarray(format="rgb48le" if deep else "rgb24")
    return np.asarray(levels, np.float32) / np.float32(65535 if deep else 255)


def _planes(frame: "VideoFrame") -> list[tuple[NDArray[Any], int]]:
    """Y, Cb, Cr (or Y alone) as they were coded, each with its bits per sample."""
    name = REPACKED.get(frame.format.name)
    if name is not None:
        frame = frame.reformat(format=name)
    layout = frame.format
    known = layout.name.startswith(("yuv", "gray")) and layout.is_planar | layout.name.startswith("gray")
    if not known or layout.is_bit_stream or layout.name.endswith(("f32le", "f32be", "f16le", "f16be")):
        raise DataError("format", f"frames in the layout {layout.name} cannot be read: convert the clip to yuv420p")
    samples = []
    for component in layout.components[:3]:
        if component.is_alpha:
            break
        plane = frame.planes[component.plane]
        kind = np.dtype(np.uint8 if component.bits <= 8 else ">u2" if layout.is_big_endian else "<u2")
        line = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        samples.append((line[: component.height, : component.width], component.bits))
    return samples


def _luma(plane: tuple[NDArray[Any], int], limits: Range) -> Floats:
    """0..1; outside it where the sample is below black or above white."""
    samples, bits = plane
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    black, white = (16 * unit, 235 * unit) if limits == "tv" else (0, top)
    return (samples.astype(np.float32) - np.float32(black)) * np.float32(1 / (white - black))


def _chroma(plane: tuple[NDArray[Any], int], limits: Range) -> Floats:
    """−0.5..0.5."""
    samples, bits = plane
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    span = 224 * unit if limits == "tv" else top
    return (samples.astype(np.float32) - np.float32(128 * unit)) * np.float32(1 / span)


def _full_size(chroma: Floats, shape: tuple[int, ...], siting: Siting) -> Floats:
    """A chroma plane at luma's size."""
    down, across = (-(-luma // small) for luma, small in zip(shape, chroma.shape, strict=True))
    centred = (across - 1) / 2
    grown = _grown(chroma, down, 0.0 if siting == "topleft" else (down - 1) / 2, shape[0])
    return _grown(grown.T, across, centred if siting == "centre" else 0.0, shape[1]).T


def _grown(plane: Floats, factor: int, offset: float, length: int) -> Floats:
    """The first axis at `factor` times its length, cut to `length`; sample j lies at factor·j + offset.

    Catmull–Rom: passes through the samples, reproduces parabolas, no ringing beyond one sample.
    """
    if factor == 1:
        return plane
    rows = plane.shape[0]
    padded = np.pad(plane, ((2, 2), (0, 0)), "edge")
    grown = np.empty((rows * factor, plane.shape[1]), np.float32)
    for phase in range(factor):
        place = (phase - offset) / factor  # in samples, from sample 0
        start = int(np.floor(place))
        t = place - start
        taps = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3)
        rise = [(tap / 2, padded[start + 1 + i : start + 1 + i + rows]) for i, tap in enumerate(taps) if tap]
        total = rise[0][1] * np.float32(rise[0][0])
        for tap, samples in rise[1:]:
            total += np.float32(tap) * samples
        grown[phase::factor] = total
    return grown[:length]
