"""Seconds of `factory --help`, the first thing a person waits for: `python benchmarks/help_time.py [rounds]`."""

import statistics
import subprocess
import sys
import time

ALLOWED = 0.5  # seconds


def main() -> None:
    """Print the median over fresh processes (the first one, which fills the disk's cache, is not counted)."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "factory", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])
    print(f"factory --help: {median:.3f} s, median of {rounds} (allowed {ALLOWED}), ratio {median / ALLOWED:.2f}")


if __name__ == "__main__":
    main()
