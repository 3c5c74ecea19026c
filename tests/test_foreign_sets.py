"""Sets from elsewhere, from earlier versions, or in part: a sentence or the right result, and no write outside."""

import errno
import io
import json
import os
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import KEY, PLAN, TAR, check, flip, found, record_of, rewrite
from program import BUILD, LOCAL, factory_here, factory_obeying_modes, hashes, mtimes
from report_page import read_page
from small_set import make_shards

import factory
from factory.engine.made import records_of
from factory.engine.plan import read_plan
from factory.errors import DataError, UsageError
from factory.jobs.input_set import read_set
from factory.quality.evaluation import evaluate
from factory.review.identify import identify
from factory.review.report import write_report
from factory.review.show import show
from factory.review.status import status_text
from factory.review.verify import advice, verify_set
from factory.run.execute import finish
from factory.sample import Request
from factory.shards.commit import read_commit
from factory.shards.encoding import decode_png, encode_png
from factory.shards.export import export
from factory.shards.finalise import finalise, mark_finished
from factory.shards.foreign_text import parse_json
from factory.shards.layout import Layout
from factory.shards.members import member_name, name_parts
from factory.shards.reader import read_members, read_samples
from factory.shards.schema import unusable
from factory.shards.writer import tar_header
from factory.sources.captioning import corrections
from factory.sources.stored import StoredSamples

EVIL = (
    *("{root}/PWNED.rgb.png", "../PWNED.rgb.png", "a/../../PWNED.rgb.png", "..rgb.png", ".rgb.png", "PWNED", ""),
    *("-rf.rgb.png", "a b.rgb.png", "a\\b.rgb.png", "a.rgb/../../b.png", "a..png", "a.b.", "a\n.png"),
)


# --- names in tars ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_could_lead_out_is_refused(name: str) -> None:
    with pytest.raises(DataError) as error:
        name_parts(name)
    assert error.value.kind == "member_name"
    with pytest.raises(ValueError, match="no name for a member"):
        member_name(*name.split(".", 1)) if "." in name else member_name(name, "")


@pytest.mark.parametrize("name", ["0000000003.rgb.png", "0000000003.json", "0000010004-2.near_key.png"])
def test_our_own_names_are_taken(name: str) -> None:
    assert ".".join(name_parts(name)) == name
    assert member_name(*name_parts(name)) == name


