"""The keyer against ffmpeg's `chromakey` and `colorkey`, tuned for each scene by a search that knows the true α.

    python benchmarks/keyer.py [--held-out] [--frames 12]

Scenes: RGBA pictures with known α on three screens. *pure*: (0, 255, 0). *studio*: a muted green of uneven light, a
tenth of the screen's light on the foreground, noise of σ = 2.5 levels. *h264*: studio through x264 at crf 20, 4:2:0.
Our keyer knows nothing of them but the picture and that h264 is 4:2:0. The peers are told the screen's true colour and
take the setting of least MSE on a grid of similarity × blend and on a finer one about its best. Figures are ratios of
means.
The keyer's settings were chosen with these pictures and some more; `--held-out` measures with others, which neither
settings nor the networks of edges.py have seen: photographs with measured α, renderings.
Speed: 1080p frames of a clip that this script encodes, the next frame decoded by a thread while one is keyed.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from ffmpeg_keys import best_of_ffmpeg
from figures import exit_code, shown
from material import DATA
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.quality.metrics import gradient_error, mse, whole
from factory.sample import Matte, Picture
from factory.sources.clips.colour import colours_of, to_rgb

PICTURES = [  # path below DATA, long side it is shown at
    ("pymatting_lemur/lemur_foreground.png", 680),
    ("rgba_layerdiffuse/cli_cat.png", 1024),
    ("rgba_layerdiffuse/cli_t2i_0_transparent.png", 640),
    ("rgba_layerdiffuse/rc_dreamshaper_sd.png", 512),
    ("rgba_artmsra_semi/fg/case_10_output_1.png", 512),
    ("rgba_artmsra_semi/fg/case_2_output_0.png", 512),
    ("rgba_artmsra_semi/fg/case_4_output_2.png", 512),
    ("rgba_artmsra_semi/fg/case_8_output_2.png", 512),
    ("rgba_kenney_cc0/smokeparticleassets/whitePuff03.webp", 448),
    ("rgba_kenney_cc0/smokeparticleassets/blackSmoke07.webp", 448),
    ("rgba_fluent_emoji_3d/man_beard.webp", 448),
    ("rgba_fluent_emoji_3d/kite.webp", 448),
    ("rgba_fluent_emoji_3d/parrot.webp", 448),
    ("rgba_fluent_emoji_3d/lobster.webp", 448),
]
HELD_OUT = [
    *((f"alphamatting_odd/image/GT{n:02d}.png", 640) for n in (9, 11, 15, 17, 21, 23, 27)),
    ("rgba_fluent_emoji_3d/baggage_claim.webp", 448),
    ("rgba_fluent_emoji_3d/dog.webp", 448),
    ("rgba_fluent_emoji_3d/ice_skate.webp", 448),
    ("rgba_fluent_emoji_3d/monkey_face.webp", 448),
    ("rgba_fluent_emoji_3d/racing_car.webp", 448),
    ("rgba_fluent_emoji_3d/tiger_face.webp", 448),
    ("rgba_kenney_cc0/castle-kit-1.0/towerSquareBaseBorder_SE.webp", 448),
    ("rgba_kenney_cc0/kenney_animalpackredux/crocodile.webp", 448),
]
MUST = {"pure": (15.0, 15.0), "studio": (1 / 0.6, 1 / 0.4), "h264": (1 / 0.5, 1 / 0.3)}  # peer ÷ ours, for MSE and Grad
FRAMES_PER_SECOND = 4.0  # at 1080p, one process, two cores
STUDIO = (70, 160, 80)
SPILL = 0.1
NOISE = 2.5
BT601, LIMITED = 5, 1
Floats = NDArray[np.float32]


class Scene(NamedTuple):
    """One picture on one screen, and the truth."""

    name: str
    screen: str
    picture: Floats  # what our keyer is given
    coded: NDArray[np.uint8]  # what ffmpeg's are given, as rgb24 or in the planes of yuv420p
    colour: tuple[int, int, int]  # the screen's true mean colour
    alpha: Floats
    foreground: Floats
    background: Floats


def main() -> int:
    """Key every scene with both, then measure speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true", help="other pictures, which no setting was chosen with")
    parser.add_argument("--frames", type=int, default=12, help="1080p frames that are keyed for the speed")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(f"no pictures at {DATA}: set FACTORY_DATA to a folder with the test pictures; nothing measured")
        return 0
    cv2.setNumThreads(arguments.threads)
    ours: dict[str, list[tuple[float, float]]] = {name: [] for name in MUST}
    theirs: dict[str, list[tuple[float, float]]] = {name: [] for name in MUST}
    for scene in scenes(HELD_OUT if arguments.held_out else PICTURES):
        truth = as_levels(scene.alpha)
        alpha = key(scene.picture, halved=scene.screen == "h264")[0]
        ours[scene.screen].append(errors(as_levels(alpha), truth))
        theirs[scene.screen].append(errors(best_of_ffmpeg(scene.coded, scene.colour, truth).alpha, truth))
        (square, grad), (peer_square, peer_grad) = ours[scene.screen][-1], theirs[scene.screen][-1]
        print(f"  {scene.screen:6} {scene.name:24} MSE {1e3 * square:7.3f} of {1e3 * peer_square:7.3f} e-3   "
              f"Grad {grad:6.3f} of {peer_grad:6.3f}", flush=True)  # fmt: skip
    reached = []
    for screen, must in MUST.items():
        (square, grad), (peer_square, peer_grad) = np.mean(ours[screen], axis=0), np.mean(theirs[screen], axis=0)
        typical = np.median(np.divide(theirs[screen], ours[screen]), axis=0)
        print(f"{screen}, median over the pictures of ffmpeg ÷ ours: MSE {typical[0]:.1f}, Grad {typical[1]:.1f}")
        reached += [
            shown(
                f"MSE, {screen}",
                f"{1e3 * square:.3f}e-3",
                f"ffmpeg {1e3 * peer_square:.3f}e-3",
                peer_square / square,
                must[0],
            ),
            shown(f"Grad, {screen}", f"{grad:.3f}", f"ffmpeg {peer_grad:.3f}", peer_grad / grad, must[1]),
        ]
    rate = frames_per_second(arguments.frames)
    return exit_code(
        *reached, shown("speed", f"{rate:.2f} frames/s at 1080p", "4 frames/s", rate / FRAMES_PER_SECOND, 1)
    )


