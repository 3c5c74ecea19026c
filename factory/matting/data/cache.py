"""Decoded pictures on a disk, mapped into memory: what has been decoded once is only read from then on.

A file holds the arrays of one name. It is there whole or not at all, whoever is killed and however many workers fill
the folder; a file that is not what it should be is made again.
"""

import hashlib
import json
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.errors import UsageError, what_failed
from factory.shards.durable import appearing

Arrays: TypeAlias = tuple[NDArray[np.uint8], ...]

MARKER = "DECODED_PICTURES.txt"
ABOUT = b"Decoded pictures of a matting loader. The folder may be deleted; what lies here is made again.\n"
BEGIN, END = b"decoded 1\n", b"\nwhole\n"
LENGTH = struct.Struct("<I")  # of the JSON that says the name and the shapes
FORGOTTEN = 3600.0  # seconds after which an unfinished file is nobody's


class Cache:
    """A folder of its own. Raises UsageError where other files lie in it, or it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._scratch = folder, folder / ".tmp"
        marker = folder / MARKER
        try:
            there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
            if not marker.exists():  # asked after the listing: another process may begin the same folder just now
                if there - {MARKER, self._scratch.name}:
                    raise UsageError(f"{folder} holds other files: name an empty or a new folder for the cache.")
                with appearing(marker, self._scratch) as file:
                    file.write(ABOUT)
            for left in self._scratch.glob("*"):
                with suppress(FileNotFoundError):  # another process was faster
                    if time.time() - left.stat().st_mtime > FORGOTTEN:
                        left.unlink()
        except OSError as error:
            raise _unusable(error, folder) from error

    def get(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of a name, read-only from the disk, or made now and kept. What `make` raises goes on."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        path = self._folder / digest[:2] / f"{digest[2:]}.pixels"
        try:
            kept = _mapped(path, name)
        except OSError as error:
            raise _unusable(error, path) from error
        if kept is not None:
            return kept
        arrays = make()
        try:
            _write(path, name, arrays, self._scratch)
        except OSError as error:
            raise _unusable(error, path) from error
        return arrays


def _unusable(error: OSError, place: Path) -> UsageError:
    reason = what_failed(error, place)
    return UsageError(f"the cache cannot be kept ({reason}): make room, name another folder, or leave it out.")


def _write(path: Path, name: str, arrays: Arrays, scratch: Path) -> None:
    head = json.dumps([name, [array.shape for array in arrays]]).encode()
    with appearing(path, scratch) as file:
        file.writelines((BEGIN, LENGTH.pack(len(head)), head))
        file.writelines(np.ascontiguousarray(array).data for array in arrays)
        file.write(END)


def _mapped(path: Path, name: str) -> Arrays | None:
    """None where there is no such file, or another's, or a part of one."""
    try:
        data = np.memmap(path, np.uint8, "r").view(np.ndarray)
    except (FileNotFoundError, ValueError):  # ValueError: it is empty
        return None
    place = len(BEGIN) + LENGTH.size
    if data[: len(BEGIN)].tobytes() != BEGIN or data[-len(END) :].tobytes() != END:
        return None
    (length,) = LENGTH.unpack(data[len(BEGIN) : place].tobytes())
    try:
        named, shapes = json.loads(data[place : place + length].tobytes())
        sizes = [int(np.prod(shape)) for shape in shapes]
    except (ValueError, TypeError):
        return None
    begin = place + length
    if named != name or begin + sum(sizes) + len(END) != len(data):
        return None
    ends = begin + np.cumsum(sizes)
    return tuple(data[end - size : end].reshape(shape) for size, end, shape in zip(sizes, ends, shapes, strict=True))
