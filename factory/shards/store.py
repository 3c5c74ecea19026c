"""Where data sets are published: what a store must offer, and the store that there is, a POSIX folder.

A store is addressed by the paths of `Layout`; what they mean is its own business. What is being made lies in a local
scratch folder first; only finished files enter the store, each whole or not at all.

A new store is a class with these methods and a line in STORES. So far there is one, and `run/folder.py` refuses
addresses.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from factory.shards.durable import fsync, publish, write_durably
from factory.shards.lock import hold, owned_by


class Store(Protocol):
    """Published files of one data set."""

    def publish(self, finished: Path, place: Path) -> None:
        """Take in a finished, already fsynced local file; what lay at its place is replaced. Durable."""
        ...

    def write(self, place: Path, data: bytes, scratch: Path) -> None:
        """Publish a small file.  scratch: a local folder for what is unfinished."""
        ...

    def read(self, place: Path, offset: int = 0, size: int | None = None) -> bytes:
        """A file's bytes, or a range of them. Raises FileNotFoundError."""
        ...

    def size(self, place: Path) -> int | None:
        """Bytes of a file; None where there is none."""
        ...

    def sizes(self, folder: Path) -> dict[str, int]:
        """File name → bytes of all files in a folder, in one pass ({} where it does not exist)."""
        ...

    def remove(self, places: Iterable[Path]) -> None:
        """Take files away, durably."""
        ...

    def lease(self, place: Path, holder: str) -> AbstractContextManager[None]:
        """Hold a set for one driver; the holder's name stands inside, so that workers can tell whose set it is.

        Raises UsageError while another holds it. Ends with the process, however it ends.
        """
        ...

    def is_leased_to(self, place: Path, holder: str) -> bool:
        """Whether the set still belongs to this holder: an actor can outlive its killed driver by seconds."""
        ...


class FolderStore:
    """A folder of a local disk, NFS or Lustre: paths are what they say."""

    def publish(self, finished: Path, place: Path) -> None:
        publish(finished, place)

    def write(self, place: Path, data: bytes, scratch: Path) -> None:
        write_durably(place, data, scratch)

    def read(self, place: Path, offset: int = 0, size: int | None = None) -> bytes:
        with place.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read() if size is None else file.read(size)

    def size(self, place: Path) -> int | None:
        try:
            return place.stat().st_size
        except FileNotFoundError:
            return None

    def sizes(self, folder: Path) -> dict[str, int]:
        if not folder.is_dir():
            return {}
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def remove(self, places: Iterable[Path]) -> None:
        folders = set()
        for place in places:
            place.unlink()
            folders.add(place.parent)
        for folder in folders:
            fsync(folder)

    def lease(self, place: Path, holder: str) -> AbstractContextManager[None]:
        return hold(place, holder)

    def is_leased_to(self, place: Path, holder: str) -> bool:
        return owned_by(place, holder)


STORES: Mapping[str, Store] = {"": FolderStore()}  # by the scheme of an address: "s3" would be s3://bucket/set


def open_store(root: Path) -> Store:
    """The store of a set's address. Those without a scheme are folders, and so far only these are taken."""
    scheme, _, _ = str(root).partition(":/")
    return STORES.get(scheme, STORES[""])
