"""Files below a folder, as paths that a plan can hold."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from factory.errors import UsageError


def files_below(folder: Path, suffixes: Collection[str], depth: int = -1) -> Iterator[str]:
    """Files with one of these suffixes, as relative paths with POSIX separators, in no order.

    Hidden files and folders are left out; linked folders are followed, but not back to one that the link lies in.
    depth: 0 takes the folder's own files only, −1 all.
    Raises UsageError for a folder that may not be read (what lies in it must not be missing without a word) and for a
    name that is not UTF-8 (no plan can hold it).
    """
    for path in all_files_below(folder, depth):
        if PurePosixPath(path).suffix.lower() in suffixes:
            try:
                path.encode()
            except UnicodeEncodeError:
                raise UsageError(f"the file name {path!r} is not UTF-8: rename the file.") from None
            yield path


def all_files_below(folder: Path, depth: int = -1) -> Iterator[str]:
    """As `files_below`, whatever the suffix and the name's letters."""
    return _walk(folder, "", depth, ())


def _walk(folder: Path, below: str, depth: int, inside: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """inside: device and number of each folder on the way here, by which a link that leads back is known."""
    try:
        status = folder.stat()
        here = status.st_dev, status.st_ino
        entries = [] if here in inside else list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):  # no folder holds no files
        return
    except OSError as error:
        reason = f"the folder {error.filename} cannot be read ({error.strerror})"
        raise UsageError(f"{reason}: change its permissions, or take it out.") from error
    for entry in entries:
        relative = below + entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if depth:
                yield from _walk(folder / entry.name, f"{relative}/", depth - 1, (*inside, here))
        elif entry.is_file():
            yield relative
