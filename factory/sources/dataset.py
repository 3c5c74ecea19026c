"""The samples of an existing data set as a source: for refine and filter."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from factory.errors import DataError, InputChanged
from factory.sample import Origin, Request, Sample, Scores
from factory.shards.layout import Layout
from factory.shards.reader import Stored, decode, read_members


@dataclass
class StoredSamples:
    """Reads a request's sample from the tar that its frozen item names.

    Raises InputChanged where the tar is no longer what was planned. One tar is kept open: a shard maps to a shard.
    """

    root: Path
    _tar: str = ""
    _members: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def __call__(self, requests: Sequence[Request]) -> list[Sample | DataError]:
        return [self._sample(request) for request in requests]

    def _sample(self, request: Request) -> Sample | DataError:
        self._open(request.item["tar"], request.item["tar_sha256"])
        try:
            return as_sample(decode(request.item["key"], self._members[request.item["key"]]), request)
        except DataError as error:
            return error

    def _open(self, tar: str, sha256: str) -> None:
        if tar == self._tar:
            return
        path = Layout(self.root).data / tar
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            found = ""
        if found != sha256:
            raise InputChanged(f"{path} is not what it was when the run was planned: restore it, or use a new --out.")
        self._members = dict(read_members(path))
        self._tar = tar


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
