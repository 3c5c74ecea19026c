"""One seed, one object: its looks and pose are drawn, it is measured, fitted into the frame and painted."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from factory.errors import UsageError
from factory.sample import Matte, Picture
from factory.sources.captioning.names import with_article
from factory.sources.procedural import blurred, glass_and_smoke, life, meshes, plants, strands, things, tools
from factory.sources.procedural.canvas import Canvas, View
from factory.sources.procedural.palette import COLOURS, jittered
from factory.sources.procedural.registry import REGISTRY, ObjectClass
from factory.sources.procedural.textures import textured

PAINTERS = (blurred, glass_and_smoke, life, meshes, plants, strands, things, tools)
CLASSES: tuple[str, ...] = tuple(sorted(REGISTRY))
EXTENT = {"small": (0.45, 0.55), "": (0.70, 0.82), "large": (0.88, 0.93)}  # longer side ÷ frame, of a square object
ASIDE = np.array([[1.0, 0, 100], [0, 1, 100], [0, 0, 1]])  # off the canvas: the object is measured, nothing is painted
LONGEST = {"small": 0.62, "": 0.92, "large": 0.94}  # long objects take more of the frame, up to this


@dataclass(frozen=True, slots=True)
class Rendered:
    """An object in the middle of a square frame.

    foreground: (size, size, 3) uint8 straight colour, defined everywhere.  alpha: (size, size) uint8 coverage.
    """

    foreground: Picture
    alpha: Matte
    caption: str
    class_name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the caption says and the picture shows; empty where nothing is said."""

    colour: str
    size: str
    tilt: str
    pattern: str


def vocabulary() -> tuple[str, ...]:
    """Every word a caption may hold, sorted."""
    patterns = {p for c in REGISTRY.values() for p in c.patterns}
    words = {w for name in CLASSES for w in name.split()} | {c for k in REGISTRY.values() for c in k.colours}
    return tuple(sorted(words | patterns | {"a", "an", "tilted", *EXTENT} - {""}))


def render(class_name: str, seed: int, size: int, without: tuple[str, ...] = ()) -> Rendered:
    """Paint one object. A pure function of its arguments; the same seed gives the same object at every size.

    seed: any non-negative integer.  size: pixels per side, at least 8.  without: colour names not to use.
    """
    if class_name not in REGISTRY:
        raise UsageError(f"no procedural class is named {class_name!r}: choose from {', '.join(CLASSES)}")
    kind = REGISTRY[class_name]
    rng = default_rng([seed, crc32(class_name.encode())])
    look = _draw_look(kind, rng, without)
    caption = _caption(kind, look, rng)
    colour = jittered(look.colour, rng)
    pose = _draw_pose(kind, look, rng)
    light = np.radians(rng.uniform(-160, -20))
    towards = (float(np.cos(light)), float(np.sin(light)))
    extent = rng.uniform(*EXTENT[look.size])
    hand = int(rng.integers(2**62))

    pose = ASIDE @ pose
    measured = Canvas(2, View(pose, towards), default_rng(hand), colour, pattern=look.pattern)
    kind.draw(measured)
    wide, high = measured.high - measured.low
    extent = min(extent * max(wide / high, high / wide) ** 0.25, max(extent, LONGEST[look.size]))
    fitted = _fit(measured.low, measured.high, size, extent) @ pose
    canvas = Canvas(size, View(fitted, towards), default_rng(hand), colour, pattern=look.pattern)
    kind.draw(canvas)
    foreground, alpha = canvas.finish()
    return Rendered(foreground, alpha, caption, class_name, look.colour)


def with_texture(drawn: Rendered, rng: Generator) -> Rendered:
    """The object in colours that no word names; its caption is the class alone."""
    name = drawn.class_name
    foreground = textured(drawn.foreground, drawn.alpha, rng)
    caption = with_article(name) if REGISTRY[name].article else name
    return Rendered(foreground, drawn.alpha, caption, name, colour="")


def _draw_look(kind: ObjectClass, rng: Generator, without: tuple[str, ...]) -> Look:
    colours = [c for c in kind.colours if c not in without]
    if not colours:
        raise UsageError(
            f"every colour of {kind.name!r} vanishes in this screen: leave the class out or change the key"
        )
    colour = colours[int(rng.integers(len(colours)))]
    size = str(rng.choice(["", "small", "large"], p=[0.85, 0.07, 0.08]))
    tilt = "tilted" if rng.random() < 0.08 and kind.turn < 20 else ""
    pattern = str(rng.choice(["", *kind.patterns])) if rng.random() < 0.3 else ""
    return Look(colour, size, tilt, pattern)


def _caption(kind: ObjectClass, look: Look, rng: Generator) -> str:
    """Mostly everything that is seen; sometimes without article, sometimes the class alone."""
    form = rng.random()
    words = [kind.name] if form < 0.1 else [look.size, look.tilt, look.pattern, look.colour, kind.name]
    phrase = " ".join(w for w in words if w)
    if 0.1 <= form < 0.2 or not kind.article:
        return phrase
    return with_article(phrase)


def _draw_pose(kind: ObjectClass, look: Look, rng: Generator) -> NDArray[np.float64]:
    """(3, 3): mirror, stretch, shear, rotation and a slight perspective."""
    mirror = -1.0 if kind.mirror and rng.random() < 0.5 else 1.0
    stretch = np.exp(rng.uniform(-0.07, 0.07))
    shear = rng.uniform(-0.06, 0.06)
    angle = np.radians(rng.uniform(-kind.turn, kind.turn))
    if look.tilt:
        angle = np.radians(rng.uniform(28, 45) * rng.choice([-1, 1]))
    cos, sin = np.cos(angle), np.sin(angle)
    shape = np.array([[mirror * stretch, shear], [0, 1 / stretch]])
    pose = np.eye(3)
    pose[:2, :2] = np.array([[cos, -sin], [sin, cos]]) @ shape
    pose[2, :2] = rng.uniform(-0.06, 0.06, 2)
    return pose


def _fit(low: NDArray[np.float64], high: NDArray[np.float64], size: int, extent: float) -> NDArray[np.float64]:
    """The similarity that centres a box in the frame, its longer side `extent` of the frame's."""
    scale = extent * size / float((high - low).max())
    shift = size / 2 - scale * (low + high) / 2
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])


VOCABULARY: tuple[str, ...] = vocabulary()
assert set(COLOURS) >= {c for k in REGISTRY.values() for c in k.colours}
