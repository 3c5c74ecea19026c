"""Files that are whole or not there, even after a power cut: temp file → fsync → rename → fsync of the folder."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4


def fsync(path: Path) -> None:
    """Force a file's bytes to the disk, or a folder's names: renames inside of it are durable then."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, durably: a power cut must not take it with all that is inside."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    fsync(folder.parent)


def reserve(descriptor: int, size: int) -> None:
    """Give an open file so many bytes of the disk. Raises OSError where they are not there.

    A file that is only made longer has none: written to by a map, on a full disk, it ends the process (SIGBUS).
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def force_to_disk(folder: Path) -> None:
    """A folder that something else has written, with all that lies in it."""
    for path in (*folder.rglob("*"), folder):
        fsync(path)


def publish(temporary: Path, final: Path) -> None:
    """Move a finished, already fsynced file to its final name; atomic on one file system."""
    make_folder(final.parent)
    temporary.replace(final)
    fsync(final.parent)


@contextmanager
def appearing(path: Path, scratch: Path | None = None) -> Iterator[IO[bytes]]:
    """A new or replaced file, there under its name only when all of it is on the disk.

    scratch: a folder on the same file system for the unfinished file; its owner sweeps it. Without one it lies beside
    the finished file under one name, so that what a kill leaves is replaced the next time.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    if scratch is not None:
        temporary = scratch / f"{path.name}.{uuid4().hex}.tmp"
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:  # through no link that somebody left there
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_durably(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """Write a small file."""
    with appearing(path, scratch) as file:
        file.write(data)


def json_bytes(value: Any) -> bytes:
    """Canonical, indented JSON."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, value: Any, scratch: Path | None = None) -> None:
    """Canonical, indented JSON, written durably."""
    write_durably(path, json_bytes(value), scratch)
