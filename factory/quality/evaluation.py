"""Predicted mattes against the true ones: errors per picture and their mean, by a convention that is always named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from factory.errors import DataError, UsageError
from factory.quality.matte_sets import Place, find_mattes, read_matte
from factory.quality.metrics import UNITS, Errors, measure, unknown, whole
from factory.sample import Matte
from factory.shards.counting import Counting, silent
from factory.shards.durable import appearing

RegionName: TypeAlias = Literal["unknown", "whole"]
N = TypeVar("N")  # what names a matte
METRICS = tuple(UNITS)
HEADINGS = ("SAD", "MSE", "Grad", "Conn")
DECIMALS = {"sad": 4, "mse": 6, "grad": 4, "conn": 4}
BAND = 25  # pixels: the width of the disc that derives an unknown region, as the code of GFM has it for training
SHOWN = 50  # pictures in the table; the Parquet file has all
NAMED = 10  # faults

CONVENTION = "the Deep Image Matting evaluation code; the mean is over pictures"
COMPOSITED = "elsewhere predictions are first set to the trimap's 0 or 255"
REGIONS = {
    "trimap": f"unknown, where the given trimap is 128; {COMPOSITED}",
    "derived": f"unknown, where a disc {BAND} px wide covers both α > 0 and α < 255 of the true matte; {COMPOSITED}",
    "whole": "whole picture, predictions as they are",
}


@dataclass(frozen=True, slots=True)
class Score:
    """One picture's errors. pixels: size of the region they were measured in."""

    name: str
    width: int
    height: int
    pixels: int
    errors: Errors


@dataclass(frozen=True, slots=True)
class Fault:
    """A picture that could not be scored, and why. kind: a short word that is counted."""

    name: str
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came out. Both lists are in the order of names; `region` is a sentence of REGIONS."""

    region: str
    scores: tuple[Score, ...]
    faults: tuple[Fault, ...]

    @property
    def mean(self) -> Errors | None:
        """The plain mean over the pictures that were scored; None where none was."""
        if not self.scores:
            return None
        table = np.array([[getattr(score.errors, name) for name in METRICS] for score in self.scores])
        return Errors(**dict(zip(METRICS, table.mean(axis=0).tolist(), strict=True)))

    def text(self, shown: int = SHOWN) -> str:
        """A table for the terminal. Of more than `shown` pictures only those with the greatest SAD are listed."""
        return "\n".join([*_table(self, shown), *faults_text(self.faults)])


def evaluate(
    prediction: Path,
    truth: Path,
    *,
    region: RegionName = "unknown",
    trimap: Path | None = None,
    parquet: Path | None = None,
    progress: Counting = silent,
) -> Evaluation:
    """Score every matte that both sides have, and name every one that could not be scored.

    prediction, truth: folders of mattes, or data sets; see matte_sets.py for what names a matte.
    region: where to measure. "unknown" needs a folder of trimaps, or derives them from the true mattes.
    parquet: also write the table there.  progress: (pictures done, in all).
    Raises UsageError where nothing could begin: no mattes, no common name, flags that contradict each other.
    """
    if region == "whole" and trimap is not None:
        raise UsageError("--trimap has no part in --region whole: give one of the two.")
    if parquet is not None:
        check_writable(parquet)
    predictions, truths = find_mattes(prediction), find_mattes(truth)
    if predictions.keys().isdisjoint(truths):
        first = f"{next(iter(predictions))} … and {next(iter(truths))} …"
        raise UsageError(f"{prediction} and {truth} have no matte of one name ({first}): name them alike.")
    trimaps = find_mattes(trimap) if trimap is not None else None
    names = sorted(predictions.keys() | truths.keys())
    scores, faults = list[Score](), list[Fault]()
    for done, name in enumerate(names, start=1):
        try:
            scores.append(_score(name, predictions, truths, trimaps, region))
        except DataError as fault:
            faults.append(Fault(name, fault.kind, str(fault)))
        progress(done, len(names))
    convention = "whole" if region == "whole" else "derived" if trimaps is None else "trimap"
    evaluation = Evaluation(region=REGIONS[convention], scores=tuple(scores), faults=tuple(faults))
    if parquet is not None:
        write_parquet(evaluation, parquet)
    return evaluation


def _score(
    name: str,
    predictions: Mapping[str, Place],
    truths: Mapping[str, Place],
    trimaps: Mapping[str, Place] | None,
    region: RegionName,
) -> Score:
    alpha, target = read_side("prediction", name, predictions), read_side("truth", name, truths)
    if alpha.shape != target.shape:
        sizes = f"{alpha.shape[1]}×{alpha.shape[0]}, the truth {target.shape[1]}×{target.shape[0]}"
        raise DataError("size", f"the prediction is {sizes}")
    if region == "whole":
        place = whole(target)
    else:
        trimap = trimap_of(target) if trimaps is None else read_trimap(name, trimaps, target)
        alpha, place = composite_known(alpha, trimap), unknown(trimap)
    errors = measure(alpha, target, place)
    return Score(name, target.shape[1], target.shape[0], int(np.count_nonzero(place)), errors)


def read_side(side: str, name: N, places: Mapping[N, Place]) -> Matte:
    """The matte of this name. Raises DataError, which says of which side."""
    if name not in places:
        raise DataError(f"no_{side}", f"there is no {side} of this name")
    try:
        return read_matte(places[name])
    except DataError as error:
        raise DataError(error.kind, f"the {side}: {error}") from None


def read_trimap(name: str, trimaps: Mapping[str, Place], target: Matte) -> Matte:
    """The trimap of this name. Raises DataError where it cannot be the true matte's: no_trimap, size, trimap."""
    trimap = read_side("trimap", name, trimaps)
    if trimap.shape != target.shape:
        raise DataError("size", f"the trimap is {trimap.shape[1]}×{trimap.shape[0]}, not as large as the truth")
    foreign = np.setdiff1d(trimap, (0, 128, 255))
    if foreign.size:
        raise DataError("trimap", f"the trimap holds {foreign[0]}: only 0, 128 (unknown) and 255 have a meaning")
    return trimap


