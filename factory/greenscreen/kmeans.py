"""K-Means on the colours of a picture, by hand: many starts compete on a few hundred cells, the best is finished.

16,381 evenly spaced pixels stand for the picture. They are gathered into cells of the colour cube, each with its mean
colour and its number of pixels; cells that hold much (the screen) are cut finer, so that starts can also divide a
screen. All starts run side by side in one array. The best one goes on over the different colours themselves, without
cells. Random choices come from a generator of a fixed seed: the same picture gives the same clusters in any thread.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.greenscreen.sampling import SAMPLE, evenly_chosen

Floats: TypeAlias = NDArray[np.float64]
Colours: TypeAlias = Floats  # (N, 3), 8-bit levels
Weights: TypeAlias = Floats  # (N,)

STARTS = 12  # of 66 pictures one ends over 1 % above the best of 48 starts, with one start twenty do
MAX_ROUNDS = 60  # the same pictures need 40 at the most; an end for all others, …
MAX_VISITS = 10 * SAMPLE  # … and of points in all rounds: noise, which nothing divides, has the most of both
MAX_ROUNDS_IN_A_START = 16  # as many as they need
STILL = 0.02  # levels by which no centre may still move: at 0.1 the main colour would be up to 0.7 off in them, …
STILL_IN_A_START = 0.5  # … but this is near enough to tell which start is the best
MOST_CELLS = 1024  # above, as in noise, cells are made larger
HEAVY = 1 / 32  # of all pixels: a cell that holds more is cut finer
SEED = 0
NOBODY = 1e-9  # weight of a cluster that has run empty: nothing is divided by 0


def dominant_colours(pixels: NDArray[np.uint8], k: int) -> tuple[Colours, Weights]:
    """The k cluster centres of a picture's colours, largest cluster first, and the share of pixels in each.

    pixels: (..., 3) 8-bit, at least one.  Returns (k', 3) centres in levels and (k',) shares that sum to 1, where
    k' < k only if the picture has fewer than k different colours.
    """
    flat = evenly_chosen(pixels.reshape(-1, 3), SAMPLE)
    quads = np.zeros((len(flat), 4), np.uint8)
    quads[:, :3] = flat
    different, count = np.unique(quads.view(np.uint32), return_counts=True)
    points = different.view(np.uint8).reshape(-1, 4)[:, :3].astype(np.float64)
    return kmeans(points, count.astype(np.float64), k)


def kmeans(points: Colours, weights: Weights, k: int) -> tuple[Colours, Weights]:
    """Weighted K-Means: greedy k-means++ starts compete on cells, the best goes on over all points.

    points: (N, 3) different colours in 0..255.  weights: (N,) > 0.
    Returns (k', 3) centres, largest first, and their (k',) shares; k' = min(k, N) unless a cluster runs empty.
    """
    cells, mass = _cells(points, weights)
    if len(cells) < k:
        cells, mass = points, weights
    k = min(k, len(cells))
    candidates = _lloyd(cells, mass, _starts(cells, mass, k), MAX_ROUNDS_IN_A_START, still=STILL_IN_A_START)
    cost = _squared_distances(cells, candidates).min(axis=1) @ mass
    rounds = min(MAX_ROUNDS, MAX_VISITS // len(points))
    centres = _lloyd(points, weights, candidates[[int(np.argmin(cost))]], rounds, still=STILL)
    nearest = _nearest(points.T, centres.swapaxes(0, 1), np.empty((k, 1, len(points))))[0]
    share = np.bincount(nearest, weights, k) / weights.sum()
    order = np.argsort(-share, kind="stable")[: np.count_nonzero(share)]
    return centres[0, order], share[order]


def _cells(points: Colours, weights: Weights) -> tuple[Colours, Weights]:
    """Mean colour and weight of each occupied cell: 16 levels a side or more, a quarter of it where one is `HEAVY`."""
    r, g, b = np.ascontiguousarray(points.T, np.int32)
    for shift in range(4, 9):
        wide = (r >> shift << 8) + (g >> shift << 4) + (b >> shift)
        heavy = np.bincount(wide, weights)[wide] > weights.sum() * HEAVY
        fine = shift - 2
        cell = np.where(heavy, 4096 + (r >> fine << 12) + (g >> fine << 6) + (b >> fine), wide)
        mass = np.asarray(np.bincount(cell, weights), np.float64)
        occupied = np.flatnonzero(mass > 0)
        if len(occupied) <= MOST_CELLS:
            break
    sums = np.stack([np.bincount(cell, weights * c)[occupied] for c in points.T], axis=1)
    return sums / mass[occupied, None], mass[occupied]


def _starts(points: Colours, weights: Weights, k: int) -> Floats:
    """(STARTS, k, 3) centres by greedy k-means++ (Arthur & Vassilvitskii 2007): of a few D² draws keep the best."""
    random = np.random.default_rng(SEED)
    trials = 2 + int(np.log(k))  # as many as scikit-learn's
    squared = (points**2).sum(axis=1)
    rows = np.arange(STARTS)
    chosen = np.empty((STARTS, k), np.int64)
    chosen[:, 0] = _draw(np.broadcast_to(weights, (STARTS, len(points))), random.random((STARTS, 1)))[:, 0]
    nearest = _squared_distances(points, points[chosen[:, :1]], squared)[:, 0]  # (STARTS, N)
    for i in range(1, k):
        candidates = _draw(nearest * weights, random.random((STARTS, trials)))
        reach = _squared_distances(points, points[candidates], squared)  # (STARTS, trials, N)
        np.minimum(reach, nearest[:, None], out=reach)
        best = np.argmin(reach @ weights, axis=1)
        chosen[:, i] = candidates[rows, best]
        nearest = reach[rows, best]
    return points[chosen]


def _draw(weights: Floats, uniform: Floats) -> NDArray[np.int64]:
    """For each row of weights (R, N) and its uniform numbers (R, T): indices (R, T) drawn in proportion."""
    cumulative = np.cumsum(weights, axis=1)
    threshold = uniform * cumulative[:, -1:]
    index = np.count_nonzero(cumulative[:, None] <= threshold[..., None], axis=2)
    return np.asarray(np.minimum(index, weights.shape[1] - 1), np.int64)


def _lloyd(points: Colours, weights: Weights, centres: Floats, rounds: int, still: float) -> Floats:
    """Lloyd's rounds for R sets of centres at once, (R, k, 3) → (R, k, 3); a centre that loses its points stays.

    rounds: at most.  still: the largest move in levels that counts as converged.
    """
    centres = centres.swapaxes(0, 1)
    k, sets, _ = centres.shape
    across = np.ascontiguousarray(points.T)
    moments = np.stack([weights, *(weights * across)])
    number = np.arange(k, dtype=np.uint8)[:, None, None]
    mine = np.empty((k, sets, len(points)))  # whose point it is; made once, for new pages cost as much as the sums
    for _ in range(rounds):
        np.equal(_nearest(across, centres, mine), number, out=mine)
        sums = (mine.reshape(-1, len(points)) @ moments.T).reshape(k, sets, 4)
        mass = sums[..., :1]
        moved = np.where(mass > 0, sums[..., 1:] / np.maximum(mass, NOBODY), centres)
        move = np.abs(moved - centres).max()
        centres = moved
        if move < still:
            break
    return centres.swapaxes(0, 1)


def _nearest(across: Floats, centres: Floats, away: Floats) -> NDArray[np.uint8]:
    """(R, N) which of its set's k centres (k, R, 3) each point is nearest to, the first of equals.

    across: (3, N) the points.  away: (k, R, N) is overwritten with |p − c|² less the |p|² that all have, and compared
    centre by centre, for `argmin` over an axis other than the last takes thrice as long.
    """
    np.matmul(-2 * centres.reshape(-1, 3), across, out=away.reshape(-1, across.shape[1]))
    away += (centres**2).sum(axis=2)[..., None]
    least = away[0]
    label = np.zeros(least.shape, np.uint8)
    for i in range(1, len(centres)):
        np.copyto(label, i, where=away[i] < least)
        np.minimum(least, away[i], out=least)
    return label


def _squared_distances(points: Colours, centres: Floats, squared: Floats | None = None) -> Floats:
    """(R, k, N) squared distances from R sets of k centres to N points.  squared: (N,) of the points, where known."""
    if squared is None:
        squared = (points**2).sum(axis=1)
    squares: Floats = (centres.reshape(-1, 3) @ points.T).reshape(*centres.shape[:2], len(points))
    squares *= 2  # in place: with new arrays for each step it takes a third longer
    np.subtract(squared, squares, out=squares)
    squares += (centres**2).sum(axis=2)[..., None]
    return np.maximum(squares, 0, out=squares)
