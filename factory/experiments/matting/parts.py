"""A part of a set: some of its samples under their own keys, as a set of its own that shares the tars."""

import os
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from factory.errors import UsageError
from factory.shards.data_set import ACCEPTED
from factory.shards.durable import appearing, make_folder
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest


def lay_part(folder: Path, out: Path, *, without: Collection[str] = (), take: int = 0) -> int:
    """A set in `out` of those samples of `folder` that come from none of the source pictures named; how many they are.

    without: names of source pictures (stems of the manifest's `item`).
    take: of the rest so many, those first by a hash of their keys, so that fewer are among more; 0 takes all.
    Only a manifest is written, and links to the tars and to what they were made of: readers find a sample by its row.
    Raises UsageError where there are no samples left, or fewer than `take`.
    """
    rows = read_manifest(Layout(folder), rows=ACCEPTED)
    sources = [PurePosixPath(item).stem for item in rows["item"].to_pylist()]
    rows = rows.filter(pa.array([source not in without for source in sources], pa.bool_()))
    if rows.num_rows < max(take, 1):
        left_out = f" that come from none of {len(without)} test pictures" if without else ""
        raise UsageError(f"{folder} has {rows.num_rows:,} samples{left_out}, asked are {max(take, 1):,}.")
    if take:
        ranked = sorted(rows["key"].to_pylist(), key=lambda key: sha256(key.encode()).digest())
        rows = rows.filter(pc.is_in(rows["key"], value_set=pa.array(ranked[:take])))
    part, whole = Layout(out), Layout(folder)
    make_folder(out)
    for link, to in ((part.data, whole.data), (part.inputs, whole.inputs)):
        if to.is_dir() and not link.is_symlink():
            link.symlink_to(os.path.relpath(to.resolve(), out.resolve()))
    with appearing(part.manifest) as file:
        pq.write_table(rows, file, compression="zstd")
    return int(rows.num_rows)
