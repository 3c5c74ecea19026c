"""Hashes of what lies in folders, each told once: what a cell's result depends on is content, not paths."""

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from factory.engine.input_files import digest
from factory.pictures.folder import all_files_below
from factory.shards.data_set import ACCEPTED
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest

DECIDE = frozenset({"key", "split", "soft_alpha", "label_error"})  # beside pixels: what a matting loader goes by


class Contents:
    """Told on demand.  columns: of a set's manifest, those that count beside pixels."""

    def __init__(self, columns: Collection[str] = DECIDE) -> None:
        self._columns = columns
        self._told: dict[Path, str] = {}

    def __call__(self, path: Path) -> str:
        """A hash of a set's samples, or of any other folder's or file's bytes."""
        if path not in self._told:
            is_set = any(place.exists() for place in (Layout(path).manifest, Layout(path).parts))
            self._told[path] = content_of(path, self._columns) if is_set else _bytes_of(path)
        return self._told[path]


def content_of(folder: Path, columns: Collection[str] = DECIDE) -> str:
    """A hash of what a set's accepted samples are: keys, splits and the hashes of their pixels."""
    rows = read_manifest(Layout(folder), rows=ACCEPTED).sort_by("key")
    told = sha256()
    for name in sorted(rows.column_names):
        if name in columns or name.endswith("_sha256"):
            told.update(repr((name, rows[name].to_pylist())).encode())
    return told.hexdigest()


def _bytes_of(path: Path) -> str:
    if path.is_file():
        return digest(path)[1]
    files = sorted(all_files_below(path))
    return sha256("".join(f"{file}\0{digest(path / file)[1]}\n" for file in files).encode()).hexdigest()
