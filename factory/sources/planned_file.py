"""Reading an input file and making sure that it is still the one that was planned."""

import hashlib
from pathlib import Path

from factory.errors import InputChanged, UsageError


def digest(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, for a plan."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256
    except PermissionError:
        raise UsageError(f"{path} may not be read: change its permissions or take it out of the folder") from None


def read_as_planned(path: Path, sha256: str) -> bytes:
    """The file's bytes. Raises InputChanged, which ends the run, if it is gone or differs from its planned hash."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputChanged(
            f"{path} was there when the run was planned and is gone: put it back or start a new run"
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputChanged(f"{path} has changed since the run was planned: restore the file or start a new run")
    return data
