"""Change, by a seed, every file that may come from elsewhere, and read it with all that reads such a file.

Tars, manifests, plans, commit records, recipes, prompt lists and weights: each case changes one of them, its bytes or a
field of it (with checksums and footers that fit, so that the change gets far), and hands it to every reader in this
process. A reader may take it or refuse it with a FactoryError. A fault is: any other exception, a write outside of the
folder that was given to write to, more than SECONDS, or more than MEGABYTES. The same number is the same case.

    python benchmarks/fuzz.py [--cases 100000] [--first 0]

A case that failed is run again alone by `--cases 1 --first N`.
"""

import argparse
import faulthandler
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from figures import exit_code, shown, within
from fuzz_mutations import mutated
from fuzz_readers import READERS, SHARES, Arena, make_arena, reseal

from factory.errors import FactoryError

SECONDS = 20  # for one case; most take a hundredth of one
MEGABYTES = 1000.0
GROWTH = 300.0  # in MB, by one file
CHUNK = 1000  # cases of one process: one that is killed costs no more
KINDS = tuple(READERS)
WRITING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}


class Outside(BaseException):
    """Something was to be written where nothing may be; no reader may catch it."""


class Watch:
    """Lets Python write to some folders only. There is one, for a hook cannot be taken away again."""

    def __init__(self) -> None:
        self.folders: tuple[Path, ...] = ()
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folders:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in WRITING:
            path = arguments[1] if event in {"os.rename", "os.link", "os.symlink"} else arguments[0]
        else:
            return
        place = os.path.realpath(os.fsdecode(path))
        if place != os.devnull and not any(Path(place).is_relative_to(folder) for folder in self.folders):
            raise Outside(f"{event} of {place}")

    @contextmanager
    def over(self, *folders: Path) -> Iterator[None]:
        """Only these may be written to; temporary files lie in the first."""
        self.folders = tuple(folder.resolve() for folder in folders)
        before, tempfile.tempdir = tempfile.tempdir, str(folders[0])
        try:
            yield
        finally:
            self.folders, tempfile.tempdir = (), before


@cache
def watch() -> Watch:
    """The one of this process."""
    return Watch()


def main() -> int:
    """Run the cases, chunk by chunk, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    place, end = arguments.first, arguments.first + arguments.cases
    if arguments.here:
        return run_here(range(place, end))
    faults, largest, began = 0, 0.0, time.monotonic()
    while place < end:
        command = [sys.executable, __file__, "--here", "--first", str(place), "--cases", str(min(CHUNK, end - place))]
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
        found, at, megabytes = told(done.stdout, place)
        if done.returncode:
            found.append(f"case {at} ended the process ({done.returncode}): {done.stderr[-1500:]}")
        for fault in found:
            print(fault, flush=True)
        faults, largest, place = faults + len(found), max(largest, megabytes), at + 1
        print(f"{place:,} cases, {faults} faults, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    good = arguments.cases - faults
    return exit_code(
        shown("mutated files", f"{good:,} without a fault", f"{arguments.cases:,}", good / arguments.cases, 1),
        within("memory", largest, MEGABYTES, "MB"),
    )


def told(output: str, first: int) -> tuple[list[str], int, float]:
    """What a chunk has said: its faults, the last case that it began, the peak of memory."""
    found, at, megabytes = [], first, 0.0
    for line in output.splitlines():
        match line.split(" ", 1):
            case ["at", number]:
                at = int(number)
            case ["peak", number]:
                megabytes = float(number)
            case _:
                found.append(line)
    return found, at, megabytes


def run_here(cases: range) -> int:
    """Run these cases in this process and say what `told` reads."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        arena = make_arena(Path(folder).resolve())
        os.chdir(arena.out)
        for case in cases:
            print(f"at {case}", flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            for fault in faults_of(arena, case):
                print(f"case {case} ({KINDS[case % len(KINDS)]}) {fault}", flush=True)
        faulthandler.cancel_dump_traceback_later()
    print(f"peak {peak():.0f}")
    return 0


def faults_of(arena: Arena, case: int) -> Iterator[str]:
    """What is wrong with one case."""
    kind = KINDS[case % len(KINDS)]
    random = np.random.default_rng(case)
    place = arena.files[kind][int(random.integers(len(arena.files[kind])))]
    before = {place: place.read_bytes()}
    try:
        place.write_bytes(mutated(place.suffix, before[place], random))
        if kind == "plans" and random.random() < 0.7:
            before |= reseal(arena)
        for read in READERS[kind]:
            if random.random() > SHARES.get(read, 1):
                continue
            memory = peak()
            try:
                with watch().over(arena.out, arena.set_of(place) / "report"):
                    read(arena, place)
            except FactoryError:
                pass
            except (Exception, Outside) as error:  # noqa: BLE001  (that is what is looked for)
                where = traceback.extract_tb(error.__traceback__)[-1]
                said = " ".join(str(error).split())[:200]
                what = f"{type(error).__name__} ({said}) at {where.filename}:{where.lineno}"
                yield f"{read.__name__} of {place.name}: {what}"
            if peak() > memory + GROWTH:
                yield f"{read.__name__} of {place.name}: memory rose by {peak() - memory:.0f} MB"
            _empty(arena.out)
    finally:
        for path, data in before.items():
            path.write_bytes(data)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def peak() -> float:
    """The most memory that this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
