"""Files that a run works from: hashed for its plan, read only while they are those that were planned."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from factory.engine.survey import Answer, Item, Surveyor
from factory.errors import InputChanged, MachineError, UsageError

ABSENT = -1, ""
FEW = 10_000  # files that are hashed without help: it takes seconds
CRASH = "crash", "reading it ended the process that did it"


def item_of(root: Path, *paths: str) -> Item:
    """Files below a folder, to be looked at together by a surveyor."""
    return tuple(str((root / path).resolve()) for path in paths)


def look_at_files(surveyor: Surveyor, root: Path, paths: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of files below a folder; (−1, "") where there is none."""
    present = [path for path in dict.fromkeys(paths) if (root / path).is_file()]
    answers = surveyor("files", "hash", _hash, [item_of(root, path) for path in present], crashed=no_hash, few=FEW)
    found = {path: (answer["size"], answer["sha256"]) for path, answer in zip(present, answers, strict=True)}
    return dict.fromkeys(paths, ABSENT) | found


def _hash(path: str) -> Answer:
    size, sha256 = digest(Path(path))
    return {"size": size, "sha256": sha256}


def no_hash(path: str) -> Answer:
    """What a surveyor gets for a file over which the process that read it died."""
    raise MachineError(f"{path} {CRASH[1]}: is its disk sound?")


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