def tar_of(path: Path, members: dict[str, bytes]) -> None:
    """A tar whose names nobody checks."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))


def readers(root: Path, out: Path) -> Iterator[Callable[[], object]]:
    """All that reads the tars of a set."""
    for form in ("rgba", "folder"):
        yield lambda form=form: export(root, form, out / form)
    yield lambda: evaluate(root, root)
    yield lambda: list(read_samples(root, "train"))
    yield lambda: list(read_members(root / TAR))
    yield lambda: StoredSamples(root, _tars(root))([Request(key=KEY, slot=0, attempt=0, seed=0)])


def _tars(root: Path) -> pa.Table:
    from factory.engine.inputs import make_table
    from factory.shards.commit import digest_file

    files = [digest_file(path, path.name) for path in sorted((root / "data").glob("train-*.tar"))]
    return make_table([{"tar": file.name, "tar_sha256": file.sha256} for file in files])


@pytest.mark.parametrize("stem", ["{outside}/PWNED", "../PWNED", "../../PWNED"])
def test_no_reader_makes_a_path_of_a_foreign_name(root: Path, tmp_path: Path, stem: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    stem = stem.format(outside=outside)
    members = dict(read_members(root / TAR))[KEY]
    members["json"] = json.dumps({**json.loads(members["json"]), "key": stem}).encode()
    tar_of(root / TAR, {f"{stem}.{extension}": body for extension, body in sorted(members.items())})
    before = sorted(tmp_path.rglob("*"))
    for read in readers(root, tmp_path / "out"):
        with pytest.raises((UsageError, DataError), match="PWNED"):
            read()
    left = {path for path in tmp_path.rglob("*") if path.is_file()} - set(before)
    assert not [path for path in left if "PWNED" in path.name]


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, b"S"])
def test_links_and_folders_in_a_tar_are_refused(root: Path, tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo(f"{KEY}.rgb.png")
    info.type, info.linkname = kind, f"{KEY}.rgb.png"
    (root / TAR).write_bytes(info.tobuf() + (root / TAR).read_bytes())
    for read in readers(root, tmp_path):
        with pytest.raises((UsageError, DataError), match="link or a folder"):
            read()


@pytest.mark.parametrize("size", [-512, -1, -1024, 2**60])
def test_a_false_size_neither_hangs_nor_fills_the_memory(root: Path, tmp_path: Path, size: int) -> None:
    block = bytearray(tar_header(f"{KEY}.rgb.png", 0))
    block[124:136] = (b"\xff" if size < 0 else b"\x80") + size.to_bytes(11, "big", signed=True)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    (root / TAR).write_bytes(bytes(block) + (root / TAR).read_bytes())
    for read in readers(root, tmp_path):
        with pytest.raises((UsageError, DataError), match="ends inside"):
            read()


def test_a_key_that_lies_there_twice_is_named(root: Path) -> None:
    shutil.copy(Layout(root).tar(0, "train"), root / TAR)
    with pytest.raises(UsageError, match=r"train-000001\.tar has 0000000000 a second time"):
        evaluate(root, root)


def test_what_other_writers_put_before_a_member_is_passed_over(root: Path) -> None:
    """Webdataset writes times as extended headers."""
    whole = list(read_members(root / TAR))
    with tarfile.open(root / TAR, "w", format=tarfile.PAX_FORMAT) as archive:
        for key, members in whole:
            for extension, body in members.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size, info.mtime = len(body), 1_700_000_000.25
                archive.addfile(info, io.BytesIO(body))
    assert list(read_members(root / TAR)) == whole


def test_links_in_a_report_folder_lead_nowhere(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    thumbs = root / "report" / "thumbs"
    thumbs.parent.mkdir(exist_ok=True)
    thumbs.symlink_to(outside)
    for name in ("index.html", ".index.html.tmp", "contact_sheet.png", "0000000000.png"):
        (root / "report" / name).symlink_to(outside / "mine.txt")
    write_report(root)
    show(root, "0000000000")
    assert [path.name for path in outside.iterdir()] == ["mine.txt"]
    assert (outside / "mine.txt").read_text() == "mine"
    assert (thumbs / "0000000000.webp").is_file()


# --- metadata and pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"plate": [[1.0]]}, {"plate": [[1e300] * 6] * 3}, {"key_rgb": [1]}, {"foreground": "odd"}, {"kind": "odd"},
        {"seed": "x"}, {"seed": "9" * 19}, {"attempt": 10**9}, {"caption": None}, {"scores": []}, {"phash": "zz"},
        {"caption": "\ud800"}, {"sampler": {}}, {"width": "48"},
    ],
)  # fmt: skip
def test_a_json_of_other_values_costs_a_sentence(root: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    def edit(members: dict[str, dict[str, bytes]]) -> None:
        members[KEY]["json"] = json.dumps({**json.loads(members[KEY]["json"]), **change}).encode()

    rewrite(root, edit)
    for form in ("rgba", "folder"):
        with pytest.raises(UsageError, match=f"sample {KEY}"):
            export(root, form, tmp_path / form)
    given = StoredSamples(root, _tars(root))([Request(key=KEY, slot=0, attempt=0, seed=0)])
    assert isinstance(given[0], DataError)


def test_fields_that_are_newer_or_older_do_no_harm(root: Path, tmp_path: Path) -> None:
    def edit(members: dict[str, dict[str, bytes]]) -> None:
        meta = json.loads(members[KEY]["json"])
        meta["mood"] = {"of": ["a", "later", "version"]}
        for field in ("item", "colour"):
            del meta[field]
        del meta["scores"]["key_distance"]
        members[KEY]["json"] = json.dumps(meta).encode()

    rewrite(root, edit)
    assert export(root, "rgba", tmp_path / "out") == 22
    given = StoredSamples(root, _tars(root))([Request(key=KEY, slot=0, attempt=0, seed=0)])
    assert not isinstance(given[0], DataError)
    assert given[0].scores.key_distance == -1


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a": "\\ud800"}', b"\xff", b""])
def test_what_no_other_parser_takes_is_no_json(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_a_picture_larger_than_its_bytes_can_hold_takes_no_memory() -> None:
    png = encode_png(np.zeros((8, 8, 3), np.uint8))
    header = struct.pack(">2I5B", 16_000, 16_000, 8, 2, 0, 0, 0)
    bomb = png[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + png[33:]
    with pytest.raises(DataError, match=r"16,000 × 16,000 pixels in \d+ bytes"):
        decode_png(bomb)


# --- records, plans, recipes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"accepted": "eight"}, {"accepted": None}, {"accepted": -1}, {"attempts": 2**70}, {"rejected": {"gsg": "x"}},
        {"rejected": {"gsg": -1}}, {"seconds": {"total": float("nan")}}, {"finished_at": 1e300}, {"shard": -1},
        {"split": "../x"}, {"split": "test"}, {"shard": 10**7}, {"software": {"torch": 2}}, {"device": 3},
        {"tar": {"name": "../../x.tar", "bytes": 1, "sha256": ""}}, {"part": {"name": "/etc/passwd"}},
        {"tar": {"name": "train-000002.tar"}}, {"schema_version": 2}, {"accepted": 8.0},
    ],
)  # fmt: skip
def test_a_record_of_other_values_counts_as_absent(root: Path, change: dict[str, Any]) -> None:
    layout = Layout(root)
    path = layout.commit(1)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert [record.shard for record in records_of(PLAN, layout)] == [0, 2, 3]
    assert "3 of 4 shards" in status_text(root)
    assert verify_set(root, 1)
    write_report(root)
    records = make_shards(root, PLAN, [1])
    assert [record.shard for record in records] == [0, 1, 2, 3]


def test_a_record_of_a_shard_that_the_plan_has_not_is_absent(root: Path) -> None:
    layout = Layout(root)
    record = json.loads(layout.commit(1).read_text())
    for name in ("tar", "part", "rejected_tar"):
        old = layout.root / {"tar": "data", "part": "manifest", "rejected_tar": "rejected"}[name] / record[name]["name"]
        record[name]["name"] = record[name]["name"].replace("000001", "000009")
        if old.is_file():
            shutil.copy(old, old.with_name(record[name]["name"]))
    record["shard"] = 9
    layout.commit(9).write_text(json.dumps(record))
    assert read_commit(layout.commit(9).read_bytes()) is not None
    assert "4 of 4 shards" in status_text(root)
    write_report(root)


@pytest.mark.parametrize(
    "change",
    [
        {"segments": [{"source": "drawn", "split": "../../x", "slots": 8}]},
        {"segments": [{"source": "drawn", "split": "train", "slots": -8}]},
        {"segments": [{"source": "drawn", "split": "train", "slots": 8, "table": "../x"}]},
        {"seed": -1},
        {"inputs": {"../../x": "0"}},
        {"job": "\ud800"},
    ],
)
def test_a_plan_that_would_lead_out_is_damaged(root: Path, change: dict[str, Any]) -> None:
    plan = Layout(root).plan
    plan.write_text(json.dumps({**json.loads(plan.read_text()), **change}))
    with pytest.raises(UsageError, match=r"plan\.json is damaged"):
        read_plan(plan)


@pytest.mark.parametrize("asked", [5, None, "aesthetic", [5], {"aesthetic": 1}])
def test_a_plan_whose_scores_are_no_names_is_damaged(root: Path, asked: Any) -> None:
    plan = Layout(root).plan
    content = json.loads(plan.read_text())
    content["settings"]["asked_scores"] = asked
    plan.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"plan\.json is damaged \(asked_scores must list names"):
        read_plan(plan)


@pytest.mark.parametrize("gates", [[], {"gsg_max": "x"}, {"gsg_max": float("nan")}, 3])
def test_a_plan_of_other_gates_costs_a_sentence(root: Path, tmp_path: Path, gates: Any) -> None:
    layout = Layout(root)
    plan = json.loads(layout.plan.read_text())
    layout.plan.write_text(json.dumps({**plan, "settings": {"gates": gates}}))
    fingerprint = read_plan(layout.plan).fingerprint
    for path in layout.commits.iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "fingerprint": fingerprint}))
    for command in (("report", root), ("filter", root, *LOCAL, "--out", tmp_path / "out")):
        ended = factory_here(*command)
        assert ended.code == 2
        assert "the plan's settings are damaged" in ended.sentence


@pytest.mark.parametrize(
    "limit", [("--set", "gates.gsg_max=.nan"), ("--gsg-max", "nan"), ("--set", "gates={coverage_min: .NaN}")]
)
def test_nan_is_no_limit(tmp_path: Path, limit: tuple[str, str]) -> None:
    ended = factory_here("generate", "--n", "1", *limit, "--out", tmp_path / "set")
    assert ended.code == 2
    assert "gates." in ended.sentence
    assert "finite number" in ended.sentence


@pytest.mark.parametrize(
    "text",
    [
        "a: 2026-99-99",
        "a: !!timestamp x",
        "a: !!bool x",
        "&a [*a]",
        "a: &a {b: *a}",
        "[" * 5000,
        "a: \x00",
        "a: !!int x",
    ],
)
def test_yaml_that_its_parser_falls_over_is_no_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    ended = factory_here("run", path)
    assert ended.code == 2
    assert str(path) in ended.sentence


def test_aliases_of_aliases_do_not_hang(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join(["job: filter", *lines]))
    ended = factory_here("run", path)
    assert (ended.code, "more than 100,000 values" in ended.sentence) == (2, True)


# --- manifests ------------------------------------------------------------------------------------------------------


def without(*names: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns(list(names))


def replaced(name: str, column: Callable[[pa.ChunkedArray], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, column(table[name]))


BROKEN = {
    "no key": without("key"),
    "no status": without("status"),
    "no scores": without("gsg", "phash"),
    "lists": replaced("status", lambda column: pa.array([["a"]] * len(column))),
    "no keys": replaced("key", lambda column: pa.array(["../x"] * len(column))),
    "large": replaced("shard", lambda column: pa.array([2**40] * len(column))),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_manifest_of_other_columns_costs_a_sentence(
    root: Path, tmp_path: Path, change: Callable[[pa.Table], pa.Table]
) -> None:
    shutil.rmtree(root / "manifest")
    path = root / "manifest.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    picture = tmp_path / "a.png"
    picture.write_bytes(encode_png(np.zeros((9, 9, 3), np.uint8)))
    refused = 0
    for read in (
        lambda: show(root, KEY, tmp_path),
        lambda: identify(picture, root),
        lambda: write_report(root),
        lambda: read_set(root),
        lambda: len(factory.open(root)),
        lambda: factory.open(root).attempts,
        lambda: corrections.export(root, tmp_path / "captions.csv"),
    ):
        try:
            read()
        except UsageError as error:
            refused += 1
            assert str(root) in str(error)
    assert refused
    assert verify_set(root, 1)


def test_types_that_others_write_are_ours_when_read(root: Path) -> None:
    """Polars and pandas write large strings and wider numbers."""
    before = factory.open(root)
    keys, rows = before.keys, before.manifest
    path = root / "manifest.parquet"
    table = pq.read_table(path)
    wider = {pa.string(): pa.large_string(), pa.int32(): pa.int64(), pa.float32(): pa.float64(), pa.int16(): pa.int64()}
    fields = [pa.field(field.name, wider.get(field.type, field.type)) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path)
    after = factory.open(root)
    assert after.keys == keys
    assert after.manifest.equals(rows)
    assert after[3].key == keys[3]


def test_a_damaged_part_does_not_hide_a_sample(root: Path, tmp_path: Path) -> None:
    (root / "manifest" / "part-000001.parquet").write_bytes(b"PAR1")
    text, picture = show(root, KEY, tmp_path)
    assert KEY in text
    assert picture is not None


# --- folders that are closed ----------------------------------------------------------------------------------------


@pytest.fixture
def closed(root: Path) -> Iterator[Path]:
    """A finished set that nobody may write to."""
    shutil.rmtree(root / "report", ignore_errors=True)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    yield root
    for folder in folders:
        folder.chmod(0o700)


def test_a_read_only_set_is_shown_and_its_report_says_why_not(closed: Path) -> None:
    shown = factory_obeying_modes("show", closed, KEY)
    assert shown.code == 0, shown.err
    assert f"key             {KEY}" in " ".join(shown.out.splitlines()) or KEY in shown.out
    assert "picture" in shown.out
    assert f"not written ({os.strerror(errno.EACCES)}" in shown.out
    assert "--picture" in shown.out
    told = factory_obeying_modes("report", closed)
    assert told.code == 2
    assert "the report cannot be written (Permission denied" in told.sentence
    assert "make" in told.sentence


# --- what verify advises ----------------------------------------------------------------------------------------------


def test_where_only_the_manifest_is_broken_no_shard_is_made_again(root: Path, finished_set: Path) -> None:
    layout = Layout(root)
    layout.recipe.write_text("job: test")
    flip(layout.manifest, 300)
    told = advice(root, verify_set(root, 1))
    assert str(layout.finished) in told
    assert "commits" not in told
    layout.finished.unlink()
    records = list(records_of(PLAN, layout))
    finalise(layout, records)
    mark_finished(layout, records)
    assert check(root) == []
    assert layout.manifest.read_bytes() == Layout(finished_set).manifest.read_bytes()


def test_the_records_of_damaged_shards_are_named_and_no_others(root: Path) -> None:
    layout = Layout(root)
    layout.recipe.write_text("job: test")
    flip(root / TAR, 5000)
    (root / "data" / "mine.txt").write_text("mine")
    told = advice(root, verify_set(root, 1))
    assert "Remove what is not of the set: data/mine.txt." in told
    assert f"Delete {layout.commit(1)} and run" in told
    layout.commit(2).unlink()
    (root / "data" / "mine.txt").unlink()
    assert f"Delete {layout.commit(1)}" in advice(root, verify_set(root, 1))


def test_a_shard_that_is_only_missing_needs_no_deletion(root: Path) -> None:
    layout = Layout(root)
    layout.recipe.write_text("job: test")
    for path in (layout.commit(3), layout.finished):
        path.unlink()
    told = advice(root, [fault for fault in verify_set(root, 1) if fault.kind == "missing_shard"])
    assert told == "Run the set's command again."


# --- sets in the making, and sets in part -----------------------------------------------------------------------------


def test_an_unfinished_run_is_exported_with_a_word_about_it(root: Path, tmp_path: Path) -> None:
    layout = Layout(root)
    layout.finished.unlink()
    layout.commit(1).unlink()  # its tar stays: a run that was killed before the commit leaves it so
    ended = factory_here("export", root, "--to", "rgba", "--out", tmp_path / "out")
    assert ended.code == 0
    assert f"{root} is not finished: only its 3 of 4 shards are taken." in ended.err
    assert not (tmp_path / "out" / f"{KEY}.png").exists()
    assert (tmp_path / "out" / "0000000000.png").exists()
    for path in layout.commits.iterdir():
        path.unlink()
    ended = factory_here("export", root, "--to", "rgba", "--out", tmp_path / "none")
    assert ended.code == 2
    assert "has no finished shard yet: run its command first" in ended.sentence
    assert not (tmp_path / "none").exists()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten shards with a rejected sample here and there."""
    root = tmp_path_factory.mktemp("built") / "set"
    ended = factory_here(*BUILD, *LOCAL, "--set", "gates.coverage_max=0.35", "--out", root)
    assert "samples" in ended.out, ended.err
    return root


