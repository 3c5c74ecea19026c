"""Captions out to a table, corrected by people, and back into a new set."""

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_set
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.engine.drive import Drive
from factory.engine.inputs import InputTable, content_hash, write_inputs
from factory.engine.line import Build, Line
from factory.engine.local import InProcessCrew
from factory.engine.order import WorkOrder
from factory.engine.plan import Plan, Segment
from factory.errors import DataError, UsageError
from factory.jobs.input_set import read_set
from factory.review.thumbnails import rejection_thumbnail
from factory.sample import Request, Sample
from factory.shards.durable import write_json
from factory.shards.layout import Layout
from factory.shards.lock import hold
from factory.shards.reader import read_samples
from factory.sources.captioning.captioned import Recaptioned
from factory.sources.captioning.corrections import (
    CHANGES,
    Correction,
    corrected,
    export,
    read_changes,
    read_corrections,
    write_changes,
)
from factory.sources.stored import StoredSamples

NASTY = (
    'a "quoted", comma; semicolon',
    "two\nlines\r\nand a third\rand a fourth",
    "ä ß 椅子 🪑 – e\u0301",
    "\ttabs\t",
    "  spaces around  ",
    "=1+1",
    "a,b",
    '"',
    "\\",
    "\ufeffmark",
    "",
)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _make(root: Path, plan: Plan, build: Build) -> Path:
    """Make all shards of a plan, through the engine."""
    layout = Layout(root)
    write_json(layout.plan, plan.to_json(), layout.scratch)
    with hold(layout.lock, "test"):
        order = WorkOrder(root=root, run="test", plan=plan, build=build, thumbnail=rejection_thumbnail)
        Drive(InProcessCrew(order, lambda working: None), range(plan.shards), 1, lambda news: None).run()
    return root


