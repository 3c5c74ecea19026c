"""Our ShardWriter against webdataset.ShardWriter: the same members, the same cv2 encoding, one thread, fsync in both.

Repetitions alternate, so that a machine's mood hits both. Beside the ratio with encoding, which is what a run sees,
stands the ratio of writing alone, members encoded beforehand. Ours also takes the archive's SHA-256 and the members'
offsets on the way, which webdataset's leaves to a second pass over the file.

    python benchmarks/shard_writing.py [--samples 64] [--repetitions 9] [--folder /somewhere/on/the/disk]
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import webdataset
from figures import exit_code, shown

from factory.equation import constant_plate
from factory.sample import Origin, Request, Sample
from factory.shards.encoding import encode
from factory.shards.keys import make_key
from factory.shards.reader import read_members
from factory.shards.writer import ShardWriter

MUST = 0.9
SIZE = 512
Members = dict[str, bytes]
Item = TypeVar("Item")


def main() -> int:
    """Race with and without encoding."""
    parser = argparse.ArgumentParser(description="our shard writer against webdataset's")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="where to write; without it the system's temporary folder")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = [draw(index) for index in range(arguments.samples)]
    encoded = [(sample.request.key, encode(sample)[0]) for sample in pictures]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "000000.tar"
        ours(path, encoded)
        here = list(read_members(path))
        path.unlink()
        theirs(path, encoded)
        assert list(read_members(path)) == here == encoded, "the writers differ: there is nothing to compare"
        path.unlink()
        encoding = race(path, pictures, (ours_encoding, theirs_encoding), arguments.repetitions)
        writing = race(path, encoded, (ours, theirs), arguments.repetitions)
    samples = arguments.samples
    return exit_code(report("shard writing", samples, *encoding), report("shard writing, encoded", samples, *writing))


def report(what: str, samples: int, our_seconds: list[float], their_seconds: list[float]) -> bool:
    """By medians: how many times webdataset's speed ours is."""
    mine, other = (samples / statistics.median(seconds) for seconds in (our_seconds, their_seconds))
    return shown(what, f"{mine:.1f} samples/s", f"webdataset {other:.1f} samples/s", mine / other, MUST)


def race(
    path: Path, items: Sequence[Item], writers: Sequence[Callable[[Path, Sequence[Item]], None]], repetitions: int
) -> list[list[float]]:
    """Seconds of each writer in turn; the first turn warms up and is not counted."""
    seconds: list[list[float]] = [[] for _ in writers]
    for _ in range(repetitions + 1):
        for writer, taken in zip(writers, seconds, strict=True):
            started = time.perf_counter()
            writer(path, items)
            taken.append(time.perf_counter() - started)
            path.unlink()
    return [taken[1:] for taken in seconds]


def ours_encoding(path: Path, samples: Sequence[Sample]) -> None:
    with ShardWriter(path) as writer:
        for sample in samples:
            writer.add(sample.request.key, encode(sample)[0])


def theirs_encoding(path: Path, samples: Sequence[Sample]) -> None:
    with shard_writer(path, len(samples)) as writer:
        for sample in samples:
            writer.write({"__key__": sample.request.key, **encode(sample)[0]})
    force_to_disk(path)


def ours(path: Path, samples: Sequence[tuple[str, Members]]) -> None:
    with ShardWriter(path) as writer:
        for key, members in samples:
            writer.add(key, members)


def theirs(path: Path, samples: Sequence[tuple[str, Members]]) -> None:
    with shard_writer(path, len(samples)) as writer:
        for key, members in samples:
            writer.write({"__key__": key, **members})
    force_to_disk(path)


def shard_writer(path: Path, samples: int) -> webdataset.ShardWriter:
    """The other writer for one shard; it writes bytes members as they are."""
    return webdataset.ShardWriter(str(path.with_name("%06d.tar")), maxcount=samples + 1, maxsize=1e12, verbose=0)


def force_to_disk(path: Path) -> None:
    """What a writer that promises durability must do, and webdataset's leaves to its caller."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def draw(index: int) -> Sample:
    """A 512² object with hairs and sensor noise before green, as costly to encode as a real one."""
    rng = np.random.Generator(np.random.PCG64(index))
    alpha = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(alpha, (SIZE // 2, SIZE // 2), SIZE // 4, 255, -1, cv2.LINE_AA)
    for angle in rng.uniform(0, 2 * np.pi, 300):
        end = SIZE / 2 + np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.25, 0.45) * SIZE
        cv2.line(alpha, (SIZE // 2, SIZE // 2), tuple(end.astype(int).tolist()), 255, 1, cv2.LINE_AA)
    colours = rng.integers(0, 256, (24, 24, 3), np.uint8)
    smooth = cv2.resize(colours, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    foreground = np.clip(smooth + rng.normal(0, 2, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    screen = np.array([0, 255, 0]) + rng.normal(0, 1.7, (SIZE, SIZE, 3))
    a = alpha[..., None] / 255
    rgb = np.clip(np.rint(a * foreground + (1 - a) * screen), 0, 255).astype(np.uint8)
    request = Request(key=make_key(0, index), slot=index, attempt=0, seed=index)
    return Sample(
        request=request,
        origin=Origin(kind="composited", class_name="ball", caption="a hairy ball"),
        rgb=rgb,
        alpha=alpha,
        foreground=foreground,
        plate=constant_plate((0.0, 255.0, 0.0)),
    )


if __name__ == "__main__":
    sys.exit(main())
