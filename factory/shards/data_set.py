"""A data set as a Python sequence: its samples by position, by key and in order, views of some, and its manifest."""

import operator
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from factory.errors import UsageError
from factory.shards.layout import Layout
from factory.shards.lookup import find, read_bodies, read_row
from factory.shards.manifest import columns_of, manifest_files, read_manifest
from factory.shards.members import is_place
from factory.shards.reader import Stored
from factory.trust import weight_of

if TYPE_CHECKING:
    from webdataset import DataPipeline

ACCEPTED = pc.field("status") == "accepted"
AT_ONCE = 1024  # rows that are Python objects at a time


class DataSet:
    """The accepted samples of a set, in key order, or a view of some of them.

    A sample is read when it is asked for, by one range read. Of the manifest some 90 bytes a sample are kept, from the
    first use on that needs positions: the length of a set in the making stays what it was then.

    A damaged sample raises DataError, which names it; what is asked wrongly raises UsageError or, for a position,
    IndexError.
    """

    def __init__(self, root: Path, places: pa.Table | None = None, chosen: NDArray[np.int64] | None = None) -> None:
        """places, chosen: of a view: where all samples of the set lie, and which rows of it are the view's."""
        self.root = root
        self._layout = Layout(root)
        self._is_view = chosen is not None
        if places is not None and chosen is not None:
            self._places, self._chosen = places, chosen
        elif not any(path.exists() for path in (self._layout.manifest, self._layout.parts, self._layout.plan)):
            raise UsageError(
                f"{root} is no data set made by factory: it has no {self._layout.manifest.name} and no manifest folder."
            )

    @cached_property
    def _places(self) -> pa.Table:
        """Key, shard, split and the members' places of all accepted samples."""
        files = manifest_files(self._layout)
        members = [name for name in columns_of(files[0]) if is_place(name)] if files else []
        return self._read(["key", "shard", "split", *members]).combine_chunks()

    @cached_property
    def _chosen(self) -> NDArray[np.int64]:
        return np.arange(self._places.num_rows)

    def _read(self, columns: list[str] | None = None, rows: pc.Expression | None = ACCEPTED) -> pa.Table:
        return read_manifest(self._layout, columns, rows)

    def _view(self, chosen: NDArray[np.int64]) -> "DataSet":
        return DataSet(self.root, self._places, chosen)

    def _column(self, name: str) -> pa.ChunkedArray:
        return self._places[name].take(self._chosen)

    def __repr__(self) -> str:
        return f"<{'view' if self._is_view else 'set'} of {len(self):,} samples in {self.root}>"

    def __len__(self) -> int:
        return len(self._chosen)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(pc.any(pc.equal(self._column("key"), key)).as_py())

    def __iter__(self) -> Iterator[Stored]:
        for begin in range(0, len(self), AT_ONCE):
            for row in self._places.take(self._chosen[begin : begin + AT_ONCE]).to_pylist():
                yield read_row(self.root, row)

    @overload
    def __getitem__(self, at: int | str) -> Stored: ...

    @overload
    def __getitem__(self, at: slice) -> "DataSet": ...

    def __getitem__(self, at: int | str | slice) -> "Stored | DataSet":
        """A sample by position or key, or a view. By key only the key's own shard's part of the manifest is read."""
        if isinstance(at, slice):
            return self._view(self._chosen[at])
        if isinstance(at, str):
            row = find(self.root, at)
            if self._is_view and at not in self:
                raise UsageError(f"{at} is a sample of {self.root}, but not one of this view's {len(self):,}.")
            return read_row(self.root, row)
        return read_row(self.root, self._row(operator.index(at)))

    def encoded(self, position: int, members: Collection[str]) -> tuple[str, dict[str, bytes]]:
        """Key, and extension → bytes, of some members of a sample ("alpha.png"), by one range read; none is decoded."""
        row = self._row(position)
        return row["key"], read_bodies(self.root, row, members)

    def _row(self, position: int) -> dict[str, Any]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"there is no sample {position}: this {self!r} has {len(self):,}.")
        row: dict[str, Any] = self._places.slice(self._chosen[position], 1).to_pylist()[0]
        return row

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The samples' keys, in their order."""
        return tuple(self._column("key").to_pylist())

    def key_at(self, position: int) -> str:
        """The key of one sample, without those of all."""
        return str(self._places["key"][self._chosen[position]].as_py())

    @property
    def shards(self) -> NDArray[np.int32]:
        """(N,) in which shard each sample lies."""
        return np.asarray(self._column("shard").to_numpy(), np.int32)

    @property
    def manifest(self) -> pa.Table:
        """The samples' manifest rows, in their order (columns: docs/format.md). Read anew each time: keep it."""
        rows, keys = self._read(), self._column("key")
        return rows if rows["key"].equals(keys) else rows.take(pc.index_in(keys, value_set=rows["key"]))

    @property
    def weights(self) -> NDArray[np.float32]:
        """(N,) how much each sample may count in training, 0..1, for torch's `WeightedRandomSampler` or a loss.

        It is less the more wrong the matte is expected to be (`label_error` in the manifest): a half at 0.08; 1 where
        the matte was given, and in sets that were made before there was that score.
        """
        rows = self._read(["key", "label_error"])
        return weight_of(rows["label_error"].take(pc.index_in(self._column("key"), value_set=rows["key"])).to_numpy())

    @property
    def attempts(self) -> pa.Table:
        """The manifest of the whole set: a row for each attempt, the rejected and failed ones too."""
        return self._read(rows=None)

    @property
    def splits(self) -> dict[str, int]:
        """Split → its samples."""
        counts = pc.value_counts(self._column("split"))
        return dict(sorted((count["values"], count["counts"]) for count in counts.to_pylist()))

    def split(self, name: str) -> "DataSet":
        """The view of one split."""
        if name not in self.splits:
            known = " and ".join(self.splits)
            raise UsageError(f"{self.root} has no accepted sample of a split {name!r} here: it has {known or 'none'}.")
        return self.where(pc.equal(self._column("split"), name))

    def where(self, condition: "pc.Expression | ArrayLike") -> "DataSet":
        """The view of those samples whose manifest row meets an expression, or of which a mask of bools says True."""
        if isinstance(condition, pc.Expression):
            condition = pc.is_in(self._column("key"), value_set=self._read(["key"], ACCEPTED & condition)["key"])
        mask = np.asarray(condition)
        if mask.dtype != np.bool_ or mask.shape != (len(self),):
            raise UsageError(f"a mask of this {self!r} has a bool for each; this one is {mask.dtype} {mask.shape}.")
        return self._view(self._chosen[mask])

    def torch(self, split: str = "train", shuffle: int = 1000, seed: int = 0) -> "DataPipeline":
        """A webdataset pipeline of tensors, for a torch DataLoader: each sample of the split once.

        Yields {"key", "caption": text, "rgb", "fg": float32 (3, H, W) in 0..1, "alpha": (1, H, W), any further member}.
        Tars are dealt out to ranks (RANK and WORLD_SIZE, as torchrun sets them, or torch.distributed), then to workers:
        have as many tars as these in all. Ranks may get unequal numbers, which `.with_epoch(n)` of the pipeline mends.

        shuffle: samples, still encoded, that wait in each worker to be drawn from; tars are shuffled too. 0: key order.
        seed: decides the order. Every pass over one pipeline has its own; workers that die with an epoch
        (`persistent_workers=False`) begin again with the first.
        """
        from factory.shards.tensors import stream  # noqa: PLC0415  (imports torch)

        view = self.split(split)
        rows = self._places.select(["key", "shard"]).take(view._chosen)
        return stream(self._layout, split, rows, shuffle, seed)
