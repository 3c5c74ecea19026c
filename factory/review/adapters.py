"""What adapters did to the screens of a run: GSG and acceptance by how much they counted for."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from factory.diffusion.lora.lowering import planned_lowering
from factory.jobs.generate import KEYING
from factory.review.digest import Digest


class AtShare(NamedTuple):
    """The attempts at which adapters counted for a share of their weights.

    gsg: of the screen, the mean of those that have one.  passing: how many the gate on it lets pass. Both None where
    pictures are keyed: what is judged then stands on a pure screen.
    """

    share: float
    attempts: int
    gsg: float | None
    passing: int | None
    accepted: int


def named(digest: Digest) -> list[tuple[str, float]]:
    """The adapters laid over the run's model, each with its weight."""
    weights = digest.plan.settings.get("loras", {"weights": ()})["weights"]
    places = digest.plan.places
    return [(Path(places.get(f"lora_{index}", "?")).name, weight) for index, weight in enumerate(weights)]


def screens_by_share(digest: Digest) -> list[AtShare]:
    """A row a share, the largest first; all at 1 where none were lowered. [] without adapters or attempts.

    Lowered attempts are of the slots whose earlier ones failed: rows differ in more than the adapters.
    """
    if not named(digest) or not digest.table.num_rows:
        return []
    shares, gsg = _shares(digest), digest.table["gsg_screen"].to_numpy()
    most = min((value for _, value in digest.limits.get("gsg_screen", [])), default=math.inf)
    keyed = KEYING in digest.plan.settings
    passing, accepted = (gsg >= 0) & (gsg <= most), digest.having("accepted")
    found = []
    for share in sorted(set(shares), reverse=True):
        rows = shares == share
        told = gsg[rows & (gsg >= 0)]
        mean = float(told.mean()) if told.size else math.nan
        attempts, passed, taken = (int(which.sum()) for which in (rows, rows & passing, rows & accepted))
        found.append(AtShare(float(share), attempts, None if keyed else mean, None if keyed else passed, taken))
    return found


def _shares(digest: Digest) -> NDArray[np.float64]:
    """(rows,) what the adapters counted for, told as the source told it: from why a slot's earlier attempts failed."""
    lowering, table = planned_lowering(digest.plan), digest.table
    shares = np.ones(table.num_rows)
    if lowering is not None:
        keys, reasons, attempts = (table[name].to_pylist() for name in ("key", "reason", "attempt"))
        earlier: dict[str, tuple[str, ...]] = {}
        for row in sorted(range(len(keys)), key=lambda row: int(attempts[row])):
            before = earlier.get(keys[row], ())
            shares[row] = lowering.share(before)
            earlier[keys[row]] = (*before, reasons[row])
    return shares
