"""Public benchmark images are kept out of training sets by the hash of their files.

A list is a text file with lines as sha256sum writes them, "<hash>  <benchmark>/<file>"; # begins a comment.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from factory.engine.input_files import digest
from factory.errors import UsageError
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES
from factory.shards.counting import Counting, silent

SHIPPED = Path(__file__).with_name("test_images.txt")
HASHED = ("sha256", "foreground_sha256")  # of a row: the files that show the benchmark's picture
_LINE = re.compile(r"([0-9a-f]{64})\s+(\S.*)")
RowT = TypeVar("RowT", bound=Mapping[str, Any])


def load_hashes(lists: Sequence[Path] = ()) -> dict[str, str]:
    """SHA-256 → "benchmark/file" of the list that ships and of the user's own."""
    hashes: dict[str, str] = {}
    for path in (SHIPPED, *lists):
        hashes.update(_read(path))
    return hashes


def excluded(rows: Iterable[RowT], hashes: Mapping[str, str]) -> tuple[list[RowT], dict[str, int]]:
    """The rows whose picture is on no list, and how many were dropped per benchmark."""
    kept: list[RowT] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        name = next((hashes[row[field]] for field in HASHED if row.get(field) in hashes), "")
        if name:
            dropped[name.partition("/")[0]] += 1
        else:
            kept.append(row)
    return kept, dict(sorted(dropped.items()))


def hash_images(folder: Path, name: str, progress: Counting = silent) -> list[str]:
    """The lines of a list of all pictures in a folder, at any depth, sorted by path.

    name: of the benchmark, without a slash.  progress: is told how many files are hashed, and how many there are.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give the folder of the benchmark's images")
    if not name or "/" in name or "\n" in name:
        raise UsageError(f"--name {name!r} does not name a benchmark: give a word or two without a slash")
    paths = sorted(files_below(folder, SUFFIXES))
    if not paths:
        raise UsageError(f"{folder} holds no pictures: give the folder of the benchmark's images")
    lines = []
    for number, path in enumerate(paths, 1):
        lines.append(f"{digest(folder / path)[1]}  {name}/{path}")
        progress(number, len(paths))
    return lines


def _read(path: Path) -> dict[str, str]:
    path = path.resolve()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UsageError(f"there is no list of benchmark images {path}: make one with factory hash-images") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, not a list of hashes: make one with factory hash-images") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a list of hashes: make one with factory hash-images") from None
    hashes = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UsageError(f"{path}: line {number} is not a SHA-256 and a name: make lists with factory hash-images")
        hashes[match[1]] = match[2]
    return hashes
