"""Prompt lists as people have them: any format, any mess. What cannot be read is named by file and line."""

import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY

from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.vocabulary import read_vocabulary
from factory.errors import UsageError
from factory.sources.prompts import LONGEST, Gone, check_template, fill, is_class_name, read_prompts

TEMPLATE = "a photo of {a} {class}"


def prompts_in(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return [row["prompt"] for row in read_prompts(str(path), TEMPLATE).rows]


@pytest.mark.parametrize(
    "content",
    [
        b"a red feather, lit from behind\nowl\n",
        b"a red feather, lit from behind\r\nowl\r\n",
        b"a red feather, lit from behind\rowl",
        b"\xef\xbb\xbfa red feather, lit from behind\nowl",
        b"\n  a red  feather, lit from behind \n\t\nowl\n\n",
        b"a red feather, lit from behind\nowl\nOwl\nA red feather, lit from behind\n",
    ],
    ids=["plain", "CRLF", "CR", "BOM", "blanks", "duplicates"],
)
def test_text(tmp_path: Path, content: bytes) -> None:
    assert prompts_in(tmp_path / "p.txt", content) == ["a red feather, lit from behind", "a photo of an owl"]


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("owl\n\nOWL\n")
    first, second = read_prompts(str(path), TEMPLATE).remarks
    assert "empty line 2 passed over" in first
    assert "repeated line 3 passed over" in second


def test_headings_and_comments_are_no_prompts(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(b"\xef\xbb\xbf# birds\r\nowl\r\n  #eagle\r\n# birds\r\na cup with a #1\r\n\r\nOwl\r\n#\r\n")
    read = read_prompts(str(path), TEMPLATE)
    assert [row["prompt"] for row in read.rows] == ["a photo of an owl", "a cup with a #1"]
    empty, repeated = read.remarks
    assert "empty line 6 passed over" in empty
    assert "repeated line 7 passed over" in repeated
    path.write_text("# owl\n# eagle\n")
    with pytest.raises(UsageError, match="holds no prompt"):
        read_prompts(str(path), TEMPLATE)
    path.write_text(f"# {'-' * LONGEST}\nowl\n# {'x' * LONGEST}\n{'x' * 9_999}\n")
    with pytest.raises(UsageError, match="line 4 has 9,999 characters"):
        read_prompts(str(path), TEMPLATE)


def test_comments_are_of_plain_text_only(tmp_path: Path) -> None:
    expected = ["# of a hash tag", "an owl"]
    assert prompts_in(tmp_path / "p.csv", b"prompt\n# of a hash tag\nan owl\n") == expected
    assert prompts_in(tmp_path / "p.jsonl", b'"# of a hash tag"\n{"prompt": "an owl"}\n') == expected
    pq.write_table(pa.table({"prompt": expected}), tmp_path / "p.parquet")
    assert [row["prompt"] for row in read_prompts(str(tmp_path / "p.parquet"), TEMPLATE).rows] == expected
    with pytest.raises(UsageError, match="line 2 is not JSON"):
        prompts_in(tmp_path / "p.jsonl", b'"an owl"\n# birds\n')


def test_letters_of_all_the_world_are_kept(tmp_path: Path) -> None:
    strange = ["ein grüner Käfer auf dem Blatt", "一只红色的羽毛 在 桌子 上", "a 🪶 on a table, soft light"]
    assert prompts_in(tmp_path / "p.txt", "\n".join(strange).encode()) == strange
    line = "a line\u2028that JSON may hold unescaped"
    assert prompts_in(tmp_path / "p.jsonl", json.dumps({"prompt": line}, ensure_ascii=False).encode()) == [
        "a line that JSON may hold unescaped"
    ]


@pytest.mark.parametrize(
    "text", ["{a|b} glass bubble", "a {red|blue} feather", "{class} {colour} {a} thing", "{", "{}"]
)
def test_braces_are_left_alone(tmp_path: Path, text: str) -> None:
    (prompt,) = prompts_in(tmp_path / "p.txt", text.encode())
    assert text in prompt


def test_csv_jsonl_and_parquet(tmp_path: Path) -> None:
    expected = ["a red feather, lit from behind", "a photo of an owl"]
    csv = b'id,prompt\n1,"a red feather, lit from behind"\n2,owl\n'
    assert prompts_in(tmp_path / "p.csv", csv) == expected
    assert prompts_in(tmp_path / "bom.csv", b"\xef\xbb\xbf" + csv.replace(b"\n", b"\r\n")) == expected
    assert prompts_in(tmp_path / "numbers.csv", b"text\n007\nfalse\n") == ["a photo of a 007", "a photo of a false"]
    lines = b'{"prompt": "a red feather, lit from behind"}\n\n"owl"\r\n'
    assert prompts_in(tmp_path / "p.jsonl", lines) == expected
    pq.write_table(pa.table({"n": [1, 2, 3], "caption": [*expected, None]}), tmp_path / "p.parquet")
    read = read_prompts(str(tmp_path / "p.parquet"), TEMPLATE)
    assert [row["prompt"] for row in read.rows] == expected


def test_a_json_list_is_a_list_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ["a red feather, lit from behind", "a photo of an owl"]
    content = b'["a red feather, lit from behind",\n {"prompt": "owl"}]\n'
    for name in ("p.json", "p.txt", "p.jsonl", "p"):
        assert prompts_in(tmp_path / name, content) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert [row["prompt"] for row in read_prompts("-", TEMPLATE).rows] == expected
    assert prompts_in(tmp_path / "p.json", b'"a red feather, lit from behind"\n"owl"\n') == expected
    assert prompts_in(tmp_path / "p.txt", b"[soft light] an owl\n") == ["[soft light] an owl"]


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ('"an owl, flying"', "an owl, flying"),
        ("'an owl'", "an owl"),
        ("“an owl”", "an owl"),
        ('  "an owl"  ', "an owl"),
        ('a snow"flake', 'a snow"flake'),
        ('"a cat" and "a dog"', '"a cat" and "a dog"'),
        ("a woman's hat", "a woman's hat"),
        ("\\# of a hash tag", "# of a hash tag"),
        ("a cup # with a dent", "a cup # with a dent"),
        ("a back\\#slash cup", "a back\\#slash cup"),
    ],
)
def test_quotes_around_a_line_and_the_backslash_before_a_hash_are_not_painted(
    tmp_path: Path, line: str, prompt: str
) -> None:
    assert prompts_in(tmp_path / "p.txt", f"a first line\n{line}\n".encode()) == ["a first line", prompt]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_of_any_spreadsheet(tmp_path: Path, delimiter: str) -> None:
    content = delimiter.join(["id", "prompt"]) + "\n" + delimiter.join(["1", '"an owl, flying; fast"']) + "\n"
    for name in ("p.csv", "p.tsv"):
        assert prompts_in(tmp_path / name, content.encode("utf-8-sig")) == ["an owl, flying; fast"]


