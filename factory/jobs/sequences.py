"""Whole clips of a keyed set, written beside its shards: what `factory key --sequences` hands over.

Shards are made first, frame by frame, like those of any set; the clips are unpacked from them, so that a run that is
killed while it keys or while it writes clips loses what was in work and no more.
"""

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from factory.engine.inputs import InputTable
from factory.engine.threads import pinned
from factory.errors import DataError, MachineError, UsageError, count_of, quoted, what_failed
from factory.quality.flicker import flicker
from factory.sample import Matte, Picture
from factory.shards.encoding import decode_png
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest
from factory.shards.members import column
from factory.shards.sequence import (
    FOREGROUNDS,
    MATTES,
    TABLE,
    ClipRecord,
    Form,
    clip_records,
    is_there,
    place_of,
    publish_clip,
    remove_others,
    sequence,
    usual_rate,
)

COLUMNS = ("key", "shard", "split", "status", "reason", "detail", "item", "coverage", "label_error")
HASHES = ("alpha_sha256", "fg_sha256")
PLACES = tuple((column(f"{name}.png", "offset"), column(f"{name}.png", "size")) for name in ("fg", "alpha"))
SHOWN = 5  # frames of a clip, for the report
MOMENT = "@"  # stands between a clip's path and a frame's time
AT_ONCE = 4  # clips that are written at a time
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSettings:
    """Whole clips beside the shards.

    form: png, a folder of pictures a clip; ffv1, lossless video; prores, ProRes 4444.
    steady: frames on each side that have a say in a frame's matte; 0 keys each by itself.
    flicker_max: of a clip (quality/flicker.py); one above it is not written. None writes all.
    test: share of the clips that go to test/, whole.
    """

    form: Form = "png"
    steady: int = 1
    flicker_max: float | None = 0.12
    test: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no recipe should hold."""
        if not 0 <= self.steady <= 4:
            raise UsageError(f"sequences.steady is {self.steady}: choose 0 to 4 frames on each side")
        if self.flicker_max is not None and not 0 < self.flicker_max <= 1:
            raise UsageError(f"sequences.flicker_max is {self.flicker_max}: give a change of α, above 0 and at most 1")
        if not 0 <= self.test <= 0.5:
            raise UsageError(f"sequences.test is {self.test}: give a share of the clips, 0 to 0.5")


def hand_over(out: Path, source: str, settings: SequenceSettings, label_error_max: float | None) -> bool:
    """Write the clips that are not there yet, and their table; returns whether there was anything to write.

    out: a set of which all shards are there, locked.  source: the name of its clips in the plan.
    label_error_max: what a clip's mattes are expected to be off by at most; None writes all.
    Raises MachineError where the set is damaged or cannot be written to.
    """
    try:
        with pinned(1):  # or flicker would depend on the machine
            return _handed_over(out, source, settings, label_error_max)
    except DataError as error:
        raise MachineError(f"{error}: `factory verify {quoted(out)}` names all that is broken.") from error
    except OSError as error:
        failed = what_failed(error, out)
        raise MachineError(f"clips cannot be written to {out} ({failed}): mend that, then run it again.") from error


def _handed_over(out: Path, source: str, settings: SequenceSettings, label_error_max: float | None) -> bool:
    layout = Layout(out)
    paths = [str(row["path"]) for row in InputTable(layout.inputs / f"{source}-clips.arrow").table.to_pylist()]
    names = clip_names(paths)
    rows = _rows_by_clip(layout, set(paths))
    have = clip_records(layout)
    asked = {path: _asked(path, names[path], rows.get(path, []), settings, label_error_max) for path in paths}
    remove_others(layout, list(names.values()))

    def is_made(record: ClipRecord) -> bool:
        old = have.get(record.name)
        return old is not None and old.made_of == record.made_of and is_there(layout, old)

    missing = [path for path, record in asked.items() if not is_made(record)]
    pool = ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1), thread_name_prefix="clip")
    try:
        making = [pool.submit(_make, layout, settings, asked[path], rows.get(path, [])) for path in missing]
        for made in making:
            made.result()
    finally:
        pool.shutdown(cancel_futures=True)
    table = _table(clip_records(layout).values())
    place = layout.sequences / TABLE
    if not place.exists() or layout.store.read(place) != table:
        layout.store.write(place, table, layout.scratch)
    return bool(missing)


def tell(out: Path) -> Sequence[str]:
    """How many clips there are, and which are not there, for the last lines of a run."""
    layout = Layout(out)
    records = list(clip_records(layout).values())
    written = sum(record.status == "written" for record in records)
    lines = [f"{count_of(written, 'whole clip', 'whole clips')} in {layout.sequences}"] if records else []
    return lines + [
        f"  {record.clip} is not among them ({record.reason}): {record.detail}"
        for record in records
        if record.status == "refused"
    ]


def clip_names(paths: Sequence[str]) -> dict[str, str]:
    """Path → the name of its sequence: the path without its suffix, or with it where two would have one name."""
    stems = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    return {
        path: stem if stems.count(stem) == 1 else f"{stem}_{PurePosixPath(path).suffix[1:]}"
        for path, stem in zip(paths, stems, strict=True)
    }


def _rows_by_clip(layout: Layout, paths: set[str]) -> dict[str, list[Row]]:
    """The manifest's rows of each clip, in the order of its frames."""
    table = read_manifest(layout, [*COLUMNS, *HASHES, *(place for pair in PLACES for place in pair)])
    found: dict[str, list[Row]] = {}
    for row in table.sort_by("key").to_pylist():
        item = row["item"] if row["item"] in paths else row["item"].rpartition(MOMENT)[0]
        if item in paths:
            found.setdefault(item, []).append(row)
    return found


