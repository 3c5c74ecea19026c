"""Laying the frames of clips out as a source: a table of the clips, one of their frames for each split."""

from collections.abc import Mapping, Sequence
from typing import Any

from factory.engine.inputs import HOLE, make_table
from factory.engine.plan import Segment
from factory.sources.clips.stretches import pack
from factory.sources.entry import FiniteEntry, Planning, Row
from factory.sources.files.planning import count, drawn, note_unusable, with_table_captions


def plan_clips(
    planning: Planning,
    name: str,
    entry: FiniteEntry,
    source: Mapping[str, Any],
    *,
    clips: Sequence[Row],
    stretches: Mapping[str, Sequence[Sequence[Row]]],
    title: str,
    called: str,
    paper: int = 0,
) -> None:
    """Fill the draft so that a shard begins where decoding can begin.

    stretches: by split, the frames between key frames.  title: for people.  called: its name in every sample.
    """
    draft = planning.draft
    frames = [row["path"] for of_split in stretches.values() for stretch in of_split for row in stretch]
    count(draft, name, entry, title=title, found=len(frames), paper=paper)
    chosen = drawn(planning, entry, frames)
    draft.settings["sources"][name] = source
    draft.places[name] = str(entry.path.resolve())
    draft.tables[f"{name}-clips"] = make_table(clips)
    note_unusable(draft, title, "clips", clips)
    for split, whole in stretches.items():
        thinned = [[row for row in stretch if row["path"] in chosen] for stretch in whole]
        of_split = [stretch for stretch in thinned if stretch]
        if not of_split:
            continue
        flat = iter(with_table_captions(draft, entry, [{**row, "source": called} for s in of_split for row in s]))
        told = [[next(flat) for _ in stretch] for stretch in of_split]
        nothing = {field: -1 if isinstance(value, int) else "" for field, value in told[0][0].items()}
        packed = pack(told, planning.shard_size)
        if entry.repeat > 1:  # each round begins a shard, and so has other framings; stretches stay whole
            packed += [None] * (-len(packed) % planning.shard_size)
        draft.unusable[f"{name}-{split}"] = sum(
            bool(clips[row["clip"]]["error_kind"]) for stretch in told for row in stretch
        )
        rows = [{HOLE: row is None, **(nothing if row is None else row)} for row in packed]
        table = f"{name}-{split}"
        draft.tables[table] = make_table(rows)
        slots = len(rows) * entry.repeat
        draft.segments.append(Segment(source=name, split=split, slots=slots, table=table, rows=len(rows)))