def composite_known(prediction: Matte, trimap: Matte) -> Matte:
    """The prediction with 0 and 255 where the trimap has them, as every published method is measured."""
    return np.where(trimap == 128, prediction, trimap)


def trimap_of(alpha: Matte) -> Matte:
    """The usual trimap of a true matte: α = 255 eroded, α = 0 eroded, 128 in between.

    So a band follows hard edges too, and a binary matte has an unknown region. What lies beyond the picture erodes
    nothing.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BAND, BAND))
    inside = cv2.erode((alpha == 255).view(np.uint8), disc)
    outside = cv2.erode((alpha == 0).view(np.uint8), disc)
    return np.asarray(128 + 127 * inside - 128 * outside, np.uint8)


def _table(evaluation: Evaluation, shown: int) -> list[str]:
    """Aligned columns, names to the left, numbers to the right, the mean last; then what the numbers are."""
    scores, mean = evaluation.scores, evaluation.mean
    listed = scores if len(scores) <= shown else sorted(scores, key=lambda score: -score.errors.sad)[:shown]
    rows = [["", *HEADINGS, "pixels"]]
    rows += [[score.name, *_numbers(score.errors), f"{score.pixels:,}"] for score in listed]
    if mean is not None:
        every = f" of {len(scores) + len(evaluation.faults):,}" if evaluation.faults else ""
        rows.append([f"mean of {len(scores):,}{every}", *_numbers(mean), ""])
    lines = aligned(rows)
    if len(listed) < len(scores):
        lines.insert(0, f"The {len(listed)} pictures with the greatest SAD; --parquet writes all {len(scores):,}.")
    notes = [f"region: {evaluation.region}", f"as in {CONVENTION}"]
    notes += [f"{heading:4} = {unit}" for heading, unit in zip(HEADINGS, UNITS.values(), strict=True)]
    return [*lines, "", *notes]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [(row[0].ljust(widths[0]) + _rjust(row[1:], widths[1:])).rstrip() for row in rows]


def _rjust(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join("  " + cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _numbers(errors: Errors) -> list[str]:
    return [f"{getattr(errors, name):.{DECIMALS[name]}f}" for name in METRICS]


def faults_text(faults: tuple[Fault, ...]) -> list[str]:
    """Lines that name what was not scored."""
    if not faults:
        return []
    lines = ["", f"Not scored, and in no mean: {len(faults):,}"]
    lines += [f"  {fault.name}: {fault.sentence}" for fault in faults[:NAMED]]
    return lines + ([f"  … and {len(faults) - NAMED:,} more"] if len(faults) > NAMED else [])


SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("pixels", pa.int64()),
        *((field.name, pa.float64()) for field in fields(Errors)),
        ("fault", pa.string()),
        ("detail", pa.string()),
    ]
)


def write_parquet(evaluation: Evaluation, path: Path) -> None:
    """One row a picture, in order of names. Errors are null where `fault` names why there are none.

    The file's metadata `evaluation` is JSON: region, convention, units, mean, and the counts of both kinds of row.
    """
    rows: list[dict[str, object]] = [
        {"name": s.name, "width": s.width, "height": s.height, "pixels": s.pixels, **asdict(s.errors)}
        for s in evaluation.scores
    ]
    rows += [{"name": f.name, "fault": f.kind, "detail": f.sentence} for f in evaluation.faults]
    about = {
        "region": evaluation.region,
        "convention": CONVENTION,
        "units": UNITS,
        "mean": asdict(mean) if (mean := evaluation.mean) else None,
        "scored": len(evaluation.scores),
        "not_scored": len(evaluation.faults),
    }
    schema = SCHEMA.with_metadata({"evaluation": json.dumps(about, ensure_ascii=False)})
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["name"])), schema=schema)
    try:
        with appearing(path) as file:
            pq.write_table(table, file, compression="zstd")
    except OSError as error:
        raise UsageError(f"--parquet {path} cannot be written ({error}): choose another place.") from error


def check_writable(path: Path) -> None:
    """Before hours of work, not after them."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--parquet {path} is no file in an existing folder: choose another place.")
