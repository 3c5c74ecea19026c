"""Reads a data set's shards back: plain tars, no index needed."""

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from factory.errors import DataError, UsageError
from factory.sample import Matte, Picture
from factory.shards.encoding import decode_png
from factory.shards.layout import Layout
from factory.shards.members import JSON, MATTING, Pixels, extensions
from factory.shards.writer import Extent


@dataclass(frozen=True, slots=True)
class Stored:
    """A sample as it lies in a shard.  pictures: by member, "rgb", "alpha", "fg" and what else the set holds."""

    key: str
    pictures: Mapping[str, Pixels]
    meta: dict[str, Any]

    @property
    def rgb(self) -> Picture:
        """(H, W, 3), the picture on its screen."""
        return self.pictures["rgb"]

    @property
    def alpha(self) -> Matte:
        """(H, W), linear coverage."""
        return self.pictures["alpha"]

    @property
    def foreground(self) -> Picture:
        """(H, W, 3), straight colour."""
        return self.pictures["fg"]


def read_members(tar: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, extension → bytes) of each sample of one tar, in the order they lie there.

    Raises DataError("broken_tar") where the archive ends early or is none.
    """
    key, members = "", dict[str, bytes]()
    try:
        with tarfile.open(tar, "r:") as archive:
            for info in archive:
                stem, _, extension = info.name.partition(".")
                if stem != key:
                    if members:
                        yield key, members
                    key, members = stem, {}
                body = archive.extractfile(info)
                members[extension] = body.read() if body is not None else b""
            check_end(archive)
    except (tarfile.TarError, EOFError) as error:
        raise DataError("broken_tar", f"{tar.name} is not a whole tar archive ({error})") from error
    if members:
        yield key, members


def member_extents(tar: Path, file: IO[bytes]) -> Iterator[tuple[str, str, Extent]]:
    """(key, extension, place) of each member of an open tar, in the order they lie there. Only headers are read.

    Raises DataError("broken_tar") where the archive ends early or is none.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                key, _, extension = info.name.partition(".")
                yield key, extension, Extent(info.offset_data, info.size)
            check_end(archive)
    except (tarfile.TarError, EOFError) as error:
        raise DataError("broken_tar", f"{tar.name} is not a whole tar archive ({error})") from error


def check_end(archive: tarfile.TarFile) -> None:
    """Tarfile stops at a damaged or cut header as if the archive ended there."""
    file = archive.fileobj
    assert file is not None  # it is open
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no member and no end at byte {archive.offset}")


def decode(key: str, members: dict[str, bytes]) -> Stored:
    """The pictures and metadata of one sample. Raises DataError where a member is missing or broken."""
    missing = [name for name in extensions(MATTING) if name not in members]
    if missing:
        raise DataError("missing_member", f"sample {key} has no {', '.join(missing)}")
    try:
        meta = json.loads(members[JSON])
    except (ValueError, RecursionError) as error:
        raise DataError("undecodable", f"the JSON of sample {key} is broken ({error})") from error
    pictures = {}
    for name, body in members.items():
        if name.endswith(".png"):
            try:
                pictures[name.removesuffix(".png")] = decode_png(body)
            except DataError as error:
                raise DataError(error.kind, f"{name} of sample {key} is broken: {error}") from error
    return Stored(key, pictures, meta)


def decode_as_promised(key: str, members: dict[str, bytes]) -> Stored:
    """The sample, if its pictures have the shapes that Stored promises and its JSON names this key, else DataError."""
    stored = decode(key, members)
    if not isinstance(stored.meta, dict) or stored.meta.get("key") != key:
        raise DataError("key", f"what lies at the place of sample {key} has not its JSON")
    for member in MATTING:
        picture = stored.pictures[member.name]
        if picture.ndim != (2 if member.channels == 1 else 3) or picture.shape[:2] != stored.alpha.shape[:2]:
            shapes = ", ".join(f"{name} {picture.shape}" for name, picture in stored.pictures.items())
            raise DataError("size", f"the pictures of sample {key} do not fit together: {shapes}")
    return stored


def shards_of(root: Path, split: str) -> list[Path]:
    """The tars of one split, in shard order. Raises UsageError where there are none."""
    tars = sorted(Layout(root).data.glob(f"{split}-*.tar"))
    if not tars and Layout(root).plan.exists():
        raise UsageError(f"{root} has no accepted sample of the split {split}: there is nothing to read.")
    if not tars:
        raise UsageError(f"{root} holds no {split} shards: is it a data set folder made by factory?")
    return tars


def read_samples(root: Path, split: str) -> Iterator[Stored]:
    """All samples of one split, in key order."""
    for tar in shards_of(root, split):
        for key, members in read_members(tar):
            yield decode(key, members)
