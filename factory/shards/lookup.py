"""One sample out of millions: its manifest rows by key, its pictures by one range read."""

from bisect import bisect_left
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from factory.errors import DataError, UsageError, quoted, some
from factory.shards.keys import KEY_DIGITS, is_key, shard_of
from factory.shards.layout import Layout
from factory.shards.manifest import manifest_files, manifest_rows
from factory.shards.members import places
from factory.shards.reader import Stored, decode_as_promised

NEIGHBOURS = 2  # named on each side of a key that is not there


def attempts(root: Path, key: str) -> list[dict[str, Any]]:
    """All manifest rows of one key, accepted, rejected and failed, in the order they were tried.

    Only the key's own shard is read. Raises UsageError with the nearest keys where there is none.
    """
    layout = Layout(root)
    if not is_key(key):
        raise UsageError(
            f"{key!r} is no key: give the {KEY_DIGITS} digits before a member's first dot, such as 0000000003."
        )
    part = layout.part(shard_of(key))
    files = [file for file in (part, layout.manifest) if file.exists()]
    rows: list[dict[str, Any]] = []
    for file in files:
        try:
            rows = manifest_rows([file], rows=pc.field("key") == key).to_pylist()
            break
        except UsageError:
            if file == files[-1]:  # one of the two tells as much as the other
                raise
    if not rows:
        raise UsageError(f"{root} holds no sample {key}{_nearest(layout, key)}.")
    if missing := [name for name in ("status", "attempt", "shard", "split", "reason", "seed") if name not in rows[0]]:
        raise UsageError(f"{file} is no manifest: it has no column {some(missing)}.")
    return sorted(rows, key=lambda row: row["attempt"])


def find(root: Path, key: str) -> dict[str, Any]:
    """The manifest row of an accepted sample. Raises UsageError where the key is unknown or was never accepted."""
    rows = attempts(root, key)
    for row in rows:
        if row["status"] == "accepted":
            return row
    reasons = ", ".join(str(row["reason"]) for row in rows)
    raise UsageError(f"{key} was tried {len(rows)} times and never accepted ({reasons}): `factory show` tells more.")


def read_row(root: Path, row: dict[str, Any]) -> Stored:
    """The pictures and metadata of a row, accepted or kept although rejected, which may come from anybody's manifest.

    Raises DataError where the bytes there are no such sample, UsageError where the tar is missing.
    """
    return decode_as_promised(row["key"], read_bodies(root, row))


def read_bodies(root: Path, row: dict[str, Any], wanted: Collection[str] | None = None) -> dict[str, bytes]:
    """Extension → encoded member of a row, as `read_row` finds it.

    wanted: the extensions to be read; None: all there are. Raises as `read_row`, DataError also where one is not there.
    """
    layout, key = Layout(root), row["key"]
    lie = places(row)
    if wanted is not None:
        if missing := [name for name in wanted if name not in lie]:
            raise DataError("missing_member", f"sample {key} has no {some(missing)}")
        lie = {name: lie[name] for name in wanted}
    numbers = [row["shard"], *chain.from_iterable(lie.values())]
    if not str(row["split"]).isidentifier() or not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise DataError("manifest", f"the manifest does not say where sample {key} lies")
    was_rejected = row.get("status") == "rejected"
    tar = layout.attempts_tar(row["shard"]) if was_rejected else layout.tar(row["shard"], row["split"])
    length = layout.store.size(tar)
    if length is None:
        names_more = f"`factory verify {quoted(root)}` names what else is"
        raise UsageError(f"{tar} is missing: {names_more}, running again remakes it.")
    begin = min((offset for offset, _ in lie.values()), default=0)
    end = max((offset + size for offset, size in lie.values()), default=0)
    if end > length:
        raise DataError("broken_tar", f"{tar.name} ends at byte {length:,}, but sample {key} lies up to {end:,}")
    span = layout.store.read(tar, begin, end - begin)  # members lie beside each other: one read gets them all
    return {name: span[offset - begin : offset - begin + size] for name, (offset, size) in lie.items()}


def _nearest(layout: Layout, key: str) -> str:
    """The end of a sentence: neighbours of an absent key, from the shard that would hold it and those beside it."""
    parts = sorted(layout.parts.glob("part-*.parquet")) or manifest_files(layout)
    if not layout.root.is_dir():
        return ": there is no such folder"
    if not parts:
        return ": no shard of it is finished yet" if layout.plan.exists() else ": it has no manifest"
    place = bisect_left(parts, layout.part(shard_of(key)))
    keys: set[str] = set()
    for part in parts[max(0, place - 1) : place + 2]:
        keys.update(manifest_rows([part], ["key"])["key"].to_pylist())
    ordered = sorted(keys)
    index = bisect_left(ordered, key)
    near = ordered[max(0, index - NEIGHBOURS) : index + NEIGHBOURS]
    return f"; the nearest keys are {', '.join(near)}" if near else ": it is empty"
