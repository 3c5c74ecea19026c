"""Writes one shard: a USTAR archive whose bytes depend on nothing but its members.

mtime 0, uid = gid = 0, mode 0444; members of a sample contiguous and in alphabetical order. Offsets and the
archive's SHA-256 are taken as the bytes go out, so no shard is ever read back to be indexed.
"""

import hashlib
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from factory.shards.members import member_name


@dataclass(frozen=True)
class Extent:
    """Where a member's bytes lie in its tar: any sample is one range read away."""

    offset: int
    size: int


def tar_header(name: str, size: int) -> bytes:
    """The 512-byte USTAR header of a regular file."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o444
    info.mtime = info.uid = info.gid = 0
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


class ShardWriter:
    """A context manager over one tar file at a temporary path; `close` fsyncs. Publishing is commit.py's work."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=1 << 20)
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, key: str, members: Mapping[str, bytes]) -> dict[str, Extent]:
        """Append one sample. members: extension ("rgb.png") → bytes. Returns where each one lies."""
        extents = {}
        for extension in sorted(members):
            body = members[extension]
            self._put(tar_header(member_name(key, extension), len(body)))
            extents[extension] = Extent(self.size, len(body))
            self._put(body)
            self._put(bytes(-len(body) % tarfile.BLOCKSIZE))
        return extents

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def close(self) -> None:
        """Write the end-of-archive blocks and force the bytes to the disk."""
        self._put(bytes(2 * tarfile.BLOCKSIZE))
        self._put(bytes(-self.size % tarfile.RECORDSIZE))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