def _asked(
    path: str, name: str, rows: Sequence[Row], settings: SequenceSettings, label_error_max: float | None
) -> ClipRecord:
    """The record of a clip as far as it can be told before it is written: refused, or to be written."""
    digest = hashlib.sha256(repr((settings.form, settings.flicker_max, label_error_max)).encode())
    for row in rows:
        digest.update("|".join(str(row[name] or "") for name in ("key", "status", "reason", *HASHES)).encode())
    record = ClipRecord(
        clip=path,
        name=name,
        part="test" if rows and rows[0]["split"] == "validation" else "train",
        form=settings.form,
        frames=len(rows),
        made_of=digest.hexdigest(),
        shown=_shown([str(row["key"]) for row in rows if row["status"] == "accepted"]),
    )
    lost = [row for row in rows if row["status"] != "accepted"]
    if not rows:
        return replace(record, status="refused", reason="no_frames", detail="the set has none of its frames")
    if lost:
        share = f"{len(lost)} of its {count_of(len(rows), 'frame', 'frames')}: " if len(rows) > 1 else ""
        first = f"{lost[0]['item']}: " if len(rows) > 1 else ""
        return replace(record, status="refused", reason=lost[0]["reason"], detail=f"{share}{first}{lost[0]['detail']}")
    if label_error_max is not None and (error := expected_error(rows)) > label_error_max:
        detail = f"the error that its mattes are expected to have is {error:.3f}, asked is at most {label_error_max:g}"
        return replace(record, status="refused", reason="untrusted", detail=detail)
    return record


def expected_error(rows: Sequence[Row]) -> float:
    """The mean `label_error` of a clip's frames, each counted by how much it shows: an empty one says nothing."""
    shown = sum(row["coverage"] for row in rows)
    return float(sum(row["coverage"] * row["label_error"] for row in rows) / shown) if shown else 0.0


def _shown(keys: Sequence[str]) -> tuple[str, ...]:
    """A few keys, evenly over all."""
    count = min(SHOWN, len(keys))
    return tuple(keys[round(k * (len(keys) - 1) / max(count - 1, 1))] for k in range(count))


def _make(layout: Layout, settings: SequenceSettings, record: ClipRecord, rows: Sequence[Row]) -> None:
    """The clip in a scratch folder, moved to its place when it is whole, or refused for what was measured meanwhile."""
    scratch = layout.scratch / "sequences" / uuid4().hex
    if record.status == "written":
        record = _written(layout, scratch, settings, record, rows)
    publish_clip(layout, scratch, record)


def _written(
    layout: Layout, scratch: Path, settings: SequenceSettings, record: ClipRecord, rows: Sequence[Row]
) -> ClipRecord:
    """Write it, and measure its flicker."""
    rate = rate_of([str(row["item"]) for row in rows])
    steps: list[float] = []
    before: tuple[Picture, Matte] | None = None
    with (
        sequence(place_of(scratch, record, FOREGROUNDS), record.form, rate) as foregrounds,
        sequence(place_of(scratch, record, MATTES), record.form, rate) as mattes,
    ):
        for row in rows:
            foreground_png, alpha_png = _members(layout, row)
            frame = decode_png(foreground_png), decode_png(alpha_png)
            if before is not None:
                steps.append(round(flicker(before, frame), 5))
            foregrounds(frame[0], foreground_png)
            mattes(frame[1], alpha_png)
            before = frame
    mean = round(sum(steps) / len(steps), 5) if steps else 0.0
    record = replace(record, steps=tuple(steps), flicker=mean)
    most = settings.flicker_max
    if most is not None and mean > most:
        detail = f"α changes by {mean:.3f} a frame along the motion, asked is at most {most:g}"
        record = replace(record, status="refused", reason="flicker", detail=detail)
    return record


def _members(layout: Layout, row: Row) -> tuple[bytes, bytes]:
    """Foreground and α of a frame as they are stored, marks and all."""
    tar = layout.tar(row["shard"], row["split"])
    foreground, alpha = (layout.store.read(tar, row[offset], row[size]) for offset, size in PLACES)
    return foreground, alpha


def rate_of(items: Sequence[str]) -> Fraction:
    """Frames a second, told from frames' names ("a.mp4@3.200s"); 25 where there is only one."""
    times = [float(item.rpartition(MOMENT)[2].removesuffix("s")) for item in items]
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(25)
    return usual_rate(len(times) - 1, times[-1] - times[0])


def _table(records: Iterable[ClipRecord]) -> bytes:
    """A row a clip."""
    text = io.StringIO()
    fields = ("clip", "name", "part", "form", "frames", "status", "reason", "detail", "flicker")
    writer = csv.DictWriter(text, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(record) for record in records)
    return text.getvalue().encode()
