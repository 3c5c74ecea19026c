"""Attributes of prompts that a grammar made: how often each value was asked for, and how often it was accepted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from factory.engine.inputs import read_frozen
from factory.jobs.prompt_list import TABLE
from factory.review.digest import Digest
from factory.shards.keys import MAX_SHARD_SIZE
from factory.shards.layout import Layout
from factory.sources.prompt_grammar import ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Quota:
    """A value of an attribute.  asked: slots that wanted it.  accepted: those of them that were filled."""

    value: str
    asked: int
    accepted: int


def quotas(layout: Layout, digest: Digest) -> Mapping[str, Sequence[Quota]]:
    """Attribute → its values, the most frequent first; {} where no grammar made the prompts.

    Counted over the slots in the digest's table: of a very large set those of some shards.
    """
    prompts = read_frozen(layout.inputs / f"{TABLE}.arrow")
    if prompts is None or ATTRIBUTES not in prompts.column_names:
        return {}
    keys = digest.table["key"].cast(pa.int64()).to_numpy()
    asked, accepted = (_by_row(digest, slots, prompts.num_rows) for slots in (keys, keys[digest.having("accepted")]))
    counts: dict[str, Counter[str]] = {}
    filled: Counter[str] = Counter()
    for made_of, slots, done in zip(prompts[ATTRIBUTES].to_pylist(), asked.tolist(), accepted.tolist(), strict=True):
        for attribute in made_of:
            name, _, _ = attribute.partition(": ")
            counts.setdefault(name, Counter())[attribute] += slots
            filled[attribute] += done
    return {
        name: [Quota(value.removeprefix(f"{name}: "), n, filled[value]) for value, n in own.most_common()]
        for name, own in counts.items()
    }


def _by_row(digest: Digest, keys: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """How many slots of these attempts there are for each row of the table of prompts."""
    shard, index = np.divmod(np.unique(keys), MAX_SHARD_SIZE)
    first = {number: digest.plan.shard(number).first for number in np.unique(shard).tolist()}
    slots = np.array([first[number] for number in shard.tolist()], np.int64) + index
    return np.bincount(slots % rows, minlength=rows)
