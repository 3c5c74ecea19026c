"""Whole clips: how much steadier mattes are when a frame's neighbours have a say, and what that costs.

    python benchmarks/clips.py [--group develop] [--clips 24] [--frames 8]

Objects of GreenBench, drawn once and moved 0 to 8 pixels a frame, turning and growing a little, before the screens of
its studio; every frame has the exact truth and noise of its own, and every second clip goes through x264. Screen and
plate are found once for a clip, as the job `key` does. dtSSD is the mean over a clip's steps (quality/metrics.py).
"bound" is the dtSSD of the truth with the keyer's errors averaged over the whole clip along the true motion.

The group *report* is measured and nothing else: each run on it gets a line in RESULTS.md.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, get_args

import cv2
import numpy as np
from figures import exit_code, shown
from numpy.random import default_rng
from numpy.typing import NDArray

from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import find_screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.steady import Frame, steadied
from factory.quality.flicker import flicker
from factory.quality.metrics import dtssd, mse, whole
from factory.sample import Matte, Picture
from factory.sources.greenbench.camera import coded, sensor
from factory.sources.greenbench.drawing import classes_of, drawn
from factory.sources.greenbench.planning import seed_of
from factory.sources.greenbench.registry import KINDS
from factory.sources.greenbench.scenes import hue_of
from factory.sources.greenbench.sheet import Drawn
from factory.sources.greenbench.stage import studio
from factory.sources.groups import Group

SIZE, OBJECT = 320, 216  # pixels a side: of a frame, of the object's sheet in it
FINE = 2  # the object is drawn so many times finer, and each frame is the mean of what moved
FASTEST = 8.0  # pixels a frame
MOST = 0.7  # dtSSD, steady ÷ frame by frame
Floats = NDArray[np.float32]


class Clip(NamedTuple):
    """A clip and its truth."""

    name: str
    pictures: list[Picture]
    alphas: list[Matte]
    halved: bool
    poses: list[NDArray[np.float64]]  # (3, 3) for each frame, from the object to the frame


class Measured(NamedTuple):
    """Of the mattes of one clip. flicker: as quality/flicker.py has it, which knows no truth."""

    dtssd: float
    mse: float
    flicker: float


def clips(group: Group, count: int, frames: int) -> Iterator[Clip]:
    """Kinds, speeds and codecs in turn. A pure function of its arguments."""
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        classes = classes_of(kind, group)
        one = classes[number // len(KINDS) % len(classes)]
        seed = seed_of(f"clips:{group}:{one.name}:{number}")
        speed = FASTEST * number / max(count - 1, 1)
        thing = drawn(one.name, seed, OBJECT * FINE)
        set_up, random = default_rng([seed, 1]), default_rng([seed, 2])
        poses = _path(speed, frames, default_rng([seed, 3]))
        noise, crf = set_up.uniform(1.2, 3.2), int(set_up.integers(19, 28))
        moved = [_seen(thing, pose) for pose in poses]
        stages = [studio(d, hue_of(kind, seed), default_rng([seed, 4]), emits=one.emits) for d in moved]
        pictures = [sensor(stage.picture(), noise, random) for stage in stages]
        is_coded = number % 2 == 1
        name = f"{number:02d} {one.name}, {speed:.1f} px{', h264' if is_coded else ''}"
        seen = coded(pictures, crf) if is_coded else pictures
        yield Clip(name, seen, [d.alpha for d in moved], is_coded, [_coarse(pose) for pose in poses])


def _path(speed: float, frames: int, random: np.random.Generator) -> list[NDArray[np.float64]]:
    """(2, 3) for each frame, from fine pixels of the sheet to those of the frame: through its middle, half way."""
    way = random.uniform(0, 2 * np.pi)
    spin, growth = random.uniform(-1, 1) * speed / FASTEST * 1.5, 1 + random.uniform(-1, 1) * speed / FASTEST * 0.01
    poses = []
    for frame in range(frames):
        t = frame - (frames - 1) / 2
        middle = (OBJECT * FINE / 2, OBJECT * FINE / 2)
        pose = np.asarray(cv2.getRotationMatrix2D(middle, spin * t, growth**t), np.float64)
        pose[:, 2] += FINE * ((SIZE - OBJECT) / 2 + speed * t * np.array([np.cos(way), np.sin(way)]))
        poses.append(pose)
    return poses


def _coarse(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) to the pixels of the frame, whose centres lie between those of fine ones."""
    coarser = np.array([[1 / FINE, 0, 0.5 / FINE - 0.5], [0, 1 / FINE, 0.5 / FINE - 0.5], [0, 0, 1]])
    return np.asarray(coarser @ np.vstack([pose, [0, 0, 1]]), np.float64)


