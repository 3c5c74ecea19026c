"""`factory build-green100k` on a folder of RGBA pictures, two workers, against a plain loop over the same pictures.

The pictures: 512² RGBA PNG of drawn objects (sources/procedural). 5,000 different ones would take minutes to draw, so
250 are, and the others are their turned, mirrored and darkened copies. Gates are at their defaults but for
near-duplicates, which such copies are.

Both are timed from the start of their process to its end. The product plans (reads and hashes each file), starts its
workers, checks each file's hash, frames, scores, gates, encodes, marks, and writes tars, manifest, indexes, card and
report; data is forced to the disk. The loop is one process with one thread: for each picture read, cv2.imdecode, crop,
premultiplied area resize, place, composite, the product's own colour padding, scores and gates, cv2.imencode, pixel
hashes, JSON, tarfile; then the SHA-256 of each tar. Both have the same samples: that is checked.

The product's workers tell glibc to keep memory it would else give back (engine/threads.py); `--tuned` does so for the
loop too. Memory is what a process holds on average while the last quarter of the shards is made, over what it holds
during the second quarter (the first has the libraries' start in it).

    python benchmarks/build.py [--n 5000] [--workers 2] [--tuned] [--folder /somewhere/on/the/disk]
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import yaml
from figures import exit_code, shown, within

from factory.engine.events import read_events
from factory.engine.plan import sample_seed
from factory.engine.threads import VARIABLES
from factory.equation import constant_plate
from factory.greenscreen.framing import pad_colour
from factory.greenscreen.on_screen import FramingSettings
from factory.quality.gates import GateSettings, judge
from factory.quality.scores import ScoreSettings, score
from factory.review.report import write_report
from factory.sample import Matte, Origin, Picture, Rejection, Request, Sample
from factory.shards.encoding import metadata
from factory.shards.keys import make_key
from factory.shards.layout import Layout
from factory.shards.reader import read_members
from factory.sources.procedural.render import CLASSES, render

MUST = 1.6  # with two workers on two cores
GROWTH = 1.1  # of a process's memory over a run
SIZE = 512
SHARD = 256
SEED = 0
SCREEN = (0, 255, 0)
FRAMING = FramingSettings(size=SIZE)
GATES = GateSettings(duplicate_distance=-1)
VARIANTS = list(product((1.0, 0.9, 0.8), range(4), (False, True)))[:20]  # brightness, quarter turns, mirrored
LOOP = "--loop"  # this script as the loop
POLL_SECONDS = 0.1
ONE_THREAD = dict.fromkeys(VARIABLES, "1")
TUNED = ONE_THREAD | {"MALLOC_TRIM_THRESHOLD_": str(256 << 20), "MALLOC_MMAP_THRESHOLD_": str(64 << 20)}


def main() -> int:
    """Race over many pictures, with an eye on the product's memory."""
    parser = argparse.ArgumentParser(description="build-green100k against a plain loop")
    parser.add_argument("--n", type=int, default=5000, help="pictures")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard-size", type=int, default=SHARD)
    parser.add_argument("--tuned", action="store_true", help="the workers' settings of glibc's malloc for the loop too")
    parser.add_argument("--folder", type=Path, help="where to write; without it the system's temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder, size, workers = Path(name), arguments.shard_size, arguments.workers
        draw_pictures(folder / "pictures", arguments.n)
        built = build(folder / "pictures", folder / "set", workers, size)
        environment = TUNED if arguments.tuned else ONE_THREAD
        loop = time_loop(folder / "pictures", folder / "loop", size, environment)
        samples = compare(folder / "set", folder / "loop")
        started = time.perf_counter()
        write_report(folder / "set")
        report = time.perf_counter() - started
    n, cores = arguments.n, len(os.sched_getaffinity(0))
    print(f"{n:,} pictures of {SIZE}², {samples:,} pass the gates; {workers} workers on {cores} cores")
    print(f"product {built.seconds:.1f} s: {built.course}; the report is {report:.1f} s of it")
    print(f"loop {loop:.1f} s; without the report the product is {loop / (built.seconds - report):.2f} times as fast")
    return exit_code(
        shown("build", f"{n / built.seconds:.1f} pictures/s", f"loop {n / loop:.1f}", loop / built.seconds, MUST),
        *(within(f"{who}, {b:.0f} MB ÷ {a:.0f} MB", b / a, GROWTH, "times") for who, a, b in built.memory),
    )


def draw_pictures(folder: Path, number: int) -> None:
    """`number` RGBA pictures, as image editors save them: nothing under alpha 0."""
    folder.mkdir()
    objects = range(-(-number // len(VARIANTS)))
    with ProcessPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        list(pool.map(_draw_variants, objects, [folder] * len(objects), [number] * len(objects), chunksize=4))


def _draw_variants(index: int, folder: Path, number: int) -> None:
    cv2.setNumThreads(1)
    name = CLASSES[index % len(CLASSES)]
    drawn = render(name, index, SIZE)
    visible = drawn.foreground * (drawn.alpha > 0)[..., None]
    for variant, (brightness, turns, mirrored) in enumerate(VARIANTS[: number - index * len(VARIANTS)]):
        bgra = np.dstack([np.rint(visible[..., ::-1] * brightness).astype(np.uint8), drawn.alpha])
        bgra = np.rot90(bgra[:, ::-1] if mirrored else bgra, turns)
        cv2.imwrite(str(folder / f"{name.replace(' ', '_')}_{index:04d}_{variant:02d}.png"), bgra)


class Built(NamedTuple):
    """What a run took.  course: in words.  memory: of each process, MB held in the second and in the last quarter."""

    seconds: float
    course: str
    memory: list[tuple[str, float, float]]


def build(pictures: Path, out: Path, workers: int, shard_size: int) -> Built:
    """The command as a user types it."""
    recipe = out.with_suffix(".yaml")
    source = {"type": "rgba_folder", "path": str(pictures)}
    fields = {"job": "build-green100k", "size": SIZE, "seed": SEED, "sources": [source]}
    recipe.write_text(yaml.safe_dump(fields | {"gates": {"duplicate_distance": GATES.duplicate_distance}}))
    command = [sys.executable, "-m", "factory", "build-green100k", str(recipe), "--out", str(out)]
    command += ["--executor", "local", "--workers", str(workers), "--shard-size", str(shard_size)]
    began, started = time.time(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        held: list[tuple[int, float, float]] = []
        watcher = threading.Thread(target=_watch, args=(child, held))
        watcher.start()
        if child.wait():
            raise SystemExit(f"the command left with {child.returncode}")
        seconds = time.perf_counter() - started
        watcher.join()
    events = list(read_events(Layout(out).events))
    planned = next(event["time"] for event in events if event["event"] == "started")
    made = max(event["time"] for event in events if event["event"] == "shard")
    course = f"planned after {planned - began:.1f} s, shards done after {made - began:.1f} s"
    quarter = (made - planned) / 4
    memory = []
    for pid in sorted({pid for pid, _, _ in held}):
        mine = [(when - planned, megabytes) for process, when, megabytes in held if process == pid]
        early = [megabytes for when, megabytes in mine if quarter <= when < 2 * quarter]
        late = [megabytes for when, megabytes in mine if 3 * quarter <= when < 4 * quarter]
        if early and late:
            memory.append(("driver" if pid == child.pid else "worker", float(np.mean(early)), float(np.mean(late))))
    return Built(seconds, course, memory)


def _watch(child: "subprocess.Popen[bytes]", held: list[tuple[int, float, float]]) -> None:
    """Note what a running command and its children hold: process, time, resident memory in MB."""
    while child.poll() is None:
        with suppress(FileNotFoundError, ProcessLookupError):  # one of them has just ended
            children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
            for pid in [child.pid, *map(int, children)]:
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                now = time.time()
                held += [(pid, now, int(line.split()[1]) / 1024) for line in status if line.startswith("VmRSS:")]
        time.sleep(POLL_SECONDS)


def time_loop(pictures: Path, out: Path, shard_size: int, environment: Mapping[str, str]) -> float:
    """Seconds of this script as the loop, with these variables."""
    command = [sys.executable, __file__, LOOP, str(pictures), str(out), str(shard_size)]
    started = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, **environment})
    return time.perf_counter() - started


def loop(pictures: Path, out: Path, shard_size: int) -> None:
    """The same work as plainly as it can be done well."""
    cv2.setNumThreads(1)
    out.mkdir()
    paths = sorted(pictures.iterdir())
    for shard, first in enumerate(range(0, len(paths), shard_size)):
        tar = out / f"train-{shard:06d}.tar"
        with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as archive:
            for index, path in enumerate(paths[first : first + shard_size]):
                for name, body in members(path, make_key(shard, index), first + index):
                    info = tarfile.TarInfo(name)
                    info.size = len(body)
                    archive.addfile(info, io.BytesIO(body))
        with tar.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        tar.with_suffix(".sha256").write_text(f"{digest}  {tar.name}\n")


def members(path: Path, key: str, slot: int) -> Iterator[tuple[str, bytes]]:
    """One picture's members; none if a gate turns it down."""
    seed = sample_seed(SEED, slot, 0)
    bgra = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)
    foreground, alpha = frame(bgra, seed)
    a = (alpha.astype(np.float32) / 255)[..., None]
    name = " ".join(path.stem.split("_"))
    raw = Sample(
        request=Request(key=key, slot=slot, attempt=0, seed=seed),
        origin=Origin(kind="composited", class_name=name, caption=f"a {name}", source="rgba_folder", item=path.name),
        rgb=np.rint(foreground * a + np.array(SCREEN, np.float32) * (1 - a)).astype(np.uint8),
        alpha=alpha,
        foreground=foreground,
        plate=constant_plate(SCREEN),
    )
    sample = judge(score(raw, ScoreSettings()), GATES)
    if isinstance(sample, Rejection):
        return
    meta = metadata(sample, {"rgb": sample.rgb, "alpha": alpha, "fg": foreground})  # hashes the pixels
    for kind, picture in (("alpha", alpha), ("fg", foreground[..., ::-1]), ("rgb", raw.rgb[..., ::-1])):
        yield f"{key}.{kind}.png", cv2.imencode(".png", picture)[1].tobytes()
    yield f"{key}.json", json.dumps(meta, sort_keys=True).encode()


def frame(bgra: Picture, seed: int) -> tuple[Picture, Matte]:
    """The object at a margin, a place and a side that the seed draws; resized with its colour weighted by coverage."""
    random = np.random.default_rng(seed)
    margin, mirrored = random.uniform(*FRAMING.margin), random.random() < FRAMING.flip
    across, down = random.uniform(-1, 1, 2) * FRAMING.wander
    bgra = np.ascontiguousarray(bgra[:, ::-1] if mirrored else bgra)
    x, y, width, height = cv2.boundingRect(bgra[..., 3])
    rgb = cv2.cvtColor(bgra[y : y + height, x : x + width], cv2.COLOR_BGRA2RGB)
    a = np.asarray(bgra[y : y + height, x : x + width, 3] / np.float32(255), np.float32)
    ink = np.asarray(rgb * a[..., None], np.float32)
    room = round(SIZE * (1 - 2 * margin))
    scale = min(room / width, room / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    way = cv2.INTER_AREA if scale <= 1 else cv2.INTER_CUBIC
    a, ink = (np.asarray(cv2.resize(picture, size, interpolation=way), np.float32) for picture in (a, ink))
    colour = np.rint(np.clip(ink / np.maximum(a, 1 / 510)[..., None], 0, 255)).astype(np.uint8)
    levels = np.rint(np.clip(a, 0, 1) * 255).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(levels)
    left, top = place(size[0], x, width, across), place(size[1], y, height, down)
    foreground, alpha = np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    foreground[top : top + size[1], left : left + size[0]] = colour
    alpha[top : top + size[1], left : left + size[0]] = levels
    return pad_colour(foreground, alpha), alpha


def place(length: int, first: int, visible: int, towards: float) -> int:
    """Where a picture of this length begins: what is visible of it goes some of the way to the smallest margin."""
    middle = (SIZE - length) // 2
    before = middle + first - FRAMING.margin[0] * SIZE
    after = SIZE - FRAMING.margin[0] * SIZE - (middle + first + visible)
    return middle + round(towards * max(before if towards < 0 else after, 0))


def compare(made: Path, looped: Path) -> int:
    """The number of samples. They must be the same in both, every picture and matte pixel by pixel."""
    samples = 0
    for tar in sorted((made / "data").glob("*.tar")):
        for ours, theirs in zip(read_members(tar), read_members(looped / tar.name), strict=True):
            here, there = (json.loads(members["json"]) for _, members in (ours, theirs))
            for name in ("key", "scores"):
                assert here[name] == there[name], f"{ours[0]}: {name} {here[name]} and {there[name]}"
            for name in ("alpha", "rgb"):  # under alpha 0 the foregrounds differ: the product pads before it moves
                assert here["hashes"][name] == there["hashes"][name], f"{ours[0]}: another {name}"
            samples += 1
    return samples


if __name__ == "__main__":
    if sys.argv[1:2] == [LOOP]:
        loop(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
        sys.exit(0)
    sys.exit(main())
