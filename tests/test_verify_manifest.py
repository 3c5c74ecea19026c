"""Verify names every kind of damage to manifest, commit records and what spans shards; it never falls over one."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from damage import KEY, PLAN, TAR, check, flip, found, record_of, reseal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_set import make_shards

from factory.shards.commit import commit
from factory.shards.finalise import finalise, mark_finished
from factory.shards.layout import Layout


def test_swapped_parts_are_named(root: Path) -> None:
    one, two = root / "manifest" / "part-000000.parquet", root / "manifest" / "part-000001.parquet"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    for name in ("part-000000.parquet", "part-000001.parquet"):
        assert {(f"manifest/{name}", "sha256"), (f"manifest/{name}", "rows")} <= found(root)


def test_rows_deleted_from_the_manifest_are_named(root: Path) -> None:
    path = root / "manifest.parquet"
    table = pq.read_table(path)
    pq.write_table(table.filter([key != KEY for key in table["key"].to_pylist()]), path)
    faults = check(root)
    assert {(fault.place, fault.kind) for fault in faults} == {(path.name, "sha256"), (path.name, "manifest")}
    assert any(KEY in fault.sentence for fault in faults)


@pytest.mark.parametrize("column", ["rgb_png_offset", "caption", "phash", "duplicate_of"])
def test_an_edited_column_of_the_manifest_is_named(root: Path, column: str) -> None:
    path = root / "manifest.parquet"
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    values = table[column].to_pylist()
    values[12] = 7 if column.endswith("offset") else "0123456789abcdef" if column == "phash" else "0000000002"
    pq.write_table(table.set_column(index, table.schema.field(column), [values]), path)
    mark_finished(Layout(root), [record_of(root, number) for number in range(PLAN.shards)])
    faults = check(root)
    assert faults
    assert {fault.place for fault in faults} == {"manifest.parquet"}
    assert any(column in fault.sentence for fault in faults)


def test_offsets_that_lead_elsewhere_are_named(root: Path) -> None:
    path = root / "manifest" / "part-000001.parquet"
    table = pq.read_table(path)
    values = table["fg_png_offset"].to_pylist()
    values[-1] += 512
    column = table.schema.get_field_index("fg_png_offset")
    pq.write_table(table.set_column(column, table.schema.field("fg_png_offset"), [values]), path)
    reseal(root, 1)
    records = [record_of(root, number) for number in range(PLAN.shards)]
    finalise(Layout(root), records)
    mark_finished(Layout(root), records)
    assert found(root) == {("0000010007", "rows")}


@pytest.mark.parametrize("name", ["manifest.parquet", "manifest/part-000001.parquet"])
@pytest.mark.parametrize("damage", [b"", b"PAR1", b"x" * 5000])
def test_an_unreadable_table_is_named(root: Path, name: str, damage: bytes) -> None:
    (root / name).write_bytes(damage)
    assert {(name, "sha256"), (name, "unreadable")} <= found(root)


@given(
    share=st.floats(0, 1, exclude_max=True), name=st.sampled_from(["manifest.parquet", "manifest/part-000000.parquet"])
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_byte_of_a_table_is_named(root: Path, share: float, name: str) -> None:
    place = int(share * (root / name).stat().st_size)
    flip(root / name, place)
    assert (name, "sha256") in found(root)
    flip(root / name, place)


def test_a_missing_shard_is_named(root: Path) -> None:
    Layout(root).commit(1).unlink()
    assert ("commits/000001.json", "missing_shard") in found(root)


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"shard": "one"'])
def test_a_torn_record_is_named(root: Path, damage: bytes) -> None:
    Layout(root).commit(1).write_bytes(damage)
    assert ("commits/000001.json", "unreadable") in found(root)


def test_a_record_with_a_field_of_another_type_is_named(root: Path) -> None:
    path = Layout(root).commit(1)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accepted": "eight"}))
    assert ("commits/000001.json", "unreadable") in found(root)


def test_records_of_another_run_or_shard_and_wrong_counts_are_named(root: Path) -> None:
    layout = Layout(root)
    commit(layout, replace(record_of(root, 0), accepted=7, rejected={"border": 9}), root / ".tmp")
    commit(layout, replace(record_of(root, 1), fingerprint="0" * 64), root / ".tmp")
    layout.commit(2).write_text(json.dumps(asdict(record_of(root, 3))))
    faults = found(root)
    assert ("manifest/part-000000.parquet", "counts") in faults
    assert {("commits/000001.json", "foreign"), ("commits/000002.json", "foreign")} <= faults


def test_an_unfinished_set_is_named(root: Path) -> None:
    (root / "finished.json").write_bytes(b'{"torn')
    assert found(root) == {("finished.json", "unfinished")}


def test_files_over_all_shards_are_named(root: Path) -> None:
    (root / "README.md").unlink()
    (root / "shardindex-validation.json").unlink()
    (root / "shardindex.json").write_text("[]")
    (root / "index" / "train-000000.idx").write_text("v1.2 0\n")
    assert found(root) == {
        ("README.md", "missing"),
        ("shardindex-validation.json", "missing"),
        ("shardindex.json", "sha256"),
        ("shardindex.json", "index"),
        ("index/train-000000.idx", "index"),
    }


def test_a_damaged_shard_is_remade_bit_for_bit_when_its_record_is_deleted(root: Path, finished_set: Path) -> None:
    flip(root / TAR, 5000)
    assert check(root)
    Layout(root).commit(1).unlink()
    records = make_shards(root, PLAN, [1])
    finalise(Layout(root), records)
    mark_finished(Layout(root), records)
    assert check(root) == []
    assert (root / TAR).read_bytes() == (finished_set / TAR).read_bytes()