def key(picture: Floats, *, halved: bool = False) -> tuple[Floats, Floats]:
    """α and foreground of a picture of which nothing else is known. halved: its file has chroma of half resolution."""
    screen = find_screen([picture])
    plate = clean_plate([picture], screen)
    keyed = key_frame(picture, plate_at(plate, *picture.shape[:2]), screen, KeyerSettings(), halved=halved)
    return keyed.alpha, keyed.foreground


def scenes(pictures: list[tuple[str, int]]) -> Iterator[Scene]:
    """Each picture on all screens."""
    random = np.random.default_rng(0)
    for file, side in pictures:
        foreground, alpha = read(DATA / file, side)
        pure = np.broadcast_to(np.array([0, 1, 0], np.float32), foreground.shape)
        name = Path(file).stem
        picture = as_levels(composite(foreground, alpha, pure))
        yield Scene(name, "pure", as_unit(picture), picture, (0, 255, 0), alpha, foreground, pure)
        background = studio(*alpha.shape)
        spilled = np.clip(foreground + SPILL * background, 0, 1)
        lit = composite(spilled, alpha, background)
        picture = as_levels(lit + random.normal(0, NOISE / 255, lit.shape).astype(np.float32))
        r, g, b = (round(255 * float(c)) for c in background.mean(axis=(0, 1)))
        yield Scene(name, "studio", as_unit(picture), picture, (r, g, b), alpha, foreground, background)
        frame = next(decoded(encoded(picture)))
        planes = np.asarray(frame.to_ndarray(), np.uint8)
        yield Scene(name, "h264", as_seen(frame), planes, (r, g, b), alpha, foreground, background)


