"""A strict reader of tars. Nothing is forgiven that tarfile passes over, and nothing is followed.

tarfile ends quietly at a broken header, never ends where a size is negative, and resolves links.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from factory.errors import DataError
from factory.shards.writer import Extent, tar_header

BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Header:
    """One entry. block: the header's bytes. extent: of its body, which lies in the file as a whole."""

    name: str
    kind: bytes
    block: bytes
    extent: Extent


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in a tar. offset: of its body.  plain: its header is just what our writer writes for it."""

    name: str
    offset: int
    body: bytes
    plain: bool


def headers(file: IO[bytes]) -> Iterator[Header]:
    """All entries in the order they lie there; then the file stands behind the block that ends them.

    Raises DataError("broken_tar") at the first place that is neither an entry nor the archive's end.
    """
    length, start = file.seek(0, os.SEEK_END), 0
    while True:
        file.seek(start)
        block = file.read(BLOCK)
        if block == bytes(BLOCK):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            where = "it ends early, " if len(block) < BLOCK else ""
            raise DataError("broken_tar", f"{where}no member at byte {start} ({error})") from error
        offset = start + BLOCK
        if info.size < 0 or offset + info.size > length:
            raise DataError("broken_tar", f"it ends inside {info.name}")
        yield Header(info.name, info.type, block, Extent(offset, info.size))
        start = offset + info.size + -info.size % BLOCK


def walk(file: IO[bytes]) -> Iterator[Entry]:
    """All members of one of our own tars, in the order they lie there.

    Raises DataError("broken_tar") at the first place that is neither a member nor the archive's end.
    """
    for header in headers(file):
        file.seek(header.extent.offset)
        body = file.read(header.extent.size)
        padding = file.read(-len(body) % BLOCK)
        plain = not padding.strip(b"\0") and header.block == _our_header(header)
        yield Entry(header.name, header.extent.offset, body, plain)
    end = file.tell()
    rest = file.read()
    if rest.strip(b"\0") or len(rest) < BLOCK or (end + len(rest)) % tarfile.RECORDSIZE:
        raise DataError("broken_tar", f"what follows the last member at byte {end - BLOCK} is no end of an archive")


def _our_header(header: Header) -> bytes:
    try:
        return tar_header(header.name, header.extent.size)
    except ValueError:  # a name that our writer would refuse
        return b""