@pytest.mark.parametrize("gone", [("plan.json", "commits"), ("plan.json",), ("commits",)])
def test_a_set_that_was_handed_on_is_filtered_by_its_manifest(
    built: Path, tmp_path: Path, gone: tuple[str, ...]
) -> None:
    names = shutil.ignore_patterns(*gone, "finished.json", "inputs", "report", "manifest", "index")
    given = Path(shutil.copytree(built, tmp_path / "given", ignore=names))
    whole, part = tmp_path / "whole", tmp_path / "part"
    limit = ("--coverage-max", "0.3")
    assert factory_here("filter", built, *LOCAL, *limit, "--out", whole).code == 0
    ended = factory_here("filter", given, *LOCAL, *limit, "--out", part)
    assert ended.code == 0, ended.err
    assert "came without its records" in ended.err
    assert 0 < len(factory.open(whole)) < len(factory.open(built))
    turned_down = len(factory.open(built)) - len(factory.open(whole))
    words = read_page(Layout(whole).report / "index.html").words()
    assert f"{turned_down} turned down" in words
    assert "missing" not in words, "what a filter leaves out is nobody's loss"
    tars = [name for name in hashes(whole) if name.endswith(".tar")]
    assert {name: hashes(part).get(name) for name in tars} == {name: hashes(whole)[name] for name in tars}
    table = tmp_path / "captions.csv"
    assert factory_here("captions", "export", given, table).code == 0
    assert len(table.read_text(encoding="utf-8-sig").splitlines()) == 1 + len(factory.open(built))
    ended = factory_here("filter", given, *LOCAL, "--set", "drop_duplicates=true", "--out", tmp_path / "dropped")
    assert ended.code == 0, ended.err


