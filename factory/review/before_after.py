"""What refining changed: α of a set beside that of the set it was made of, the largest changes first."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from factory.engine.plan import Plan, read_plan
from factory.errors import DataError, FactoryError
from factory.refine.refiners import Refiners
from factory.review.digest import Digest
from factory.review.thumbnails import beside, pane
from factory.sample import Matte, Picture
from factory.shards.encoding import decode_png, encode_png
from factory.shards.layout import Layout
from factory.shards.lookup import find, read_row
from factory.shards.manifest import read_manifest

COMPARED = 500  # samples, drawn by the seed: two pictures of each are read
SHOWN = 24  # samples that changed the most
SIDE = 224  # pixels of a pane
BANDS = (0.001, 0.01, 0.1)  # of the mean |Δα| of a sample, 0..1
PLACES = ("key", "shard", "split", "alpha_png_offset", "alpha_png_size")


@dataclass(frozen=True, slots=True)
class Change:
    """A sample that changed.  file: its panes (picture, old α, new α, difference), beside the page."""

    key: str
    mean: float  # |Δα| over the picture, 0..1
    caption: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeAfter:
    """old: where the set lay that this one was made of.  gone: why it cannot be compared, "" where it was.

    compared: samples that were looked at.  bands: of what mean |Δα|, how many; of those in which anything changed.
    """

    old: Path
    gone: str = ""
    compared: int = 0
    unchanged: int = 0
    median: float = 0.0  # of the mean |Δα| of all compared
    bands: Sequence[tuple[str, int]] = ()
    changes: Sequence[Change] = ()


def compared(layout: Layout, digest: Digest, folder: Path) -> BeforeAfter | None:
    """A set with refined mattes and its input set; None for any other.  folder: of the thumbnails, beside the page."""
    plan = digest.plan
    if "input" not in plan.places or not Refiners.model_fields.keys() & plan.settings.keys():
        return None
    old = Path(plan.places["input"])
    try:
        if gone := _why_not(Layout(old), plan):
            return BeforeAfter(old=old, gone=gone)
        return _compared(Layout(old), layout, digest, folder)
    except (DataError, FactoryError, OSError) as error:
        return BeforeAfter(old=old, gone=f"it cannot be read ({error})")


def _why_not(old: Layout, plan: Plan) -> str:
    if not old.root.is_dir():
        return "it is no longer there"
    if old.plan.exists() and plan.settings.get("input", {}).get("fingerprint") not in read_plan(old.plan).fingerprints:
        return "another set lies there now"
    return ""


def _compared(old: Layout, new: Layout, digest: Digest, folder: Path) -> BeforeAfter:
    keys = digest.table["key"].filter(pa.array(digest.having("accepted")))
    drawn = np.sort(np.random.default_rng(digest.plan.seed).permutation(len(keys))[:COMPARED])
    wanted = keys.take(pa.array(drawn)).combine_chunks()
    before, after = _places(old, wanted), _places(new, wanted)
    both = [key for key in wanted.to_pylist() if key in before and key in after]
    with ThreadPoolExecutor(4) as pool:  # decoding lets the others run
        means = list(pool.map(lambda key: _mean_change(_alpha(old, before[key]), _alpha(new, after[key])), both))
    order = np.argsort(-np.array(means), kind="stable")[:SHOWN]
    changed = np.array([mean for mean in means if mean > 0], np.float64)
    return BeforeAfter(
        old=old.root,
        compared=len(both),
        unchanged=len(both) - len(changed),
        median=float(np.median(means)) if means else 0.0,
        bands=_banded(changed),
        changes=[_change(old, new, both[i], means[i], folder) for i in order if means[i] > 0],
    )


def _places(layout: Layout, keys: pa.Array) -> dict[str, dict[str, Any]]:
    """Where the α of accepted samples lies, by key."""
    rows = (pc.field("status") == "accepted") & pc.is_in(pc.field("key"), value_set=keys)
    return {row["key"]: row for row in read_manifest(layout, PLACES, rows).to_pylist()}


def _alpha(layout: Layout, row: dict[str, Any]) -> Matte:
    """Of a row which may come from anybody's manifest. Raises DataError."""
    offset, size = row["alpha_png_offset"], row["alpha_png_size"]
    told = all(isinstance(number, int) and number >= 0 for number in (row["shard"], offset, size))
    if not told or not str(row["split"]).isidentifier():
        raise DataError("manifest", f"the manifest does not say where sample {row['key']} lies")
    return decode_png(layout.store.read(layout.tar(row["shard"], row["split"]), offset, size))


def _mean_change(old: Matte, new: Matte) -> float:
    """0..1."""
    if old.shape != new.shape:
        raise DataError("size", f"α is {new.shape} where it was {old.shape}")
    return float(np.abs(old.astype(np.int16) - new).mean() / 255)


def _banded(changed: NDArray[np.float64]) -> list[tuple[str, int]]:
    names = [*(f"up to {limit:g}" for limit in BANDS), f"above {BANDS[-1]:g}"]
    counts = np.bincount(np.digitize(changed, BANDS, right=True), minlength=len(names))
    return list(zip(names, counts.tolist(), strict=True))


def _change(old: Layout, new: Layout, key: str, mean: float, folder: Path) -> Change:
    before, after = (read_row(layout.root, find(layout.root, key)) for layout in (old, new))
    difference = signed(before.alpha, after.alpha)
    panes = [pane(picture, SIDE) for picture in (after.rgb, before.alpha, after.alpha, difference)]
    name = f"{key}-change.png"
    (folder / name).write_bytes(encode_png(beside(panes)))
    meta = after.meta
    caption = str(meta["caption"] or meta["prompt"] or meta["class"] or key)
    return Change(key, mean, caption, f"{folder.name}/{name}")


def signed(old: Matte, new: Matte) -> Picture:
    """(H, W, 3) white where nothing changed; what was taken away red, what came blue, full at |Δα| of a quarter."""
    change = np.clip((new.astype(np.float32) - old) * (4 / 255), -1, 1)
    gone, come = np.maximum(-change, 0), np.maximum(change, 0)
    paint = np.stack([1 - come, 1 - np.maximum(gone, come * 0.6), 1 - gone], axis=-1)
    return np.asarray(np.rint(paint * 255), np.uint8)
