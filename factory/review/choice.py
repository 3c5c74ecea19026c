"""Which of many samples to look at: of each class and source, the best, the worst, the nearly rejected, and a draw."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from factory.review.digest import Digest
from factory.shards.manifest import SCORES

EACH = 40  # best, worst, near a limit
CLASSES = 200
EACH_SOURCE = 12
GROUPS = ("each class", "each source", "best", "worst", "near a limit", "see-through inside", "random")
RANKING = (
    "label_error",
    "gsg_screen",
    "gsg",
    "residual",
    "green_residue",
)  # the first that was scored tells good from bad; lower is better

Limits = Mapping[str, Sequence[tuple[str, float]]]


def choose(digest: Digest, most: int) -> dict[str, list[str]]:
    """At most `most` keys of accepted samples → why each was chosen; each class first. Drawn by the plan's seed."""
    accepted = np.flatnonzero(digest.having("accepted"))
    rng = np.random.default_rng(digest.plan.seed)
    shuffled = rng.permutation(accepted)
    scores = {name: digest.table[name].to_numpy()[shuffled] for name in SCORES}
    groups: dict[str, NDArray[np.intp]] = {"each class": _one_of_each(digest, shuffled)}
    if len(digest.counts) > 1:
        groups["each source"] = _some_of_each_source(digest, shuffled)
    ranking = next((scores[name] for name in RANKING if shuffled.size and scores[name].max() >= 0), None)
    if ranking is not None:
        order = shuffled[np.argsort(ranking, kind="stable")]
        groups["best"], groups["worst"] = order[:EACH], order[::-1][:EACH]
    margin = _margin(scores, digest.limits)
    if margin is not None:
        groups["near a limit"] = shuffled[np.argsort(margin, kind="stable")[:EACH]]
    holes = scores["pinholes"]
    holed = np.argsort(-holes, kind="stable")[: min(EACH, np.count_nonzero(holes > 0))]
    if holed.size:
        groups["see-through inside"] = shuffled[holed]
    groups["random"] = shuffled[:most]
    why: dict[int, list[str]] = {}
    for name, rows in groups.items():
        for row in rows.tolist():
            if row not in why and len(why) == most:
                break  # the draw is the longest beginning of the shuffle that fits, so it stays fair
            why.setdefault(row, []).append(name)
    keys = digest.table["key"].take(np.fromiter(why, np.int64, len(why))).to_pylist()
    return dict(zip(keys, why.values(), strict=True))


def _one_of_each(digest: Digest, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first of `rows` of each of the first CLASSES classes."""
    codes = digest.table["class"].take(rows).combine_chunks()
    if not pa.types.is_dictionary(codes.type):
        codes = codes.dictionary_encode()
    _, first = np.unique(codes.indices.to_numpy(), return_index=True)
    return rows[np.sort(first)[:CLASSES]]


def _some_of_each_source(digest: Digest, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first EACH_SOURCE of `rows` of each source."""
    sources = digest.source_of_row[rows]
    return np.concatenate([rows[np.flatnonzero(sources == place)[:EACH_SOURCE]] for place in range(len(digest.counts))])


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