def read(file: Path, side: int) -> tuple[Floats, Floats]:
    """Straight foreground and α in the middle of a frame with a margin, their long side about `side`."""
    bgra = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
    if bgra.shape[2] == 3:  # α is a file of its own
        name = str(file).replace("lemur_foreground", "lemur_alpha").replace("odd/image", "odd/alpha")
        alpha = np.asarray(cv2.imread(name, cv2.IMREAD_GRAYSCALE))
        if "image" in file.parts:  # a photograph: what it shows of its background is taken out
            bgra = as_levels(foreground_of(np.asarray(bgra, np.uint8), np.asarray(alpha, np.uint8)))
        bgra = np.dstack([bgra, alpha])
    rgba = as_unit(np.asarray(bgra, np.uint8)[..., [2, 1, 0, 3]])
    rgba[..., :3] *= rgba[..., 3:]
    scale = 0.9 * side / max(rgba.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=way))
    margin = round(0.05 * side)
    sides = ((margin, margin + small.shape[0] % 2), (margin, margin + small.shape[1] % 2), (0, 0))
    framed = np.pad(small, sides)
    alpha = framed[..., 3]
    return np.asarray(framed[..., :3] / np.maximum(alpha, 1e-3)[..., None], np.float32), np.ascontiguousarray(alpha)


def foreground_of(photograph: Picture, alpha: Matte) -> Floats:
    """PyMatting's estimate of what is before the background."""
    from pymatting import estimate_foreground_ml

    return np.asarray(estimate_foreground_ml(photograph / 255, alpha / 255), np.float32)


def studio(height: int, width: int) -> Floats:
    """A muted green screen lit from one side, with a vignette."""
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    light = 1 + 0.12 * u - 0.05 * v - 0.1 * (u * u + v * v)
    return np.asarray(light[..., None] * np.array(STUDIO) / 255, np.float32)


def encoded(*pictures: Picture) -> bytes:
    """An MP4 of these frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        height, width = pictures[0].shape[:2]
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "20", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = BT601, LIMITED  # as swscale makes them
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def decoded(file: bytes) -> Iterator[av.VideoFrame]:
    """Its frames again."""
    with av.open(io.BytesIO(file)) as container:
        yield from container.decode(video=0)


def errors(matte: Matte, truth: Matte) -> tuple[float, float]:
    """MSE and Grad over the whole picture."""
    return mse(matte, truth, whole(truth)), gradient_error(matte, truth, whole(truth))


def frames_per_second(frames: int) -> float:
    """Decode and key a 1080p clip: a cat that moves over the studio screen."""
    cat, coverage = read(DATA / "rgba_layerdiffuse/cli_cat.png", 1080)
    background = studio(1080, 1920)
    random = np.random.default_rng(1)
    pictures = []
    for i in range(frames):
        picture = background.copy()
        left = 200 + 24 * i
        height, width = min(1080, coverage.shape[0]), coverage.shape[1]
        part = (slice(0, height), slice(left, left + width))
        picture[part] = composite(cat[:height], coverage[:height], picture[part])
        noise = random.normal(0, NOISE / 255, picture.shape).astype(np.float32)
        pictures.append(as_levels(picture + noise))
    clip = encoded(*pictures)
    first = [as_seen(frame) for frame in islice(decoded(clip), 2)]
    screen = find_screen(first)
    plate = plate_at(clean_plate(first, screen), 1080, 1920)
    settings = KeyerSettings()
    key_frame(first[0], plate, screen, settings, halved=True)
    source = map(as_seen, decoded(clip))
    begin = time.perf_counter()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, None)
        done = 0
        while (picture := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            key_frame(picture, plate, screen, settings, halved=True)
            done += 1
    return done / (time.perf_counter() - begin)


def as_seen(frame: av.VideoFrame) -> Floats:
    """A decoded frame as the video source hands it to the keyer; swscale takes chroma as the mean of two columns."""
    return to_rgb(frame, replace(colours_of(frame), siting="centre"))


if __name__ == "__main__":
    sys.exit(main())