def test_what_needs_the_plan_of_a_set_that_was_handed_on_says_so(built: Path, tmp_path: Path) -> None:
    given = Path(shutil.copytree(built, tmp_path / "given", ignore=shutil.ignore_patterns("plan.json", "commits")))
    for command in ("status", "report", "verify"):
        ended = factory_here(command, given)
        assert ended.code == 2
        assert "came without its plan.json, which this needs: `factory filter" in ended.err


def test_a_set_that_was_handed_on_without_a_tar_says_which(built: Path, tmp_path: Path) -> None:
    names = shutil.ignore_patterns("plan.json", "commits", "train-000003.tar")
    given = Path(shutil.copytree(built, tmp_path / "given", ignore=names))
    ended = factory_here("filter", given, *LOCAL, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "lacks train-000003.tar, of which the manifest has samples" in ended.sentence


def test_the_shape_of_a_set_is_found_again_from_its_manifest(root: Path) -> None:
    before = read_set(root)
    for name in ("plan.json", "finished.json"):
        (root / name).unlink()
    shutil.rmtree(root / "commits")
    after = read_set(root)
    assert after.plan.shard_size == before.plan.shard_size
    assert [(one.split, one.slots) for one in after.plan.segments] == [("train", 22), ("validation", 6)]
    assert after.tars.equals(before.tars)
    assert [one.equals(two) for one, two in zip(after.samples, before.samples, strict=True)] == [True, True]


@pytest.mark.parametrize("limit", ["0.35", "0.2"], ids=["some are missing", "all are missing"])
def test_a_short_set_is_finished_once(tmp_path: Path, limit: str) -> None:
    command = (*BUILD, *LOCAL, "--set", f"gates.coverage_max={limit}", "--out", tmp_path / "set")
    first = factory_here(*command)
    assert "finalising 10 shards" in first.err
    before = mtimes(tmp_path / "set")
    again = factory_here(*command)
    assert "is finished already: nothing to do" in again.out
    assert "finalising" not in again.err
    assert mtimes(tmp_path / "set") == before


def test_a_set_without_a_quarantined_shard_is_finished_once(root: Path) -> None:
    layout = Layout(root)
    layout.commit(2).unlink()
    records, said = list(records_of(PLAN, layout)), list[str]()
    assert finish(layout, PLAN, records, said.append, lambda: False)
    assert not finish(layout, PLAN, records, said.append, lambda: False)
    assert said == ["finalising 3 shards"]


@pytest.mark.parametrize("name", ["../x", "/dev/zero", "x" * 5000, ""])
def test_a_finished_mark_that_names_other_files_is_none(root: Path, name: str) -> None:
    mark = Layout(root).finished
    content = json.loads(mark.read_text())
    content["files"][name] = content["files"].pop("manifest.parquet")
    mark.write_text(json.dumps(content))
    assert ("finished.json", "unfinished") in found(root)


def test_an_empty_folder_or_one_of_others_costs_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.tar").write_bytes(b"x" * 2000)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1" + b"x" * 100)
    picture = tmp_path / "a.png"
    picture.write_bytes(encode_png(np.zeros((9, 9, 3), np.uint8)))
    for command in (
        ("export", tmp_path, "--to", "rgba", "--out", tmp_path / "out"),
        ("evaluate", tmp_path, tmp_path),
        ("identify", picture, tmp_path),
        ("filter", tmp_path, *LOCAL, "--out", tmp_path / "out"),
        ("show", tmp_path, KEY),
        ("report", tmp_path),
        ("status", tmp_path),
        ("verify", tmp_path),
        ("captions", "export", tmp_path, tmp_path / "captions.csv"),
    ):
        ended = factory_here(*command)
        assert ended.code == 2, command
        assert "unexpected" not in ended.sentence


def test_nothing_more_is_found_in_a_whole_set(root: Path) -> None:
    assert found(root) == set()
    assert record_of(root, 1).accepted == 8


def test_whatever_field_a_samples_json_lacks_is_named(tmp_path: Path) -> None:
    """Those that the first sets had not, too, are no fault."""
    make_shards(tmp_path / "set", PLAN, [1])
    _, members = next(read_members(tmp_path / "set" / TAR))
    whole = json.loads(members["json"])
    assert [*unusable(whole)] == []
    named = {field: [*unusable({name: value for name, value in whole.items() if name != field})] for field in whole}
    assert {field for field, clauses in named.items() if not clauses} <= {"item", "colour"}
    assert all(clauses == [f"{field} is missing"] for field, clauses in named.items() if clauses)
    for field in whole["sampler"]:
        less = {**whole, "sampler": {name: value for name, value in whole["sampler"].items() if name != field}}
        assert [*unusable(less)] == [f"sampler.{field} is missing"]
