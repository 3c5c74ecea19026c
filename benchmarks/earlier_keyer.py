"""Our keyer as it was at an earlier commit: its code, taken out of git's history, in a process of its own.

The process runs this same file with the earlier `factory` on its path; pictures go in and mattes come out by pickle.
"""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
Levels = NDArray[np.uint8]


class Earlier(NamedTuple):
    """α (H, W) and foreground (H, W, 3), and how long they took."""

    alpha: Levels
    foreground: Levels
    seconds: float


def take_out(commit: str, folder: Path) -> Path | None:
    """Lay the package of a commit, without the model, into a new folder; None where git or the commit is not there."""
    folder.mkdir()
    words = ["git", "-C", str(ROOT), "archive", commit, "--", "factory", ":(exclude)factory/embedded"]
    try:
        archive = subprocess.run(words, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return folder


class EarlierKeyer:
    """The process. It ends with this one."""

    def __init__(self, folder: Path) -> None:
        """folder: what `take_out` filled."""
        environment = os.environ | {"PYTHONPATH": str(folder)}
        words = [sys.executable, str(Path(__file__).resolve())]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def __call__(self, picture: Levels, *, halved: bool) -> Earlier | None:
        """None where it finds no screen."""
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump((picture, halved), self._process.stdin)
        self._process.stdin.flush()
        answer = pickle.load(self._process.stdout)
        return None if answer is None else Earlier(*answer)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def answer_all(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Key what comes until nothing more does."""
    import cv2

    cv2.setNumThreads(1)
    while True:
        try:
            picture, halved = pickle.load(questions)
        except EOFError:
            return
        pickle.dump(keyed(picture, halved=halved), answers)
        answers.flush()


def keyed(picture: Levels, *, halved: bool) -> tuple[Levels, Levels, float] | None:
    """The fields of `Earlier`, from whatever `factory` is on the path."""
    from factory.errors import DataError
    from factory.greenscreen.compositing import as_levels, as_unit
    from factory.greenscreen.keyer.clean_plate import clean_plate, plate_at
    from factory.greenscreen.keyer.frame import key_frame
    from factory.greenscreen.keyer.screen import find_screen
    from factory.greenscreen.keyer.settings import KeyerSettings

    begin = time.perf_counter()
    levels = as_unit(picture)
    try:
        screen = find_screen([levels])
        plate = plate_at(clean_plate([levels], screen), *picture.shape[:2])
        alpha, foreground = key_frame(levels, plate, screen, KeyerSettings(), halved=halved)[:2]
    except DataError:
        return None
    return as_levels(alpha), as_levels(foreground), time.perf_counter() - begin


if __name__ == "__main__":
    answer_all(sys.stdin.buffer, sys.stdout.buffer)
