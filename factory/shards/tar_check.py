"""A strict reader of our own tars. Nothing is forgiven that tarfile passes over: it ends quietly at a broken header."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from factory.errors import DataError
from factory.shards.writer import tar_header

BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in a tar. offset: of its body.  plain: its header is just what our writer writes for it."""

    name: str
    offset: int
    body: bytes
    plain: bool


def walk(file: BinaryIO) -> Iterator[Entry]:
    """All members in the order they lie there.

    Raises DataError("broken_tar") at the first place that is neither a member nor the archive's end.
    """
    while True:
        start = file.tell()
        header = file.read(BLOCK)
        if header == bytes(BLOCK):
            rest = file.read()
            if rest.strip(b"\0") or len(rest) < BLOCK or (start + BLOCK + len(rest)) % tarfile.RECORDSIZE:
                raise DataError("broken_tar", f"what follows the last member at byte {start} is no end of an archive")
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            where = "it ends early, " if len(header) < BLOCK else ""
            raise DataError("broken_tar", f"{where}no member at byte {start} ({error})") from error
        body = file.read(max(0, info.size))
        padding = file.read(-len(body) % BLOCK)
        if len(body) != info.size or len(padding) != -len(body) % BLOCK:
            raise DataError("broken_tar", f"it ends inside {info.name}")
        plain = not padding.strip(b"\0") and header == _our_header(info)
        yield Entry(info.name, start + BLOCK, body, plain)


def _our_header(info: tarfile.TarInfo) -> bytes:
    try:
        return tar_header(info.name, info.size)
    except ValueError:  # a name that our writer would refuse
        return b""
