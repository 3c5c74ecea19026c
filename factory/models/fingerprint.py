"""What a folder of files is, in one hash: names and contents, not times or where it lies."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def files_fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over (path relative to the folder, SHA-256) of these files, in their order."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return total.hexdigest()
