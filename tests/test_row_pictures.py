"""Pictures that belong to prompts: named in a column of their table, frozen by hash, read as they were planned."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from factory.diffusion.batches import Result, in_batches_with
from factory.diffusion.row_pictures import RowPictures, changed_pictures, check_columns, hash_of, plan_row_pictures
from factory.engine.draft import Draft
from factory.engine.survey import Memory, Surveyor
from factory.errors import DataError, InputChanged, UsageError
from factory.sample import Request
from factory.sources.prompts import read_prompts

SURVEYOR = Surveyor("local", 1, Memory(None))
CELLS = [("an owl, flying", "a.png"), ("an owl, flying", "b.png"), ("an owl, flying", "b.png"), ("hat", "")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, level in (("a.png", 10), ("b.png", 20)):
        Image.fromarray(np.full((4, 6, 3), level, np.uint8)).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


def rows_of(folder: Path, *names: str) -> list[dict[str, Any]]:
    draft = Draft()
    rows = [{"prompt": f"a thing, {name}", "class": "", "caption": "", "control": name} for name in names]
    return plan_row_pictures(rows, ["control"], folder, SURVEYOR, draft)


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_a_table_keeps_the_columns_that_are_asked_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    objects = [{"n": i, "prompt": prompt, "control": cell} for i, (prompt, cell) in enumerate(CELLS)]
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(objects), path)
    elif suffix == "csv":
        path.write_text("n,prompt,control\n" + "".join(f'{i},"{p}",{c}\n' for i, (p, c) in enumerate(CELLS)))
    else:
        lines = [json.dumps(one) for one in objects]
        path.write_text(f"[{','.join(lines)}]" if suffix == "json" else "\n".join(lines))
    read = read_prompts(str(path), "a {class}", columns=["control"])
    assert [(row["prompt"], row["control"]) for row in read.rows] == [*CELLS[:2], ("a hat", "")], "with other pictures"
    assert "repeated" in read.remarks[0]
    with pytest.raises(UsageError, match="`style`"):
        read_prompts(str(path), "a {class}", columns=["style"])


def test_a_list_without_columns_is_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("an owl, flying\n")
    for source in (str(tmp_path / "p.txt"), "-"):
        with pytest.raises(UsageError, match="no column `control`: give a csv"):
            read_prompts(source, "", columns=["control"])


@pytest.mark.parametrize("column", ["prompt", "screens", "hole", "attempts", "control_sha256", " "])
def test_a_column_that_means_something_else_holds_no_pictures(column: str) -> None:
    with pytest.raises(UsageError, match="name it otherwise"):
        check_columns([column], "p.csv")
    with pytest.raises(UsageError, match="--prompts"):
        check_columns(["control"], "")


def test_pictures_are_read_as_they_were_planned(folder: Path) -> None:
    (row,) = rows_of(folder, "a.png")
    pictures = RowPictures(folder)
    assert pictures.picture(row, "control").shape == (4, 6, 3)
    assert pictures.layers(row, "control")[1] is None
    (folder / "a.png").write_bytes((folder / "b.png").read_bytes())
    with pytest.raises(InputChanged):
        pictures.picture(row, "control")


def test_files_beside_the_list_or_anywhere_may_be_named(folder: Path) -> None:
    elsewhere, here = rows_of(folder, str(folder / "a.png"), "a.png")
    assert elsewhere[hash_of("control")] == here[hash_of("control")] != ""
    assert np.array_equal(RowPictures(folder / "other").picture(elsewhere, "control"), np.full((4, 6, 3), 10))


@pytest.mark.parametrize("name", ["", "none.png", "broken.png", ".", "x" * 5000, "\0", "/dev/zero"])
def test_what_is_no_picture_fails_its_item_alone(folder: Path, name: str) -> None:
    good, bad = (
        Request(key=str(slot), slot=slot, attempt=0, seed=slot, item=item)
        for slot, item in enumerate(rows_of(folder, "a.png", name))
    )
    painted: list[Result] = [DataError("painted", "")]
    read = RowPictures(folder).picture
    first, second = in_batches_with(lambda one: read(one.item, "control"), [good, bad], 1, lambda *_: painted)
    assert first is painted[0]
    assert isinstance(second, DataError)
    assert second.kind in {"no_picture", "undecodable"}


def test_rows_that_were_frozen_keep_their_hashes(folder: Path) -> None:
    draft, rows = Draft(), rows_of(folder, "a.png", "none.png")
    (folder / "a.png").unlink()
    assert plan_row_pictures(rows, ["control"], folder, SURVEYOR, draft) == rows
    assert draft.remarks == ["1 of 2 prompts name no file that is there under `control`: none.png."]
    with pytest.raises(UsageError, match="no column `style`"):
        plan_row_pictures(rows, ["style"], folder, SURVEYOR, draft)


def test_pictures_that_changed_are_named_and_nothing_else_is_taken_for_one(folder: Path) -> None:
    begun = rows_of(folder, "a.png", "b.png")
    (folder / "a.png").write_bytes(b"another")
    now = rows_of(folder, "a.png", "b.png")
    assert changed_pictures(begun, now) == ["picture a.png of 'a thing, a.png'"]
    assert changed_pictures(begun, begun) == []
    assert changed_pictures(begun, rows_of(folder, "b.png", "b.png")) == []
    assert changed_pictures(begun, now[:1]) == []


def test_a_fault_names_its_column_once(folder: Path) -> None:
    for name in ("none.png", "broken.png"):
        (row,) = rows_of(folder, name)
        with pytest.raises(DataError) as fault:
            RowPictures(folder).picture(row, "control")
        assert str(fault.value).count("`control`") == 1
