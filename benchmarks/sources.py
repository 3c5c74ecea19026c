"""Procedural samples per second of one core, 128×128, mean over all classes.

python benchmarks/sources.py [--rounds 4]
"""

import argparse
import sys
import time

import cv2
from figures import exit_code, shown

from factory.sources.procedural.render import CLASSES, render

REQUIRED = 100.0  # samples/s
SIZE = 128


def main() -> int:
    """Print the slowest classes and the mean rate."""
    parser = argparse.ArgumentParser(description="speed of the procedural source")
    parser.add_argument("--rounds", type=int, default=4, help="samples of each class")
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    seconds = {}
    for name in CLASSES:
        render(name, 0, SIZE)
        start = time.process_time()
        for seed in range(1, rounds + 1):
            render(name, seed, SIZE)
        seconds[name] = (time.process_time() - start) / rounds
    slowest = sorted(seconds, key=seconds.__getitem__, reverse=True)[:5]
    print(f"{len(seconds)} classes; slowest: " + ", ".join(f"{name} {1e3 * seconds[name]:.1f} ms" for name in slowest))
    rate = len(seconds) / sum(seconds.values())
    return exit_code(shown("procedural", f"{rate:.0f} samples/s", f"{REQUIRED:g} samples/s", rate / REQUIRED, 1))


if __name__ == "__main__":
    sys.exit(main())