def _set_of(root: Path, captions: Sequence[str]) -> Path:
    """A real set whose slot i has caption i; every seventh fails, so that there are holes."""

    def draw(requests: Sequence[Request]) -> list[Sample | DataError]:
        made = [small_set.draw(request) for request in requests]
        return [
            replace(sample, origin=replace(sample.origin, caption=captions[sample.request.slot]))
            if isinstance(sample, Sample)
            else sample
            for sample in made
        ]

    def build(plan: Plan, root: Path) -> Line:
        return replace(small_set.build(plan, root), sources={"drawn": draw}, stages={})

    segments = (Segment(source="drawn", split="train", slots=len(captions)),)
    plan = Plan(job="test", seed=7, shard_size=4, batch_size=3, threads=1, segments=segments)
    return _make(root, plan, build)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with captions that tables break on. Read it only."""
    return _set_of(tmp_path_factory.mktemp("nasty") / "set", NASTY)


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _write(table: Path, rows: Sequence[dict[str, str]]) -> Path:
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_unchanged_table_changes_nothing(nasty: Path, tmp_path: Path, suffix: str) -> None:
    table = tmp_path / f"captions{suffix}"
    assert export(nasty, table) == len(NASTY) - 2  # slots 3 and 10 have failed
    assert read_corrections(nasty, table) == []
    assert list(tmp_path.iterdir()) == [table]


def test_rows_come_in_key_order_with_what_a_reader_needs(finished_set: Path, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    count = export(finished_set, table)
    assert table.read_bytes().startswith(b"\xef\xbb\xbfkey,caption,class,source,item\r\n")  # Excel needs the mark
    rows = _rows(table)
    stored = [s.meta for split in ("train", "validation") for s in read_samples(finished_set, split)]
    assert len(rows) == count == len(stored)
    assert [(r["key"], r["caption"], r["class"], r["source"]) for r in rows] == [
        (m["key"], m["caption"], m["class"], m["source"]) for m in stored
    ]


@settings(max_examples=12, deadline=None)
@given(captions=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=6))
def test_export_and_import_are_inverse(captions: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = _set_of(Path(folder) / "set", [*captions, "the last"])
        for suffix in (".csv", ".parquet"):
            table = Path(folder) / f"captions{suffix}"
            export(data, table)
            assert read_corrections(data, table) == []


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(min_size=1).map(lambda t: " ".join(t.replace("\0", "").split())), max_size=4))
def test_what_is_written_into_a_table_arrives(nasty: Path, texts: list[str]) -> None:
    texts = [text for text in texts if text and text.isprintable()]
    with tempfile.TemporaryDirectory() as folder:
        export(nasty, Path(folder) / "old.csv")
        rows = _rows(Path(folder) / "old.csv")
        for row, text in zip(rows, texts, strict=False):
            row["caption"] = text
        found = read_corrections(nasty, _write(Path(folder) / "new.csv", rows))
    old = [caption for slot, caption in enumerate(NASTY) if slot % 7 != 3]
    assert [(c.old, c.new) for c in found] == [(a, b) for a, b in zip(old, texts, strict=False) if a != b]


def test_a_spreadsheet_may_save_the_table_in_its_own_way(finished_set: Path, tmp_path: Path) -> None:
    export(finished_set, tmp_path / "old.csv")
    rows = _rows(tmp_path / "old.csv")
    for delimiter in ";\t":
        lines = [delimiter.join(["caption", "note", "key", ""])]
        lines += [delimiter.join([f'"{row["caption"]}"', "seen", str(int(row["key"])), ""]) for row in rows]
        lines[2] = delimiter.join(['"ein ""schöner"" Baum; grün,\tgroß\nund alt"', "", str(int(rows[1]["key"])), ""])
        lines.insert(3, delimiter * 3)  # an empty row
        table = tmp_path / "new.csv"
        table.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
        (change,) = read_corrections(finished_set, table)
        new = 'ein "schöner" Baum; grün, groß und alt'  # a caption is one line
        assert change == Correction(rows[1]["key"], rows[1]["caption"], new)


def test_json_lines_and_parquet_are_read_too(finished_set: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"key": "0000000002", "caption": "a  leaf"}\n\n', encoding="utf-8")
    pq.write_table(pa.table({"key": [2], "caption": ["a  leaf"], "score": [0.5]}), tmp_path / "a.parquet")
    for table in ("a.jsonl", "a.parquet"):
        (change,) = read_corrections(finished_set, tmp_path / table)
        assert (change.key, change.new) == ("0000000002", "a leaf")


def test_keys_of_another_set_are_refused(finished_set: Path, tmp_path: Path) -> None:
    rows = [{"key": f"{number:010d}", "caption": "x"} for number in (0, 99_999, *range(80_000, 80_006))]
    with pytest.raises(UsageError, match=r"not: 0000099999 \(row 3\), 0000080000 .* and 2 more"):
        read_corrections(finished_set, _write(tmp_path / "t.csv", rows))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["key,caption", "0000000002,a", "2,b"], r"keys twice: 0000000002 \(row 2 and row 3\)"),
        (["key,caption", "1E+09,a"], r"keys that are none: '1E\+09' \(row 2\)"),
        (["key,caption", ",a"], r"keys that are none: '' \(row 2\)"),
        (["key,caption", "00000000020,a"], "A key has 10 digits"),
        (["key,text", "2,a"], r"no column `caption` \(it has key, text\)"),
        (["number,caption", "2,a"], "no column `key`"),
        (["key,caption,caption", "2,a,b"], "two columns 'caption'"),
        (["key,caption", "2,  "], "empty caption for 0000000002"),
        (["key,caption", "2,a red, round ball"], "row 2 has 3 cells, the first row 2"),
        (["key,caption", "2"], "row 2 has 1 cell,"),
        (["key,caption", '2,"a ball'], "row 2 is not CSV"),
        (["key,caption", '2,"a" ball'], "row 2 is not CSV"),
        (["key,caption,class", "2,a,house"], r"more than captions: class of 0000000002 \(row 2\).*sorted by itself"),
        (["key,caption"], "holds no rows"),
        ([], "holds no rows"),
    ],
)
def test_a_table_with_faults_is_refused(finished_set: Path, tmp_path: Path, lines: list[str], sentence: str) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UsageError, match=sentence) as error:
        read_corrections(finished_set, table)
    assert str(table) in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", "key,caption\n2,grün\n".encode("cp1252"), r"line 2 is not UTF-8.*CSV UTF-8"),
        ("t.csv", "key,caption\n2,a\n".encode("utf-16"), "not UTF-8"),
        ("t.csv", "key,caption\n2,a\n".encode("utf-16-le"), "UTF-16"),
        ("t.jsonl", b'{"key": "2", "caption": "a"}\n{"key"\n', "line 2 is not JSON"),
        ("t.jsonl", b'["2", "a"]\n', "line 1 is no object"),
        ("t.jsonl", b'{"key": "2", "caption": "a"}\n{"key": "3"}\n', r"no column `caption` \(it has key\)"),
        ("t.parquet", b"PAR1", "not a Parquet file"),
        ("t.xlsx", b"PK", r"ends in \.csv, \.jsonl, \.parquet"),
    ],
)
def test_what_is_no_table_is_refused(
    finished_set: Path, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        read_corrections(finished_set, tmp_path / name)


def test_tables_and_sets_that_are_not_there(finished_set: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_corrections(finished_set, tmp_path / "t.csv")
    with pytest.raises(UsageError, match="not a data set made by factory"):
        export(tmp_path, tmp_path / "t.csv")
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        export(finished_set, tmp_path / "t.xlsx")


def test_corrections_are_not_overwritten_by_an_export(finished_set: Path, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("hours of work")
    with pytest.raises(UsageError, match="may hold corrections"):
        export(finished_set, table)
    assert table.read_text() == "hours of work"


def test_a_broken_set_leaves_no_half_table(root: Path, tmp_path: Path) -> None:
    part = Layout(root).part(1)
    part.write_bytes(bytes(part.stat().st_size))
    for suffix in (".csv", ".parquet"):
        with pytest.raises(UsageError, match=r"part-000001\.parquet cannot be read"):
            export(root, tmp_path / f"captions{suffix}")
    assert list(tmp_path.glob("*captions*")) == []


def test_corrected_captions_make_a_new_set(finished_set: Path, tmp_path: Path) -> None:
    changes = [
        Correction("0000000000", "drawing 0 – ä", "a leaf"),
        Correction("0000010003", "drawing 11 – ä", "椅子"),
        Correction("0000030001", "drawing 23 – ä", "a cup"),
    ]
    old = {s.key: s for split in ("train", "validation") for s in read_samples(finished_set, split)}
    assert all(old[change.key].meta["caption"] == change.old for change in changes)
    given_set, out = read_set(finished_set), tmp_path / "out"
    tables = {"tars": given_set.tars}
    segments = []
    for number, (segment, samples) in enumerate(zip(given_set.plan.segments, given_set.samples, strict=True)):
        name = f"samples-{number}"
        tables[name] = corrected(samples, changes)
        segments.append(replace(segment, source="dataset", attempts=1, table=name, rows=segment.slots))
    plan = replace(
        given_set.plan,
        job="recaption",
        segments=tuple(segments),
        inputs={name: content_hash(table) for name, table in tables.items()},
    )
    Layout(out).inputs.mkdir(parents=True)
    for name, table in tables.items():
        write_inputs(table, Layout(out).inputs / f"{name}.arrow")

    def build(plan: Plan, root: Path) -> Line:
        stored = StoredSamples(finished_set, InputTable(Layout(root).inputs / "tars.arrow").table)
        return replace(small_set.build(plan, root), sources={"dataset": Recaptioned(stored)}, stages={})

    _make(out, plan, build)
    new = {s.key: s for split in ("train", "validation") for s in read_samples(out, split)}
    assert new.keys() == old.keys()
    captions = {change.key: change.new for change in changes}
    for key, sample in new.items():
        assert sample.meta == old[key].meta | {"caption": captions.get(key, old[key].meta["caption"])}
        assert (sample.rgb == old[key].rgb).all()


def test_the_frozen_table_follows_from_the_corrections_alone(finished_set: Path) -> None:
    samples = read_set(finished_set).samples[0]
    changes = [Correction("0000000000", "a", "b"), Correction("0000010003", "", "c")]
    table = corrected(samples, changes)
    assert table.filter(pa.compute.field("caption") != "").select(["key", "caption"]).to_pylist() == [
        {"key": "0000000000", "caption": "b"},
        {"key": "0000010003", "caption": "c"},
    ]
    assert content_hash(table) == content_hash(corrected(samples, changes[::-1]))
    assert set(corrected(samples, [])["caption"].to_pylist()) == {""}


def test_changes_are_recorded_with_who_and_when_and_their_history(tmp_path: Path) -> None:
    first, second, third = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    one, two = Correction("0000000001", "a, b", "ä"), Correction("0000000001", "ä", "c")
    assert write_changes(first, second, [one], " Ann ", NOON) == 1
    later = datetime(2026, 3, 2, 9, 0, tzinfo=timezone(timedelta(hours=2)))
    assert write_changes(second, third, [two], "Bob", later) == 2
    assert read_changes(third).to_pylist() == [
        {"key": "0000000001", "old": "a, b", "new": "ä", "by": "Ann", "at": NOON},
        {"key": "0000000001", "old": "ä", "new": "c", "by": "Bob", "at": later},
    ]
    assert read_changes(first).num_rows == 0
    assert [path.name for path in (third / "changes").iterdir()] == [CHANGES.name]


def test_a_run_that_goes_on_keeps_the_first_time(tmp_path: Path) -> None:
    changes = [Correction("0000000001", "a", "b")]
    write_changes(tmp_path / "in", tmp_path / "out", changes, "Ann", NOON)
    before = (tmp_path / "out" / CHANGES).read_bytes()
    write_changes(tmp_path / "in", tmp_path / "out", changes, "Ann", NOON + timedelta(hours=1))
    assert (tmp_path / "out" / CHANGES).read_bytes() == before


def test_a_change_needs_a_name_and_a_readable_history(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--by is empty"):
        write_changes(tmp_path, tmp_path / "out", [], " ", NOON)
    (tmp_path / "changes").mkdir()
    (tmp_path / CHANGES).write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="is damaged"):
        write_changes(tmp_path, tmp_path / "out", [], "Ann", NOON)


def test_an_unfinished_set_is_exported_as_far_as_it_is(root: Path, tmp_path: Path) -> None:
    Layout(root).commit(3).unlink()
    count = export(root, tmp_path / "captions.csv")
    assert {row["key"][:6] for row in _rows(tmp_path / "captions.csv")} == {"000000", "000001", "000002"}
    assert count == len(_rows(tmp_path / "captions.csv"))
