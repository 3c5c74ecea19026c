"""The samples of an existing data set as a source: for jobs over an existing set."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any, TypeAlias

import pyarrow as pa

from factory.errors import DataError, InputChanged, UsageError
from factory.sample import Origin, Request, Sample, Scores
from factory.shards.keys import shard_of
from factory.shards.layout import Layout
from factory.shards.members import OWN
from factory.shards.reader import Stored, decode_as_promised, member_extents
from factory.shards.writer import Extent

Extents: TypeAlias = dict[str, Extent]  # extension → place in the tar


@dataclass
class StoredSamples:
    """Reads the stored sample of a request's key from the tar of its shard.

    tars: row k has the planned name and SHA-256 of shard k's tar. Raises InputChanged where it is no longer that.
    One tar is kept open and indexed, for a shard maps to a shard; its pictures are read one sample at a time.
    """

    root: Path
    tars: pa.Table
    _shard: int = -1
    _file: IO[bytes] | None = None
    _index: dict[str, Extents] = field(default_factory=dict)

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        return [self._sample(request) for request in requests]

    def _sample(self, request: Request) -> Sample | DataError:
        key = request.key
        file = self._opened(shard_of(key))
        places = self._index.get(key, {}).items()
        members = {name: os.pread(file.fileno(), place.size, place.offset) for name, place in places}
        try:
            return as_sample(decode_as_promised(key, members), request)
        except DataError as error:
            return error

    def _opened(self, shard: int) -> IO[bytes]:
        if self._file is not None and shard == self._shard:
            return self._file
        if self._file is not None:
            self._file.close()
            self._file = None
        tar = Layout(self.root).data / self.tars["tar"][shard].as_py()
        self._file = _as_planned(tar, self.tars["tar_sha256"][shard].as_py())
        self._index = _indexed(tar, self._file)
        self._shard = shard
        return self._file


def _as_planned(path: Path, sha256: str) -> IO[bytes]:
    """The open tar, if it still is what was planned."""
    changed = InputChanged(f"{path} is not what it was when the run was planned: restore it, or use a new --out.")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise changed from None
    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        file.close()
        raise changed
    return file


def _indexed(path: Path, file: IO[bytes]) -> dict[str, Extents]:
    """Where each sample's members lie."""
    index: dict[str, Extents] = defaultdict(dict)
    try:
        for key, extension, extent in member_extents(path, file):
            index[key][extension] = extent
    except DataError as error:
        raise UsageError(f"{path} cannot be read ({error}): restore it, or make its shard again.") from error
    return dict(index)


def as_sample(stored: Stored, request: Request) -> Sample:
    """The record of a stored sample. It keeps its own slot, attempt and seed: they say how it was made."""
    meta = stored.meta
    made = replace(request, attempt=int(meta["attempt"]), seed=int(meta["seed"]))
    return Sample(
        request=made,
        origin=origin_of(meta),
        rgb=stored.rgb,
        alpha=stored.alpha,
        foreground=stored.foreground,
        plate=tuple(tuple(channel) for channel in meta["plate"]),
        scores=Scores(**{name.name: float(meta["scores"].get(name.name, -1.0)) for name in fields(Scores)}),
        phash=meta["phash"],
        layers={name: picture for name, picture in stored.pictures.items() if name not in OWN},
    )


def origin_of(meta: Mapping[str, Any]) -> Origin:
    """The origin written in a sample's JSON."""
    return Origin(
        kind=meta["kind"],
        class_name=meta["class"],
        caption=meta["caption"],
        prompt=meta["prompt"],
        negative_prompt=meta["negative_prompt"],
        source=meta["source"],
        item=meta.get("item", ""),  # sets made before the field was there
        colour=meta.get("colour", ""),
        licence=meta["licence"],
        attribution=meta["attribution"],
        soft_alpha=meta["soft_alpha"],
        foreground=meta["foreground"],
        model=meta["model"],
        sampler=meta["sampler"]["name"],
        steps=meta["sampler"]["steps"],
        guidance=meta["sampler"]["guidance"],
        start=meta["sampler"]["start"],
        key_rgb=tuple(meta["key_rgb"]),
        ai_generated=meta["ai_generated"],
        digital_source_type=meta["digital_source_type"],
    )
