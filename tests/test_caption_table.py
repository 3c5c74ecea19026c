"""Captions from a table, where there is no model."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from factory.errors import UsageError
from factory.sources.captioning.table import read_caption_table, with_captions


def _items(*paths: str) -> list[dict[str, Any]]:
    return [{"path": path, "sha256": "0", "class_name": "object", "caption": "an object"} for path in paths]


def _captions(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["caption"] for row in rows]


def _table(tmp_path: Path, text: str, name: str = "captions.csv") -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_items_are_found_by_path_name_and_stem(tmp_path: Path) -> None:
    table = _table(tmp_path, 'file,caption\na/one.png,A\nb/two,B\nthree.png,C\nfour,"D,\n d"\n.\\x\\five.png,E\n')
    rows = _items("a/one.png", "b/two.png", "b/three.png", "four.webp", "x/five.png")
    found = with_captions(rows, read_caption_table(table))
    assert _captions(found.rows) == ["A", "B", "C", "D, d", "E"]
    assert found.remarks == []
    assert rows == _items("a/one.png", "b/two.png", "b/three.png", "four.webp", "x/five.png")
    assert all(row["sha256"] == "0" and row["class_name"] == "object" for row in found.rows)


def test_the_more_exact_name_wins(tmp_path: Path) -> None:
    table = _table(tmp_path, "path,caption\ncat,some cat\nb/cat.png,the cat in b\n")
    found = with_captions(_items("a/cat.png", "b/cat.png"), read_caption_table(table))
    assert _captions(found.rows) == ["some cat", "the cat in b"]


def test_a_name_that_two_files_share_is_refused(tmp_path: Path) -> None:
    table = _table(tmp_path, "stem,caption\ncat,a cat\n")
    with pytest.raises(UsageError, match=r"more than one file by cat \(a/cat\.png and b/cat\.png\): write their paths"):
        with_captions(_items("a/cat.png", "b/cat.png"), read_caption_table(table))


def test_framings_of_one_file_share_its_caption(tmp_path: Path) -> None:
    table = _table(tmp_path, "path,caption\na.png,a thing\n")
    assert _captions(with_captions(_items("a.png", "a.png"), read_caption_table(table)).rows) == ["a thing", "a thing"]


def test_letters_taken_apart_by_a_file_system_are_the_same(tmp_path: Path) -> None:
    table = _table(tmp_path, '{"item": "Bäume/Öl 1.png", "text": "ein Baum", "class": "tree"}\n', "captions.jsonl")
    (row,) = with_captions(_items(unicodedata.normalize("NFD", "Bäume/Öl 1.png")), read_caption_table(table)).rows
    assert (row["caption"], row["class_name"]) == ("ein Baum", "tree")


def test_items_without_a_caption_and_captions_without_an_item_are_told(tmp_path: Path) -> None:
    table = _table(tmp_path, "path,caption\na.png,A\nz.png,Z\n")
    found = with_captions(_items("a.png", "b.png"), read_caption_table(table))
    assert _captions(found.rows) == ["A", "an object"]
    missing, unused = found.remarks
    assert "no caption for 1 of 2 items" in missing
    assert "b.png" in missing
    assert "1 captions for items that are not there: z.png" in unused


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,caption\na.png,\n", r"empty caption for a\.png \(row 2\)"),
        ("path,caption\n,A\n", r"no `path` in row 2"),
        ("path,caption\na.png,A\n./a.png,B\n", r"more than one row for a\.png \(row 3\)"),
        ("path,words\na.png,A\n", "no column `caption`"),
        ("picture,caption\na.png,A\n", "no column `path`"),
    ],
)
def test_a_table_with_faults_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_caption_table(_table(tmp_path, text))
