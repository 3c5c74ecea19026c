"""The objects of finished sets, all in memory: some 100 MB for each 1,000 of 192 pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from factory.errors import DataError, UsageError
from factory.refine.train.scenes import Cutout
from factory.refine.train.settings import check_sets
from factory.shards.reader import read_samples


def read_objects(folders: Sequence[str]) -> list[Cutout]:
    """Every training sample's foreground and α, in key order. Raises UsageError where a set is not to be used."""
    objects: list[Cutout] = []
    check_sets(folders)
    for folder in map(Path, folders):
        try:
            for sample in read_samples(folder, "train"):
                if sample.alpha.shape[0] != sample.alpha.shape[1]:
                    raise UsageError(f"{folder}: sample {sample.key} is not square: build the set with a size")
                objects.append(Cutout(np.ascontiguousarray(sample.foreground), np.ascontiguousarray(sample.alpha)))
        except DataError as error:
            raise UsageError(f"{folder}: {error}: `factory verify` says what else is broken there.") from error
    if not objects:
        raise UsageError(f"{', '.join(folders)} hold no training sample: build a set with more in it")
    return objects
