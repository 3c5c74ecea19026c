"""Reads a data set's shards back: plain tars, no index needed."""

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from factory.errors import DataError, UsageError, some
from factory.sample import Matte, Picture
from factory.shards.encoding import decode_png
from factory.shards.foreign_text import parse_json
from factory.shards.layout import Layout
from factory.shards.members import JSON, MATTING, Pixels, extensions, name_parts
from factory.shards.schema import unusable
from factory.shards.tar_check import Header, headers
from factory.shards.writer import Extent

_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE}
_ABOUT_THE_NEXT = {tarfile.XHDTYPE, tarfile.XGLTYPE}  # times and owners, which other writers put before a member


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

    Raises DataError("broken_tar") where the archive ends early or is none, DataError("member_name") where a member's
    name is not safe to make a path of.
    """
    key, members = "", dict[str, bytes]()
    with tar.open("rb") as file:
        for stem, extension, extent in member_extents(tar, file):
            if stem != key:
                if members:
                    yield key, members
                key, members = stem, {}
            file.seek(extent.offset)
            members[extension] = file.read(extent.size)
    if members:
        yield key, members


def member_extents(tar: Path, file: IO[bytes]) -> Iterator[tuple[str, str, Extent]]:
    """(key, extension, place) of each member of an open tar, in the order they lie there. Only headers are read.

    Raises DataError as `read_members` does.
    """
    try:
        for header in headers(file):
            if header.kind not in _ABOUT_THE_NEXT:
                yield *_named(header), header.extent
    except DataError as error:
        raise DataError(error.kind, f"{tar.name} is not a whole tar archive of samples ({error})") from error


def _named(header: Header) -> tuple[str, str]:
    """Key and extension of a member that is a plain file."""
    if header.kind not in _FILES:
        raise DataError("member_name", f"{header.name!r} is a link or a folder")
    return name_parts(header.name)


def decode(key: str, members: Mapping[str, bytes]) -> Stored:
    """The pictures and metadata of one sample, whatever they are.

    Raises DataError where a member is missing or broken.
    """
    missing = [name for name in extensions(MATTING) if name not in members]
    if missing:
        raise DataError("missing_member", f"sample {key} has no {', '.join(missing)}")
    try:
        meta = parse_json(members[JSON])
    except ValueError as error:
        raise DataError("undecodable", f"the JSON of sample {key} is broken ({error})") from error
    pictures = {}
    for name, body in members.items():
        if name.endswith(".png"):
            try:
                pictures[name.removesuffix(".png")] = decode_png(body)
            except DataError as error:
                raise DataError(error.kind, f"{name} of sample {key} is broken: {error}") from error
    return Stored(key, pictures, meta)


def decode_as_promised(key: str, members: Mapping[str, bytes]) -> Stored:
    """The sample, if it is what Stored promises: pictures of these shapes, and its own JSON with every field.

    Raises DataError, as `decode` does too.
    """
    stored = decode(key, members)
    if clauses := some(list(unusable(stored.meta))):
        raise DataError("schema", f"the JSON of sample {key} is not as it should be: {clauses}")
    if stored.meta["key"] != key:
        raise DataError("key", f"what lies at the place of sample {key} has not its JSON")
    for member in MATTING:
        picture = stored.pictures[member.name]
        if picture.ndim != (2 if member.channels == 1 else 3) or picture.shape[:2] != stored.alpha.shape[:2]:
            shapes = ", ".join(f"{name} {picture.shape}" for name, picture in stored.pictures.items())
            raise DataError("size", f"the pictures of sample {key} do not fit together: {shapes}")
    return stored


def tars_of(layout: Layout) -> dict[str, Path]:
    """Name → place of a set's tars, in shard order. A run that was killed leaves some without their record."""
    names = sorted(name for name in layout.store.sizes(layout.data) if name.endswith(".tar"))
    committed = layout.committed()
    return {
        name: layout.data / name
        for name in names
        if committed is None or name.removesuffix(".tar").rpartition("-")[2] in committed
    }


def shards_of(root: Path, split: str) -> list[Path]:
    """The tars of one split, in shard order. Raises UsageError where there are none."""
    layout = Layout(root)
    tars = tars_of(layout)
    found = [tar for name, tar in tars.items() if name.rpartition("-")[0] == split]
    if found:
        return found
    if tars or layout.finished.exists():
        splits = sorted({name.rpartition("-")[0] for name in tars} - {""})
        there = f"it has {' and '.join(splits)}" if splits else "there is nothing to read"
        raise UsageError(f"{root} has no accepted sample of the split {split}: {there}.")
    if layout.plan.exists():
        raise UsageError(f"{root} has no finished shard yet: run its command first.")
    raise UsageError(f"{root} holds no {split} shards: is it a data set folder made by factory?")


def read_samples(root: Path, split: str) -> Iterator[Stored]:
    """All samples of one split, in key order."""
    for tar in shards_of(root, split):
        for key, members in read_members(tar):
            yield decode_as_promised(key, members)
