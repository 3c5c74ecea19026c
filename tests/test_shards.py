"""What lies on disk: the tar writer, finalisation, duplicates, export."""

import csv
import hashlib
import io
import os
import random
import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from small_set import make_shards, small_plan

from factory.errors import DataError, UsageError
from factory.shards import finalise as finalisation
from factory.shards.commit import CommitRecord
from factory.shards.encoding import decode_png, encode_png
from factory.shards.export import export
from factory.shards.finalise import FinishSettings, finalise, is_finished, mark_finished
from factory.shards.layout import Layout
from factory.shards.manifest import final_schema
from factory.shards.members import MATTING
from factory.shards.reader import read_members, read_samples
from factory.shards.writer import ShardWriter

EXTENSIONS = st.text("abcdefghijklmnopqrstuvwxyz0123456789.", min_size=1, max_size=20).filter(
    lambda name: not name.startswith(".") and not name.endswith(".") and ".." not in name
)
SAMPLES = st.lists(st.dictionaries(EXTENSIONS, st.binary(max_size=2000), min_size=1, max_size=6), max_size=5)


def write(samples: list[dict[str, bytes]], path: Path) -> tuple[list[dict[str, tuple[int, int]]], str]:
    """One tar of samples 0000000000, 0000000001 …; returns the places told by the writer, and its hash."""
    path.unlink(missing_ok=True)
    with ShardWriter(path) as writer:
        places = [
            {name: (e.offset, e.size) for name, e in writer.add(f"{number:010d}", members).items()}
            for number, members in enumerate(samples)
        ]
    assert writer.size == path.stat().st_size
    return places, writer.sha256