def _seen(thing: Drawn, pose: NDArray[np.float64]) -> Drawn:
    """The object where it is in a frame, premultiplied while it is moved."""
    alpha = as_unit(thing.alpha)
    ink = np.dstack([as_unit(thing.foreground) * alpha[..., None], alpha, as_unit(thing.mirror) * alpha])
    fine = cv2.warpAffine(ink, pose, (SIZE * FINE, SIZE * FINE), flags=cv2.INTER_LINEAR)
    small: Floats = np.asarray(cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.float32)
    a = np.maximum(small[..., 3:4], 1e-4)
    return Drawn(as_levels(small[..., :3] / a), as_levels(small[..., 3]), as_levels(small[..., 4] / a[..., 0]))


def main() -> int:
    """Key every clip frame by frame and steadily, then say both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", choices=get_args(Group), default="develop")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=8)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    found = []
    for clip in clips(arguments.group, arguments.clips, arguments.frames):
        found.append(measured(clip))
        alone, steady, bound = found[-1]
        print(f"  {clip.name:52} dtSSD {1e2 * alone.dtssd:6.2f} → {1e2 * steady.dtssd:6.2f}e-2   MSE "
              f"{1e3 * alone.mse:7.3f} → {1e3 * steady.mse:7.3f}e-3   flicker {alone.flicker:.3f} → "
              f"{steady.flicker:.3f}   bound {1e2 * bound.dtssd:6.2f}e-2", flush=True)  # fmt: skip
    alone, steady, bound = (Measured(*np.mean([row[k] for row in found], axis=0)) for k in (0, 1, 2))
    ratios = np.mean([np.divide(row[1], np.maximum(row[0], 1e-9)) for row in found], axis=0)
    print(f"mean over {len(found)} clips of steady ÷ frame by frame: dtSSD {ratios[0]:.3f}, MSE {ratios[1]:.3f}, "
          f"flicker {ratios[2]:.3f}; bound of dtSSD: {bound.dtssd / alone.dtssd:.3f}")  # fmt: skip
    if arguments.group == "report":
        print(f"a run on report, for RESULTS.md: {time.strftime('%Y-%m-%d')}, clips.py, {len(found)} clips")
    return exit_code(
        shown("dtSSD", f"{1e2 * steady.dtssd:.3f}e-2", f"frame by frame {1e2 * alone.dtssd:.3f}e-2",
              alone.dtssd / steady.dtssd, 1 / MOST),
        shown("MSE", f"{1e3 * steady.mse:.3f}e-3", f"frame by frame {1e3 * alone.mse:.3f}e-3",
              alone.mse / steady.mse, 1),
    )  # fmt: skip


def measured(clip: Clip) -> tuple[Measured, Measured, Measured]:
    """Frame by frame; steadily; and what is left where each frame's error is the mean of all, along the true motion."""
    pictures = [as_unit(picture) for picture in clip.pictures]
    screen = find_screen(pictures)
    plate = plate_at(clean_plate(pictures, screen), *pictures[0].shape[:2])
    found = [key_frame(picture, plate, screen, KeyerSettings(), halved=clip.halved) for picture in pictures]
    frames = [Frame(picture, keyed.alpha) for picture, keyed in zip(pictures, found, strict=True)]
    steady = [
        steadied(frame, [frames[k] for k in (n - 1, n + 1) if 0 <= k < len(frames)], screen, halved=clip.halved)
        for n, frame in enumerate(frames)
    ]
    foregrounds = [as_levels(keyed.foreground) for keyed in found]
    mattes = [as_levels(keyed.alpha) for keyed in found]
    rows = (mattes, [as_levels(alpha) for alpha in steady], _without_noise(clip, mattes))
    alone, steadily, bound = (_errors(row, foregrounds, clip.alphas) for row in rows)
    return alone, steadily, bound


def _without_noise(clip: Clip, mattes: list[Matte]) -> list[Matte]:
    """The truth, and of the errors what moves with the object: no mean over time takes that away."""
    errors = [as_unit(matte) - as_unit(truth) for matte, truth in zip(mattes, clip.alphas, strict=True)]

    def brought(error: Floats, there: NDArray[np.float64], here: NDArray[np.float64]) -> Floats:
        way = (here @ np.linalg.inv(there))[:2]
        return np.asarray(cv2.warpAffine(error, way, error.shape[::-1], flags=cv2.INTER_CUBIC), np.float32)

    means = [
        np.mean([brought(error, there, here) for error, there in zip(errors, clip.poses, strict=True)], axis=0)
        for here in clip.poses
    ]
    return [as_levels(as_unit(truth) + mean) for truth, mean in zip(clip.alphas, means, strict=True)]


def _errors(mattes: list[Matte], foregrounds: list[Picture], truths: list[Matte]) -> Measured:
    square = [mse(matte, truth, whole(truth)) for matte, truth in zip(mattes, truths, strict=True)]
    shots = list(zip(foregrounds, mattes, strict=True))
    return Measured(
        dtssd(mattes, truths), float(np.mean(square)), float(np.mean([flicker(*pair) for pair in pairwise(shots)]))
    )


if __name__ == "__main__":
    sys.exit(main())
