"""Procedural samples per second of one core, 128×128: `python benchmarks/sources.py [rounds]`."""

import sys
import time

import cv2

from factory.sources.procedural import CLASSES, render

REQUIRED = 100.0  # samples/s, mean over classes
SIZE = 128


def main() -> None:
    """Print the seconds of the slowest classes, the mean rate and its ratio to what is required."""
    cv2.setNumThreads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    seconds = {}
    for name in CLASSES:
        render(name, 0, SIZE)
        start = time.process_time()
        for seed in range(1, rounds + 1):
            render(name, seed, SIZE)
        seconds[name] = (time.process_time() - start) / rounds
    for name in sorted(seconds, key=seconds.__getitem__, reverse=True)[:8]:
        print(f"{name:16} {seconds[name] * 1000:6.1f} ms")
    rate = len(seconds) / sum(seconds.values())
    print(
        f"{len(seconds)} classes, {SIZE}x{SIZE}: {rate:.0f} samples/s, ratio to {REQUIRED:.0f}/s {rate / REQUIRED:.2f}"
    )


if __name__ == "__main__":
    main()
