"""ffmpeg's `chromakey` and `colorkey`, told the screen's true colour and tuned for one scene by who knows its true α.

The search computes what the filters compute (their arithmetic, on planes that swscale has converted once), for a filter
graph for each setting takes seconds a scene. What is handed out is the output of the real filter for the setting that
was found; tests/test_labels.py holds the two equal, to the bit.
"""

import time
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from factory.sample import Matte

KEYED_AS = {
    ("chromakey", "rgb24"): "yuva444p",
    ("chromakey", "yuv420p"): "yuva420p",
    ("colorkey", "rgb24"): "rgba",
    ("colorkey", "yuv420p"): "rgba",
}
FILTERS = ("chromakey", "colorkey")
NO_BLEND = 1e-4  # up to here the filters know only 0 and 255
TO_U = (-0.16874, -0.33126, 0.5)  # of BT.601 at full range, as chromakey converts the key
TO_V = (0.5, -0.41869, -0.08131)
Levels = NDArray[np.uint8]
Distances = NDArray[np.float64]


class Setting(NamedTuple):
    """Of one filter, as it is written into the graph."""

    filter: str
    similarity: float
    blend: float


class Counted(NamedTuple):
    """The distances that there are, and of the pixels of each their number and the sums of their true α and its square.

    A screen has few colours, so this is a fraction of the pixels.
    """

    distance: Distances
    pixels: Distances
    first: Distances
    second: Distances

    def mse(self, setting: Setting) -> float:
        """Of the matte that a setting makes of them, over the whole picture."""
        alpha = computed(self.distance, setting).astype(np.float64)
        squares = (self.pixels * alpha - 2 * self.first) @ alpha + self.second.sum()
        return float(squares / self.pixels.sum() / 255**2)


class Tuned(NamedTuple):
    """The best matte, and how long the filter took for it."""

    alpha: Matte
    seconds: float


def best_of_ffmpeg(coded: Levels, colour: tuple[int, int, int], truth: Matte) -> Tuned:
    """The matte of the setting of least MSE: on a grid for either filter, then on a finer one about the best.

    coded: (H, W, 3) rgb24, or the planes of yuv420p.  colour: of the screen, sRGB.
    """
    tried: dict[Setting, float] = {}
    for name in FILTERS:
        known = counted(distances(coded, colour, name), truth)
        grid = [(float(s), b) for s in np.geomspace(0.01, 0.5, 8) for b in (0.0, 0.05, 0.15, 0.3, 0.5, 0.8)]
        for _ in range(2):
            for s, b in grid:
                setting = Setting(name, round(max(s, 1e-5), 5), round(b, 4))
                if setting not in tried:
                    tried[setting] = known.mse(setting)
            _, s, b = min((one for one in tried if one.filter == name), key=lambda one: tried[one])
            grid = [(s * f, max(b + d, 0)) for f in (0.8, 0.9, 1, 1.12, 1.25) for d in (-0.05, -0.02, 0, 0.03, 0.06)]
    best = min(tried, key=lambda one: tried[one])
    begin = time.perf_counter()
    return Tuned(filtered(coded, colour, best), time.perf_counter() - begin)


def filtered(coded: Levels, colour: tuple[int, int, int], setting: Setting) -> Matte:
    """The α that the real filter makes."""
    r, g, b = colour
    words = f"color=0x{r:02x}{g:02x}{b:02x}:similarity={setting.similarity:.5f}:blend={setting.blend:.4f}"
    frame = _through(coded, setting.filter, (setting.filter, words), ("alphaextract",))
    return np.asarray(frame.to_ndarray(format="gray"), np.uint8)


def computed(distance: Distances, setting: Setting) -> Matte:
    """The α that the filter makes of distances from the key."""
    above = distance - np.float64(np.float32(setting.similarity))
    if setting.blend <= NO_BLEND:
        return np.asarray(255 * (above > 0), np.uint8)
    blend = np.float32(setting.blend)
    share = above * np.float64(1 / blend) if setting.filter == "colorkey" else above / np.float64(blend)
    return (255 * np.clip(share, 0, 1)).astype(np.uint8)


def distances(coded: Levels, colour: tuple[int, int, int], name: str) -> Distances:
    """How far each pixel's colour is from the key for a filter: 0..1, (H, W)."""
    frame = _through(coded, name)
    if name == "colorkey":
        away = np.asarray(frame.to_ndarray(), np.int32)[..., :3] - np.array(colour, np.int32)
        return np.sqrt(np.square(away).sum(axis=2) / (255.0 * 255.0 * 3.0))
    u, v = (_plane(frame, index) - _key(colour, weights) for index, weights in ((1, TO_U), (2, TO_V)))
    apart = np.sqrt((u * u + v * v) / (255.0 * 255.0 * 2))
    if apart.shape[0] < frame.height:  # chroma of half resolution: each sample counts for four pixels
        apart = apart.repeat(2, axis=0).repeat(2, axis=1)[: frame.height, : frame.width]
    return _mean_of_nine(apart)


def counted(distance: Distances, truth: Matte) -> Counted:
    """What the search needs of a picture."""
    found, place = np.unique(distance, return_inverse=True)
    place, alpha = place.ravel(), truth.ravel().astype(np.float64)
    sums = (np.bincount(place, weights).astype(np.float64) for weights in (None, alpha, alpha * alpha))
    return Counted(found, *sums)


def _mean_of_nine(apart: Distances) -> Distances:
    """Means over 3 × 3 pixels, added up in the filter's order.

    Beyond the picture the filter goes on with what it last read there: to the right the last column; to the left and
    below what stood there when it came by, the last column but one of the row before and a corner; above, and left of
    the first row, the key itself.
    """
    height, width = apart.shape
    padded = np.zeros((height + 2, width + 2))
    padded[1:-1, 1:-1] = apart
    padded[1:-1, -1] = apart[:, -1]
    padded[2:, 0] = apart[:, -2]
    below = [apart[-1, -2], apart[-1, -1], apart[-1, -1]]
    total = np.zeros((height, width))
    for down in range(3):
        for across in range(3):
            part = padded[down : down + height, across : across + width].copy()
            if across == 0:
                part[0, 0] = 0
            if down == 2:
                part[-1] = below[across]
            total += part
    return total / 9


def _key(colour: tuple[int, int, int], weights: tuple[float, float, float]) -> int:
    fixed = [round(abs(weight) * 1024) * (1 if weight > 0 else -1) for weight in weights]
    return (sum(f * c for f, c in zip(fixed, colour, strict=True)) + 511 >> 10) + 128


def _plane(frame: av.VideoFrame, index: int) -> NDArray[np.int32]:
    plane = frame.planes[index]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].astype(np.int32)


def _through(coded: Levels, name: str, *further: tuple[str, ...]) -> av.VideoFrame:
    """The picture as a filter is given it, and through further ones. On one thread: borders depend on their number."""
    frame = av.VideoFrame.from_ndarray(coded, format="rgb24" if coded.ndim == 3 else "yuv420p")
    graph = av.filter.Graph()
    graph.threads = 1
    chain = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)),
        graph.add("format", KEYED_AS[name, frame.format.name]),
        *(graph.add(*one) for one in further),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*chain).configure()
    graph.push(frame)
    result = graph.pull()
    assert isinstance(result, av.VideoFrame)
    return result
