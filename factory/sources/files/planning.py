"""What the planners of finite sources share: the census, the drawing of items, captions, one segment."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from factory.engine.census import passed_over
from factory.engine.draft import Draft
from factory.engine.inputs import make_table
from factory.engine.plan import Segment
from factory.errors import count_of, some
from factory.pictures.folder import all_files_below
from factory.sources.captioning.table import read_caption_table, with_captions
from factory.sources.entry import FiniteEntry, Planning, Row
from factory.sources.files.benchmark_images import excluded


def plan_pictures(
    planning: Planning,
    name: str,
    entry: FiniteEntry,
    source: Mapping[str, Any],
    rows: Sequence[Row],
    *,
    title: str,
    paper: int = 0,
) -> None:
    """A source of single pictures: excluded ones go, captions come in, one segment.

    source: its settings in the plan.  title: for people.  paper: images that the paper took of it.
    """
    draft = planning.draft
    allowed, dropped = excluded(rows, planning.kept_out)
    _note_excluded(draft, dropped)
    count(draft, name, entry, title=title, found=len(rows), left_out=len(rows) - len(allowed), paper=paper)
    if not allowed:
        draft.remarks.append(f"{title}: all of its {len(rows):,} pictures are on a list of images to keep out.")
        return
    chosen = drawn(planning, entry, [row["path"] for row in allowed])
    kept = [row for row in allowed if row["path"] in chosen]
    draft.unusable[name] = note_unusable(draft, title, "pictures", kept)
    draft.settings["sources"][name] = source
    draft.places[name] = str(entry.path.resolve())
    draft.tables[name] = make_table(with_table_captions(draft, entry, kept))
    slots = len(kept) * entry.repeat
    draft.segments.append(Segment(source=name, split="train", slots=slots, table=name, rows=len(kept)))


def count(
    draft: Draft, name: str, entry: FiniteEntry, *, title: str, found: int, left_out: int = 0, paper: int = 0
) -> None:
    """Enter a source into the plan's census."""
    draft.census[name] = {
        "title": title,
        "found": found,
        "excluded": left_out,
        "paper": entry.paper or paper,
        "allowed": entry.allowed_failures,
    }


def note_unusable(draft: Draft, title: str, what: str, rows: Sequence[Row]) -> int:
    """Name the items in which planning found a fault (`path`, `error_kind`, `error`); returns how many there are.

    They stay in the plan: each becomes a row of the manifest with its reason.
    """
    faults = [f"{row['path']} ({row['error']})" for row in rows if row.get("error_kind")]
    if faults:
        draft.remarks.append(f"{title}: {len(faults):,} of {len(rows):,} {what} cannot be used: {some(faults)}.")
    return len(faults)


def note_passed_over(
    draft: Draft, name: str, entry: FiniteEntry, taken: Collection[str], concerns: Callable[[str], bool]
) -> None:
    """Count the files that lie in a source's folder and are not read, by kind; the census must know the source.

    taken: suffixes of those that are.  concerns: whether a relative path lies where files of the source are looked for.
    """
    others = Counter(
        PurePosixPath(path).suffix.lower().encode(errors="replace").decode() or "without a suffix"
        for path in all_files_below(entry.path)
        if entry.path / path != entry.captions and concerns(path)
    )
    kinds = {kind: number for kind, number in others.items() if kind not in taken}
    if kinds:
        draft.census[name]["passed_over"] = kinds
        draft.remarks.append(f"{draft.census[name]['title']}: {passed_over(kinds)}.")


def drawn(planning: Planning, entry: FiniteEntry, paths: Sequence[str]) -> set[str]:
    """Those of a source's items that are taken: by a hash, so that others hardly change the choice."""
    if not 0 < entry.at_most < len(paths):
        return set(paths)
    ranked = sorted(paths, key=lambda path: sha256(f"{planning.seed}:{path}".encode()).digest())
    return set(ranked[: entry.at_most])


def with_table_captions(draft: Draft, entry: FiniteEntry, rows: Sequence[Row]) -> list[Row]:
    """The rows with the captions of the entry's table, where it names one."""
    if entry.captions is None:
        return list(rows)
    told = with_captions(rows, read_caption_table(entry.captions))
    draft.remarks += told.remarks
    return told.rows


def _note_excluded(draft: Draft, dropped: Mapping[str, int]) -> None:
    counts = draft.settings["excluded"]
    for benchmark, number in dropped.items():
        counts[benchmark] = counts.get(benchmark, 0) + number
        draft.remarks.append(f"kept out: {count_of(number, 'image', 'images')} of the benchmark {benchmark}.")
