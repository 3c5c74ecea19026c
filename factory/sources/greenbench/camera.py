"""What cameras, codecs, telephones and image models make of a scene."""

import io
from fractions import Fraction

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.sample import Picture
from factory.sources.greenbench.looks import clouds
from factory.sources.greenbench.stage import Light

FRAMES = 3  # of the same scene, each with noise of its own; the last one is taken, which was predicted from others
BIT_EQUAL = "mbtree=0:rc-lookahead=0"  # its tree of macroblocks reads memory that was never written: bytes vary
BT709, LIMITED = 1, 1
KR, KB = 0.2126, 0.0722  # of BT.709


def sensor(light: Light, noise: float, random: Generator) -> Picture:
    """Noise of the sensor and of the light itself. noise: σ in levels, at middle grey."""
    sigma = noise * np.sqrt(0.35 + 1.3 * light) / 255
    return as_levels(light + random.normal(0, 1, light.shape).astype(np.float32) * sigma)


def h264(frames: list[Picture], crf: int) -> Picture:
    """The last of the frames after x264."""
    return coded(frames, crf)[-1]


def coded(frames: list[Picture], crf: int) -> list[Picture]:
    """A clip after x264 at 4:2:0, one thread.

    Conversions are our own, of BT.709 in video range: swscale's depend on the processor. Width and height are even.
    """
    import av  # noqa: PLC0415  (only workers need it)

    file = io.BytesIO()
    height, width = frames[0].shape[:2]
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(crf), "threads": "1", "preset": "medium", "x264-params": BIT_EQUAL}
        stream = container.add_stream("libx264", rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = BT709, LIMITED
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_to_planes(frame), format="yuv420p")))
        container.mux(stream.encode())
    with av.open(io.BytesIO(file.getvalue()), "r") as clip:
        decoded = [frame.to_ndarray() for frame in clip.decode(video=0)]
    return [_from_planes(np.asarray(planes, np.uint8), height, width) for planes in decoded]


def _to_planes(picture: Picture) -> NDArray[np.uint8]:
    """(3H/2, W) planes of yuv420p; chroma is the mean of four pixels."""
    height, width = picture.shape[:2]
    r, g, b = cv2.split(as_unit(picture))
    y = KR * r + (1 - KR - KB) * g + KB * b
    halves = [cv2.resize(c - y, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for c in (b, r)]
    planes = [16 + 219 * y, *(128 + 112 * half / (1 - k) for half, k in zip(halves, (KB, KR), strict=True))]
    flat = [np.clip(np.rint(plane), 0, 255).astype(np.uint8).reshape(-1) for plane in planes]
    return np.concatenate(flat).reshape(height * 3 // 2, width)


def _from_planes(planes: NDArray[np.uint8], height: int, width: int) -> Picture:
    """RGB again; chroma is interpolated."""
    flat = planes.reshape(-1)
    count = height * width
    y = (flat[:count].reshape(height, width).astype(np.float32) - 16) / 219
    halves = flat[count:].reshape(2, height // 2, width // 2).astype(np.float32)
    u, v = (cv2.resize((half - 128) / 112, (width, height), interpolation=cv2.INTER_LINEAR) for half in halves)
    r, b = y + v * (1 - KR), y + u * (1 - KB)
    g = (y - KR * r - KB * b) / (1 - KR - KB)
    return as_levels(np.dstack([r, g, b]))


def phone(picture: Picture, smear: float, sharpening: float, quality: int) -> Picture:
    """A telephone's picture: noise smeared away with fine detail, edges sharpened, JPEG at 4:2:0.

    smear: levels within which neighbours are averaged.  sharpening: of the unsharp mask.
    """
    smooth = cv2.bilateralFilter(picture.astype(np.float32), 5, smear, 2.0)
    soft = cv2.GaussianBlur(smooth, (0, 0), 1.3)
    sharp = np.clip(np.rint(smooth + sharpening * (smooth - soft)), 0, 255).astype(np.uint8)
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(sharp, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise DataError("unencodable", "the picture could not be encoded as JPEG")
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def painter(light: Light, ringing: float, noise: float, random: Generator) -> Picture:
    """The texture that a decoder of latents leaves: overshoot along edges, noise in cells of eight pixels and fine."""
    size = light.shape[0]
    ringed = light + ringing * (light - cv2.GaussianBlur(light, (0, 0), 1.4))
    cells = np.dstack([clouds((size, size), size / 8, random, 2) - 0.5 for _ in range(3)])
    fine = cv2.GaussianBlur(random.normal(0, 1, light.shape).astype(np.float32), (0, 0), 0.7)
    return as_levels(np.clip(ringed + (6 * cells + 1.6 * fine) * noise / 255, 0, 1))
