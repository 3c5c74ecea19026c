"""Make the examples that learn_edges.py trains the networks of factory/greenscreen/keyer/edge_network.py with.

    python benchmarks/edge_examples.py half --out FOLDER --n 5000 --seed 1

and likewise with `drawn`. Examples are squares of scenes: what the keyer knows there before it corrects α, and the true
α. Objects are painted by this project's procedural classes, or are free renderings (MIT and CC0), some with a
photograph (CC0 or of unrestricted use) for their colours; none that benchmarks/keyer.py measures with. `half`: screens
of many colours, with uneven light, spill and noise; H.264 at many strengths, still and moving, of both common chroma
sitings. `drawn`: screens of one colour; objects with soft edges and interiors that are not wholly opaque. Several seeds
can be made at once; an example depends on its seed and on nothing else.
"""

import argparse
import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from keyer import BT601, LIMITED, PICTURES, decoded, read
from material import DATA
from numpy.typing import NDArray

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.filling import fill
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.edges import REACH, features
from factory.greenscreen.keyer.evidence import evidence
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.subsampling import LUMA
from factory.greenscreen.keyer.tiles import tile_of
from factory.sources.clips.colour import LUMA_WEIGHTS, Siting, colours_of, to_rgb
from factory.sources.procedural.registry import REGISTRY
from factory.sources.procedural.render import CLASSES, render

Floats = NDArray[np.float32]

SIDE = 96  # pixels of a square of α; what is known of it reaches REACH farther
SQUARES = 6  # looked for in one scene
EDGES = 0.02  # of a square that must have a fractional α
MISTAKEN = (0.15, 0.12)  # (drawn, half) error of the blurred α from which a square shows no soft edge but a mistake
SMOKE = "rgba_kenney_cc0/smokeparticleassets"
SOFT = ("strands", "plants", "glass_and_smoke", "life")  # modules of the classes that are painted more often
KEYS = [(0, 255, 0)] * 6 + [(0, 0, 255)] * 2 + [(255, 0, 255), (0, 177, 64), (0, 255, 255), (255, 255, 0)]
FIELDS = (10, 6)  # (drawn, half) that the network is told
BT709 = 1


class Example(NamedTuple):
    """One square: (FIELDS, SIDE + 2·REACH, SIDE + 2·REACH) of what is known, (SIDE, SIDE) of the true α; float16."""

    known: NDArray[np.float16]
    alpha: NDArray[np.float16]


def main() -> int:
    """Make one seed's examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("screen", choices=["half", "drawn"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    save_examples(arguments.out, arguments.n, arguments.seed, half=arguments.screen == "half")
    return 0


def save_examples(folder: Path, count: int, seed: int, *, half: bool) -> None:
    """Write `count` examples as one file of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    known = np.empty((count, FIELDS[half], SIDE + 2 * REACH, SIDE + 2 * REACH), np.float16)
    alpha = np.empty((count, SIDE, SIDE), np.float16)
    random = np.random.default_rng(seed)
    done = 0
    while done < count:
        for example in squares(random, half=half):
            if done < count:
                known[done], alpha[done] = example
                done += 1
        print(f"\r{done} of {count}", end="", flush=True)
    np.savez(folder / f"{seed}.npz", known=known, alpha=alpha)
    print()