def test_rows_of_a_table_are_named_as_a_spreadsheet_numbers_them(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("n,prompt\n1,an owl\n2,\n,\n4,an owl\n")
    empty, repeated = read_prompts(str(tmp_path / "p.csv"), TEMPLATE).remarks
    assert "empty line 3 passed over" in empty
    assert "repeated line 5 passed over" in repeated


@pytest.mark.parametrize("template", ["a {klass}", "a {class} in {color}", "a thing", "{}", "{a} {colour}"])
def test_a_template_that_would_not_say_what_to_paint_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="--template"):
        check_template(template)


@pytest.mark.parametrize("template", ["", "{class}", "{a} {colour} {class}", "a photo of {a} {class}, lit from behind"])
def test_a_template_with_a_class_is_taken(template: str) -> None:
    check_template(template)


def test_nothing_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for nothing in (None, io.TextIOWrapper(io.BytesIO(b" \n"))):
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(Gone, match="nothing comes from standard input"):
            read_prompts("-", TEMPLATE)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("# Käfer\nein Käfer auf Eis\n".encode())))
    assert [row["prompt"] for row in read_prompts("-", TEMPLATE).rows] == ["ein Käfer auf Eis"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.txt", b"", "holds no prompt"),
        ("blank.txt", b"\n \n\t\r\n", "holds no prompt"),
        ("binary.txt", b"owl\n\0\1\2\xff", "is a binary file"),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file"),
        ("latin.txt", "owl\nKäfer\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("utf16.txt", "owl\nfox".encode("utf-16"), "text that is not UTF-8"),
        ("long.txt", b"owl\n" + b"x" * 10_000_000, "line 2 has 10,000,000 characters"),
        ("long.jsonl", b'"' + b"x" * 10_000_000 + b'"', "line 1 has 10,000,000 characters"),
        ("columns.csv", b"name,size\nowl,3\n", "has no column `prompt` (it has name, size)"),
        ("empty.csv", b"", "holds no prompt"),
        ("header.csv", b"prompt,size\n", "holds no prompt"),
        ("ragged.csv", b"prompt,size\nowl\n1,2,3\n", "row 2 has 1 cell, the first row 2"),
        ("open.csv", b'prompt\n"owl\n', "is a quote not closed?"),
        ("torn.jsonl", b'{"prompt": "owl"}\n{"prompt": \n', "line 2 is not JSON"),
        ("number.jsonl", b"3\n", "line 1 has no"),
        ("other.jsonl", b'{"name": "owl"}\n', "line 1 has no"),
        ("torn.json", b'["owl", ', "is not a JSON list"),
        ("numbers.json", b'["owl", 3]', 'item 2 has no "prompt"'),
        ("object.json", b'{"prompts": ["owl"]}', 'line 1 has no "prompt"'),
        ("torn.parquet", b"PAR1\0\0", "is not a readable parquet file"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_is_no_list_of_prompts_is_named(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_prompts(str(path), TEMPLATE)
    assert sentence in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_prompts(str(tmp_path / "nothing.txt"), TEMPLATE)
    with pytest.raises(UsageError, match="cannot be read"):
        read_prompts(str(tmp_path), TEMPLATE)


def test_class_names_take_the_colours_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("owl\nwine glass\na cat that sleeps\nfox\n")
    palette = {"owl": ("orange", "blue"), "wine glass": ("orange", "blue")}
    rows = read_prompts(str(path), "{a} {colour} {class}", palette).rows
    assert [row["prompt"] for row in rows] == [
        *("an orange owl", "a blue wine glass", "a cat that sleeps", "a fox"),
        *("a blue owl", "an orange wine glass"),
    ]
    assert [row["class"] for row in rows] == ["owl", "wine glass", "", "fox", "owl", "wine glass"]


def test_the_article_looks_at_what_follows_it() -> None:
    assert fill("{a} {class} on {a} old table", "owl", "") == "an owl on an old table"
    assert fill("{a} {colour} {class}", "owl", "") == "an owl"
    assert fill("{a}", "owl", "") == "a"
    assert fill("{a} {class}", "u case", "") == "a u case"


@pytest.mark.parametrize(
    ("text", "verdict"), [("owl", True), ("wine glass", True), ("a red owl", False), ("x, y", False)]
)
def test_what_counts_as_a_class_name(text: str, verdict: bool) -> None:
    assert is_class_name(text) is verdict


def test_the_shipped_class_list_is_whole() -> None:
    """Each line is a class in plain letters, none stands there twice, and the embedded model's are all in it."""
    path = REPOSITORY / "prompts" / "classes.txt"
    read = read_prompts(str(path), TEMPLATE)
    classes = [row["class"] for row in read.rows]
    known = read_vocabulary(EMBEDDED)
    assert read.remarks == []
    assert path.read_bytes().isascii()
    assert "" not in classes
    assert len(classes) > 500
    assert known is not None
    assert set(known.classes) <= set(classes)
