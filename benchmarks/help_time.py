"""Seconds of `factory --help`, the first thing a person waits for.

python benchmarks/help_time.py [--rounds 9]
"""

import argparse
import statistics
import subprocess
import sys
import time

from figures import exit_code, within

ALLOWED = 0.5  # seconds


def main() -> int:
    """Take the median over fresh processes; the first one, which fills the disk's cache, is not counted."""
    parser = argparse.ArgumentParser(description="how soon factory answers")
    parser.add_argument("--rounds", type=int, default=9)
    seconds = []
    for _ in range(parser.parse_args().rounds + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "factory", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return exit_code(within("factory --help", statistics.median(seconds[1:]), ALLOWED, "s"))


if __name__ == "__main__":
    sys.exit(main())