def squares(random: np.random.Generator, *, half: bool) -> Iterator[Example]:
    """What one scene shows at its edges."""
    if half:
        foreground, alpha = an_object(random)
        picture = filmed(foreground, alpha, random)
    else:
        foreground, alpha = softened(*an_object(random), random)
        picture = as_unit(as_levels(composite(foreground, alpha, a_key(*alpha.shape, random))))
    try:
        screen = find_screen([picture])
        plate = plate_at(clean_plate([picture], screen), *alpha.shape)
    except DataError:
        return
    seen = evidence(picture, plate, screen, KeyerSettings(), halved=half)
    if seen.half != half or not (half or seen.drawn):
        return
    known = features(seen, picture)
    error = np.abs(cv2.GaussianBlur(np.clip(seen.alpha, 0, 1) - alpha, (0, 0), 6))
    fractional = (alpha > 0.01) & (alpha < 0.995)
    height, width = alpha.shape
    if min(height, width) < SIDE:
        return
    for _ in range(SQUARES):
        top, left = (2 * int(random.integers((side - SIDE) // 2 + 1)) for side in (height, width))
        part = (slice(top, top + SIDE), slice(left, left + SIDE))
        if fractional[part].mean() < EDGES or error[part].max() > MISTAKEN[half]:
            continue
        yield Example(tile_of(known, top, left, SIDE, REACH).astype(np.float16), alpha[part].astype(np.float16))


def an_object(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Straight foreground and α, of even sides."""
    if random.random() < 0.65:
        soft = [name for name in CLASSES if REGISTRY[name].draw.__module__.endswith(SOFT)]
        name = str(random.choice(soft if random.random() < 0.7 else list(CLASSES)))
        side = int(random.choice([320, 448, 512, 640, 896], p=[0.2, 0.25, 0.25, 0.2, 0.1]))
        painted = render(name, int(random.integers(2**40)), side)
        foreground, alpha = as_unit(painted.foreground), as_unit(painted.alpha)
    else:
        foreground, alpha = read(_a_rendering(random), int(random.choice([192, 256, 320, 448])))
    height, width = (side // 2 * 2 for side in alpha.shape)
    foreground, alpha = foreground[:height, :width], np.ascontiguousarray(alpha[:height, :width])
    if random.random() < 0.35:
        share = random.uniform(0.3, 1) if random.random() < 0.5 else 1.0
        foreground = foreground + np.float32(share) * (_a_photograph(height, width, random) - foreground)
    if random.random() < 0.5:
        foreground = foreground * (random.uniform(0.5, 1.3) * random.uniform(0.85, 1.15, 3)).astype(np.float32)
    return np.asarray(np.clip(foreground, 0, 1), np.float32), alpha


def softened(foreground: Floats, alpha: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Often in other colours, with soft edges, or not wholly opaque inside, as real mattes and generated ones are."""
    if random.random() < 0.3:
        photograph = _a_photograph(*alpha.shape, random)
        foreground = np.clip(foreground + np.float32(random.uniform(0.5, 1)) * (photograph - foreground), 0, 1)
    if random.random() < 0.35:
        foreground = fill(np.ascontiguousarray(foreground), np.ascontiguousarray(np.minimum(1, 4 * alpha)))
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 10 ** random.uniform(-0.4, 0.5)), np.float32)
    if random.random() < 0.5:
        most = np.float32(10 ** random.uniform(-2.5, -0.5))
        lack = np.ones_like(alpha)  # nowhere opaque, as much glass is
        if random.random() < 0.5:
            lack = clouded(*alpha.shape, random) ** random.uniform(0.5, 3)
        if random.random() < 0.2:  # where it is light, or where it is dark
            light = np.asarray(cv2.GaussianBlur(foreground @ LUMA[0], (0, 0), 2), np.float32)
            light = (light - light.min()) / max(float(np.ptp(light)), 1e-6)
            lack = lack * (light if random.random() < 0.5 else 1 - light)
        alpha = alpha * (1 - most * lack)
    return np.asarray(foreground, np.float32), np.asarray(alpha, np.float32)


def clouded(height: int, width: int, random: np.random.Generator) -> Floats:
    """(H, W) smooth noise of some random size, 0..1."""
    field = np.zeros((height, width), np.float32)
    size = 2 ** random.uniform(3, 7)
    for weight, cell in ((1.0, size), (0.4, size / 2)):
        grid = random.random((max(2, int(height / cell) + 2), max(2, int(width / cell) + 2))).astype(np.float32)
        field += np.float32(weight) * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    field -= field.min()
    return np.asarray(field / max(float(field.max()), 1e-6), np.float32)


def _a_rendering(random: np.random.Generator) -> Path:
    folder = random.choice(["rgba_fluent_emoji_3d", "rgba_kenney_cc0", SMOKE], p=[0.6, 0.2, 0.2])
    files = _renderings(str(folder))
    return files[int(random.integers(len(files)))]


@cache
def _renderings(folder: str) -> list[Path]:
    """Nine of ten are learned from; the tenth, and what the keyer is measured with, are not."""
    measured = {(DATA / file).name for file, _ in PICTURES}
    files = sorted((DATA / folder).rglob("*.webp"))
    return [file for i, file in enumerate(files) if i % 10 and file.name not in measured]


@cache
def _photographs() -> list[Path]:
    folders = (DATA / "backgrounds/kodak24", DATA / "backgrounds/mdn_cc0")
    return sorted(f for folder in folders for f in folder.iterdir() if f.suffix in {".png", ".jpg", ".webp"})


def _a_photograph(height: int, width: int, random: np.random.Generator) -> Floats:
    files = _photographs()
    photograph = as_unit(np.asarray(cv2.imread(str(files[int(random.integers(len(files)))])), np.uint8)[..., ::-1])
    scale = max(height / photograph.shape[0], width / photograph.shape[1]) * random.uniform(1, 1.6)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=way)
    top, left = (int(random.integers(large.shape[i] - side + 1)) for i, side in enumerate((height, width)))
    part = large[top : top + height, left : left + width]
    grey = part.mean(axis=2, keepdims=True)
    tint = random.uniform(0.2, 1, 3) * random.uniform(0.5, 1.2)
    return np.asarray(np.clip((grey + random.uniform() * (part - grey)) * tint + random.uniform(0, 0.25), 0, 1))


# ---- filming


def filmed(foreground: Floats, alpha: Floats, random: np.random.Generator) -> Floats:
    """The object before a screen, as a decoder shows it."""
    screen = a_screen(*alpha.shape, random)
    spilled = np.clip(foreground + np.float32(random.uniform(0, 0.15)) * screen, 0, 1)
    noise, frames = random.uniform(0, 3) / 255, 1 if random.random() < 0.6 else 3
    way = random.integers(-4, 5, 2)
    clip = []
    for i in range(frames):  # the last one is where the object is
        moved = [np.roll(field, tuple(way * (i + 1 - frames)), axis=(0, 1)) for field in (spilled, alpha)]
        lit = composite(moved[0], moved[1], screen)
        clip.append(as_levels(lit + random.normal(0, noise, lit.shape).astype(np.float32)))
    options = {"crf": str(random.integers(14, 28)), "preset": str(random.choice(["fast", "medium", "slow"]))}
    return coded(clip, options, "left" if random.random() < 0.5 else "centre", hd=bool(random.random() < 0.3))


def a_key(height: int, width: int, random: np.random.Generator) -> Floats:
    """A drawn screen, mostly green."""
    key = np.asarray(KEYS[int(random.integers(len(KEYS)))], np.float32) / 255
    return np.broadcast_to(key, (height, width, 3))


def a_screen(height: int, width: int, random: np.random.Generator) -> Floats:
    """Mostly green, else blue or yellow; with light from a side and a vignette."""
    while True:
        colour = np.array([random.uniform(20, 110), random.uniform(110, 210), random.uniform(20, 120)])
        if random.random() < 0.25:
            colour = colour[[0, 2, 1]] if random.random() < 0.7 else colour[[1, 1, 0]]
        if np.ptp(colour) > 60:
            break
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    slope_u, slope_v, fall = random.uniform(-0.15, 0.15), random.uniform(-0.1, 0.1), random.uniform(0, 0.12)
    light = 1 + slope_u * u + slope_v * v - fall * (u * u + v * v)
    return np.asarray(light[..., None] * colour / 255, np.float32)


def coded(clip: list[NDArray[np.uint8]], options: dict[str, str], siting: Siting, *, hd: bool) -> Floats:
    """The last frame of a clip after H.264 with 4:2:0 chroma of this siting."""
    file = io.BytesIO()
    space = BT709 if hd else BT601
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"threads": "1", **options})
        stream.height, stream.width = clip[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, LIMITED
        for picture in clip:
            frame = av.VideoFrame.from_ndarray(subsampled(picture, siting, hd=hd), format="yuv420p")
            frame.colorspace, frame.color_range = space, LIMITED
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    *_, last = decoded(file.getvalue())
    return to_rgb(last, replace(colours_of(last), siting=siting))


def subsampled(picture: NDArray[np.uint8], siting: Siting, *, hd: bool) -> NDArray[np.uint8]:
    """(H, W, 3) as the planes of limited-range yuv420p, (1.5·H, W)."""
    kr, kb = LUMA_WEIGHTS["bt709" if hd else "bt601"]
    r, g, b = cv2.split(as_unit(picture))
    luma = kr * r + (1 - kr - kb) * g + kb * b
    planes = [16 + 219 * luma]
    for chroma in ((b - luma) / (2 - 2 * kb), (r - luma) / (2 - 2 * kr)):
        rows = chroma[::2] + chroma[1::2]
        wide = np.pad(rows, ((0, 0), (1, 1)), mode="edge")
        left = (wide[:, :-2:2] + 2 * rows[:, ::2] + wide[:, 2::2]) / 8
        planes.append(128 + 224 * (left if siting == "left" else (rows[:, ::2] + rows[:, 1::2]) / 4))
    flat = np.concatenate([plane.ravel() for plane in planes])
    return np.clip(np.rint(flat), 0, 255).astype(np.uint8).reshape(-1, picture.shape[1])


if __name__ == "__main__":
    sys.exit(main())
