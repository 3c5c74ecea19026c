"""The samples of an existing data set as a source: for jobs over an existing set."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO, Any, TypeAlias

import pyarrow as pa

from factory.errors import DataError, InputChanged, UsageError
from factory.sample import Origin, Request, Sample, Scores
from factory.shards.keys import attempt_name, shard_of
from factory.shards.layout import Layout
from factory.shards.members import OWN
from factory.shards.reader import Stored, decode_as_promised, member_extents
from factory.shards.writer import Extent

Extents: TypeAlias = dict[str, Extent]  # extension → place in the tar


@dataclass
class StoredSamples:
    """Reads the stored sample of a request's key from the tar of its shard.

    tars: row k has the planned name and SHA-256 of shard k's tar ("tar", "tar_sha256"), and of its rejected attempts
    where they are asked for as well ("attempts", "attempts_sha256"); a name is "" where there is none. Raises
    InputChanged where one is no longer that.
    One shard's tars are kept open and indexed, for a shard maps to a shard; pictures are read one sample at a time.
    """

    root: Path
    tars: pa.Table
    _shard: int = -1
    _accepted: "_OpenTar | None" = None
    _rejected: "_OpenTar | None" = None

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        return [self._sample(request) for request in requests]

    def _sample(self, request: Request) -> Sample | DataError:
        key = request.key
        self._open(shard_of(key))
        members = {}
        if self._rejected:
            members = self._rejected.members(attempt_name(key, request.attempt))
        if self._accepted and not members:  # whichever attempt it was
            members = self._accepted.members(key)
        try:
            return as_sample(decode_as_promised(key, members), request)
        except DataError as error:
            return error

    def _open(self, shard: int) -> None:
        if shard == self._shard:
            return
        self._shard = -1
        for tar in (self._accepted, self._rejected):
            if tar:
                tar.file.close()
        layout = Layout(self.root)
        self._accepted = self._opened(layout.data, "tar", shard)
        self._rejected = self._opened(layout.rejected, "attempts", shard)
        self._shard = shard

    def _opened(self, folder: Path, column: str, shard: int) -> "_OpenTar | None":
        """The tar of a shard that one column names; None where it names none."""
        name = self.tars[column][shard].as_py() if column in self.tars.column_names else ""
        if not name:
            return None
        file = _as_planned(folder / name, self.tars[f"{column}_sha256"][shard].as_py())
        return _OpenTar(file, _indexed(folder / name, file))


@dataclass(frozen=True)
class _OpenTar:
    """index: a sample's name → where its members lie."""

    file: IO[bytes]
    index: Mapping[str, Extents]

    def members(self, name: str) -> dict[str, bytes]:
        """Extension → bytes; {} where the tar has no such sample."""
        places = self.index.get(name, {}).items()
        return {extension: os.pread(self.file.fileno(), place.size, place.offset) for extension, place in places}


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
        attributes=tuple(meta.get("attributes", ())),  # only in sets whose prompts a grammar made
        pictures=tuple(meta.get("pictures", ())),  # only in sets whose prompts have some
        adapters=meta.get("adapters", -1.0),  # only in sets of runs that lowered them
        key_rgb=tuple(meta["key_rgb"]),
        ai_generated=meta["ai_generated"],
        digital_source_type=meta["digital_source_type"],
    )
