"""Which of many samples to look at: each class once, the best, the worst, the nearly rejected, and a fair draw."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from factory.review.digest import Digest
from factory.shards.manifest import SCORES

EACH = 40  # best, worst, near a limit
CLASSES = 200
RANKING = ("gsg", "residual", "green_residue")  # the first that was scored tells good from bad; lower is better

Limits = Mapping[str, Sequence[tuple[str, float]]]


def choose(digest: Digest, limits: Limits, most: int) -> dict[str, list[str]]:
    """At most `most` keys of accepted samples → why each was chosen; each class first. Drawn by the plan's seed."""
    accepted = np.flatnonzero(digest.status == "accepted")
    rng = np.random.default_rng(digest.plan.seed)
    shuffled = rng.permutation(accepted)
    scores = {name: digest.table[name].to_numpy()[shuffled] for name in SCORES}
    groups: dict[str, NDArray[np.intp]] = {"each class": _one_of_each(digest, shuffled)}
    ranking = next((scores[name] for name in RANKING if shuffled.size and scores[name].max() >= 0), None)
    if ranking is not None:
        order = shuffled[np.argsort(ranking, kind="stable")]
        groups["best"], groups["worst"] = order[:EACH], order[::-1][:EACH]
    margin = _margin(scores, limits)
    if margin is not None:
        groups["near a limit"] = shuffled[np.argsort(margin, kind="stable")[:EACH]]
    groups["random"] = shuffled
    why: dict[int, list[str]] = {}
    for name, rows in groups.items():
        for row in rows.tolist():
            if row in why:
                why[row].append(name)
            elif len(why) < most:
                why[row] = [name]
    keys = digest.table["key"].take(np.fromiter(why, np.int64, len(why))).to_pylist()
    return dict(zip(keys, why.values(), strict=True))


def _one_of_each(digest: Digest, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first of `rows` of each of the first CLASSES classes."""
    names = digest.table["class"].take(rows).to_numpy(zero_copy_only=False)
    _, first = np.unique(names.astype(str), return_index=True)
    return rows[np.sort(first)[:CLASSES]]


def _margin(scores: Mapping[str, NDArray[np.float32]], limits: Limits) -> NDArray[np.float64] | None:
    """How far each sample stays from its nearest limit, in standard deviations of that score; None without limits."""
    margins = []
    for name, bounds in limits.items():
        values = scores[name].astype(np.float64)
        if not values.size or values.min() < 0:
            continue
        spread = float(values.std()) or 1.0
        margins += [((value - values) if side == "max" else (values - value)) / spread for side, value in bounds]
    return np.min(margins, axis=0) if margins else None
