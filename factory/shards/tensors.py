"""Shards as a stream of tensors for a trainer: webdataset deals them out and shuffles, our own reader reads them."""

import random
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import torch
import webdataset as wds
from torch import Tensor

from factory.errors import UsageError
from factory.shards.layout import Layout
from factory.shards.members import Pixels
from factory.shards.reader import decode_as_promised, read_members

Part: TypeAlias = tuple[Path, pa.ChunkedArray]
"""A tar, and the keys that are wanted of it."""

Encoded: TypeAlias = tuple[str, dict[str, bytes]]


def stream(layout: Layout, split: str, rows: pa.Table, shuffle: int, seed: int) -> wds.DataPipeline:
    """A pipeline over the samples of one split that these rows name (key, shard). See DataSet.torch."""
    rows = rows.sort_by("shard")
    numbers, begins = np.unique(rows["shard"].to_numpy(), return_index=True)
    tars = [layout.tar(int(number), split).absolute() for number in numbers]
    there = layout.store.sizes(layout.data)
    if missing := [tar.name for tar in tars if tar.name not in there]:
        raise UsageError(f"{layout.data} lacks {len(missing):,} tars, {missing[0]} first: running again remakes them.")
    ends = [*begins[1:], rows.num_rows]
    parts = [(tar, rows["key"].slice(begin, end - begin)) for tar, begin, end in zip(tars, begins, ends, strict=True)]
    shuffles = shuffle > 0
    return wds.DataPipeline(
        partial(iter, parts),
        wds.detshuffle(len(parts), initial=len(parts), seed=seed) if shuffles else None,  # before: alike on all ranks
        wds.split_by_node,
        wds.split_by_worker,
        _wanted,
        _Shuffle(shuffle, seed=seed) if shuffles else None,
        wds.map(_tensors),
    )


class _Shuffle(wds.detshuffle):  # type: ignore[misc]
    """Each worker's own: with one seed for all, they would draw the same places of their tars at the same time."""

    def run(self, src: Iterator[Encoded]) -> Iterator[Encoded]:
        self.epoch += 1
        rank, _, worker, _ = wds.utils.pytorch_worker_info()
        rng = random.Random(f"{self.seed} {self.epoch} {rank} {worker}")
        shuffled: Iterator[Encoded] = wds.shuffle(self.bufsize, initial=self.initial, rng=rng)(src)
        return shuffled


def _wanted(parts: Iterable[Part]) -> Iterator[Encoded]:
    """The samples, tar by tar."""
    for tar, keys in parts:
        wanted = set(keys.to_pylist())
        yield from (sample for sample in read_members(tar) if sample[0] in wanted)


def _tensors(sample: Encoded) -> dict[str, Any]:
    stored = decode_as_promised(*sample)
    pictures = {name: _tensor(pixels) for name, pixels in stored.pictures.items()}
    return {"key": stored.key, "caption": str(stored.meta.get("caption", "")), **pictures}


def _tensor(pixels: Pixels) -> Tensor:
    """(H, W) or (H, W, C) levels → (C, H, W) float32 in 0..1."""
    return torch.from_numpy(np.atleast_3d(pixels).transpose(2, 0, 1).astype(np.float32)) / 255