@given(samples=SAMPLES)
@settings(max_examples=40, deadline=None)
def test_any_members_come_back_through_tarfile(
    samples: list[dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tar"
    places, digest = write(samples, path)
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest
    found: list[dict[str, bytes]] = [{} for _ in samples]
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            assert (info.mtime, info.uid, info.gid, info.mode, info.uname) == (0, 0, 0, 0o444, "")
            key, _, extension = info.name.partition(".")
            body = archive.extractfile(info)
            assert body is not None
            found[int(key)][extension] = body.read()
            assert places[int(key)][extension] == (info.offset_data, info.size)
    assert found == samples
    assert [list(members) for members in found] == [sorted(members) for members in samples]
    for members, where in zip(samples, places, strict=True):
        assert all(data[offset : offset + size] == members[name] for name, (offset, size) in where.items())


@given(samples=SAMPLES, seed=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_bytes_do_not_depend_on_the_order_members_come_in(
    samples: list[dict[str, bytes]], seed: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "order.tar"
    shuffled = []
    for members in samples:
        items = list(members.items())
        seed.shuffle(items)
        shuffled.append(dict(items))
    assert write(samples, path) == write(shuffled, path)


@given(samples=SAMPLES.filter(bool), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_cut_tar_is_never_read_as_a_whole_one(
    samples: list[dict[str, bytes]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.tar"
    places, _ = write(samples, path)
    end = max(-(-(offset + size) // 512) * 512 for where in places for offset, size in where.values())
    os.truncate(path, data.draw(st.integers(0, end)))
    with pytest.raises(DataError, match="whole tar"):
        list(read_members(path))


def test_bytes_that_are_no_picture_are_the_items_fault() -> None:
    huge = bytearray(cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes())
    for data in (b"", b"\0", b"GIF89a", bytes(huge[:40])):
        with pytest.raises(DataError):
            decode_png(data)


@given(place=st.integers(0, 10_000), other=st.integers(1, 255))
@example(place=-1, other=1)  # the last chunk's checksum, which OpenCV does not look at
def test_no_byte_of_a_picture_can_change_unnoticed(place: int, other: int) -> None:
    body = bytearray(encode_png(np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)))
    body[place % len(body)] ^= other
    with pytest.raises(DataError):
        decode_png(bytes(body))


# --- finalisation -------------------------------------------------------------------------------------------------


def finish(root: Path, records: list[CommitRecord]) -> None:
    finalise(Layout(root), records)
    mark_finished(Layout(root), records)


def digests(root: Path) -> dict[str, str]:
    """Name → hash of all that must not depend on how a run went."""
    files = [path for path in root.rglob("*") if path.is_file() and path.parent.name not in ("commits", ".tmp")]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_broken_picture_leaves_no_line_of_libpng_s_own(capfd: pytest.CaptureFixture[str]) -> None:
    """It would name no file, and verify tells of the sample anyway."""
    sound = encode_png(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8))
    for broken in (sound[:200], sound[:500] + b"\xff" + sound[501:], sound[:30] + b"?" + sound[31:], sound[:-5]):
        with pytest.raises(DataError):
            decode_png(broken)
    assert decode_png(sound).shape == (40, 50, 3)
    assert capfd.readouterr().err == ""


def test_the_finished_set_is_the_same_for_any_workers_and_order(finished_set: Path, tmp_path: Path) -> None:
    plan = small_plan()
    make_shards(tmp_path, plan, [3, 1])
    finish(tmp_path, make_shards(tmp_path, plan, [2, 0], workers=2))
    assert digests(tmp_path) == digests(finished_set)


def test_the_manifest_has_every_attempt_and_marks_duplicates_across_shards(finished_set: Path) -> None:
    table = pq.read_table(finished_set / "manifest.parquet")
    assert table.schema.equals(final_schema(MATTING))
    rows = table.to_pylist()
    assert [(row["key"], row["attempt"]) for row in rows] == sorted((row["key"], row["attempt"]) for row in rows)
    states = [row["status"] for row in rows]
    assert (states.count("accepted"), states.count("rejected"), states.count("failed")) == (28, 6, 4)
    marked = {row["key"]: row["duplicate_of"] for row in rows if row["duplicate_of"]}
    assert marked == dict.fromkeys(("0000010001", "0000020002", "0000030005"), "0000000000")


def test_a_finished_set_is_known_until_a_shard_or_a_setting_changes(finished_set: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(finished_set, root)
    layout, plan = Layout(root), small_plan()
    records = make_shards(root, plan, [])
    assert is_finished(layout, records)
    assert not is_finished(layout, records[:-1])
    assert not is_finished(layout, records, FinishSettings(duplicate_distance=0))
    (root / "index" / "train-000001.idx").unlink()
    assert not is_finished(layout, records)


def test_what_a_killed_run_left_behind_is_removed_and_foreign_files_stay(finished_set: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(finished_set, root)
    for name in (
        "data/train-000009.tar",
        "manifest/part-000009.parquet",
        "rejected/000009.tar",
        "index/train-000009.idx",
    ):
        (root / name).write_bytes(b"garbage")
    (root / "shardindex-test.json").write_text("{}")
    (root / "data" / "my notes.txt").write_text("keep me")
    finish(root, make_shards(root, small_plan(), []))
    assert (root / "data" / "my notes.txt").read_text() == "keep me"
    (root / "data" / "my notes.txt").unlink()
    assert digests(root) == digests(finished_set)


def test_above_the_bound_the_manifest_stays_a_folder(
    finished_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "set"
    shutil.copytree(finished_set, root)
    monkeypatch.setattr(finalisation, "ROWS_IN_ONE_FILE", 37)
    finish(root, make_shards(root, small_plan(), []))
    assert not (root / "manifest.parquet").exists()
    assert len(list((root / "manifest").iterdir())) == 4
    assert is_finished(Layout(root), make_shards(root, small_plan(), []))


def test_a_set_without_an_accepted_sample_is_finished_too(tmp_path: Path) -> None:
    finish(tmp_path, [])
    assert pq.read_table(tmp_path / "manifest.parquet").num_rows == 0
    assert "0 pairs" in (tmp_path / "README.md").read_text()


# --- export -------------------------------------------------------------------------------------------------------


def test_export_to_folders_has_the_stored_pictures(finished_set: Path, tmp_path: Path) -> None:
    assert export(finished_set, "folder", tmp_path / "out") == 22
    captions = list(csv.DictReader((tmp_path / "out" / "captions.csv").open(encoding="utf-8", newline="")))
    stored = list(read_samples(finished_set, "train"))
    assert [row["key"] for row in captions] == [sample.key for sample in stored]
    assert captions[1]["caption"] == "drawing 1 – ä"
    for sample in stored:
        parts = {
            name: np.asarray(Image.open(tmp_path / "out" / name / f"{sample.key}.png"))
            for name in ("fg", "alpha", "merged", "bg")
        }
        assert np.array_equal(parts["fg"], sample.foreground)
        assert np.array_equal(parts["alpha"], sample.alpha)
        assert np.array_equal(parts["merged"], sample.rgb)
        a = parts["alpha"][..., None] / 255
        assert np.abs(a * parts["fg"] + (1 - a) * parts["bg"] - parts["merged"]).max() <= 1


def test_export_to_rgba_keeps_the_straight_colour_under_zero_alpha(finished_set: Path, tmp_path: Path) -> None:
    assert export(finished_set, "rgba", tmp_path / "out", "validation") == 6
    for sample in read_samples(finished_set, "validation"):
        picture = np.asarray(Image.open(io.BytesIO((tmp_path / "out" / f"{sample.key}.png").read_bytes())))
        assert np.array_equal(picture, np.dstack([sample.foreground, sample.alpha]))


def test_export_refuses_what_it_cannot_do(finished_set: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("here")
    with pytest.raises(UsageError, match="not an empty folder"):
        export(finished_set, "folder", tmp_path)
    with pytest.raises(UsageError, match="folder or rgba"):
        export(finished_set, "zip", tmp_path / "out")
    with pytest.raises(UsageError, match="no accepted sample of the split test"):
        export(finished_set, "rgba", tmp_path / "out", "test")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
