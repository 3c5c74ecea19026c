"""Verify names every kind of damage to tars and samples, and finds nothing in a whole set."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import KEY, PLAN, TAR, Members, check, edit_json, flip, found, reseal, rewrite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.engine.inputs import content_hash, make_table, write_inputs
from factory.review.verify import verify_set
from factory.shards.durable import write_json
from factory.shards.encoding import encode_png
from factory.shards.layout import Layout
from factory.shards.reader import read_members
from factory.shards.verify import verify
from factory.shards.writer import tar_header

# --- whole --------------------------------------------------------------------------------------------------------


def test_a_whole_set_has_no_faults(finished_set: Path) -> None:
    assert check(finished_set) == []


def test_processes_find_the_same_and_progress_counts_every_shard(root: Path) -> None:
    flip(root / TAR, 3000)
    told: list[tuple[int, int]] = []
    parallel = verify(
        root, fingerprints=PLAN.fingerprints, shards=4, workers=2, progress=lambda done, all_: told.append((done, all_))
    )
    assert parallel == check(root) != []
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_recipe_and_the_frozen_inputs_are_checked(root: Path) -> None:
    layout, table = Layout(root), make_table([{"path": "a.png"}])
    write_json(layout.plan, replace(PLAN, inputs={"items": content_hash(table)}).to_json(), layout.scratch)
    frozen = layout.inputs / "items.arrow"

    def named() -> set[tuple[str, str]]:
        places = {"recipe.yaml", "inputs/items.arrow"}
        return {(fault.place, fault.kind) for fault in verify_set(root, 1) if fault.place in places}

    layout.recipe.unlink(missing_ok=True)
    assert named() == {("recipe.yaml", "missing"), ("inputs/items.arrow", "missing")}
    layout.recipe.write_text("job: test")
    layout.inputs.mkdir(exist_ok=True)
    write_inputs(table, frozen)
    assert named() == set()
    write_inputs(make_table([{"path": "b.png"}]), frozen)
    assert named() == {("inputs/items.arrow", "sha256")}
    for damaged in (b"", b"ARROW1", frozen.read_bytes()[:-20]):
        frozen.write_bytes(damaged)
        assert named() == {("inputs/items.arrow", "unreadable")}


# --- tars ---------------------------------------------------------------------------------------------------------


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_byte_of_a_tar_is_named(root: Path, share: float) -> None:
    place = int(share * (root / TAR).stat().st_size)
    flip(root / TAR, place)
    assert (TAR, "sha256") in found(root)
    flip(root / TAR, place)
    assert found(root) == set()


def test_a_flipped_byte_in_a_picture_names_the_sample(root: Path) -> None:
    with tarfile.open(root / TAR) as archive:
        info = archive.getmember(f"{KEY}.rgb.png")
    flip(root / TAR, info.offset_data + info.size // 2)
    reseal(root, 1)
    assert found(root) & {(KEY, "undecodable"), (KEY, "pixels")}


def test_a_flipped_byte_in_a_header_is_a_broken_tar(root: Path) -> None:
    with tarfile.open(root / TAR) as archive:
        info = archive.getmember(f"{KEY}.alpha.png")
    flip(root / TAR, info.offset + 130)
    reseal(root, 1)
    sentences = [str(fault) for fault in check(root)]
    assert any("broken_tar" in sentence and f"byte {info.offset}" in sentence for sentence in sentences)
    assert any("accepted rows without a sample in the tar" in sentence and KEY in sentence for sentence in sentences)


@pytest.mark.parametrize("size", [0, 100, 512, 1500, 40_000])
def test_a_cut_tar_is_named(root: Path, size: int) -> None:
    (root / TAR).write_bytes((root / TAR).read_bytes()[:size])
    assert found(root) >= {(TAR, "size"), (TAR, "sha256"), (TAR, "broken_tar")}


def test_other_headers_than_plain_ustar_are_named(root: Path) -> None:
    members = list(read_members(root / TAR))
    with tarfile.open(root / TAR, "w", format=tarfile.GNU_FORMAT) as archive:
        for key, files in members:
            for name, body in sorted(files.items()):
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size, info.mtime = len(body), 1_700_000_000
                archive.addfile(info, io.BytesIO(body))
    reseal(root, 1)
    assert found(root) == {(TAR, "header")}
    assert sum(fault.kind == "header" for fault in check(root)) == 8 * 4


def test_missing_and_extra_files_are_named(root: Path) -> None:
    (root / TAR).unlink()
    (root / "rejected" / "000000.tar").unlink()
    (root / "index" / "train-000002.idx").unlink()
    for name in ("data/train-000007.tar", "data/index.txt", "manifest/part-000007.parquet", "commits/000007.json"):
        (root / name).write_bytes(b"?")
    (root / "data" / "folder").mkdir()
    assert found(root) == {
        (TAR, "missing"),
        ("rejected/000000.tar", "missing"),
        ("index/train-000002.idx", "missing"),
        ("manifest/part-000001.parquet", "rows"),
        ("data/train-000007.tar", "extra"),
        ("data/index.txt", "extra"),
        ("data/folder", "extra"),
        ("manifest/part-000007.parquet", "extra"),
        ("commits/000007.json", "extra"),
    }


def test_swapped_tars_are_named(root: Path) -> None:
    one, two = root / TAR, root / "data" / "train-000000.tar"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    reseal(root, 0)
    reseal(root, 1)
    assert {("0000000004", "key"), (KEY, "key"), ("manifest/part-000001.parquet", "rows")} <= found(root)


# --- samples ------------------------------------------------------------------------------------------------------


def test_a_key_twice_is_named(root: Path) -> None:
    rewrite(root, lambda members: members.update({f"{KEY}#again": members[KEY]}))
    assert (KEY, "duplicate_key") in found(root)


def test_samples_out_of_order_are_named(root: Path) -> None:
    def last_first(members: Members) -> None:
        items = list(members.items())
        members.clear()
        members.update(items[-1:] + items[:-1])

    rewrite(root, last_first)
    assert (TAR, "order") in found(root)


def test_members_apart_or_out_of_order_are_named(root: Path) -> None:
    members = list(read_members(root / TAR))
    names = [(f"{key}.{name}", body) for key, files in members for name, body in files.items()]
    names[0], names[1] = names[1], names[0]
    names.append(names.pop(20))
    data = b"".join(tar_header(name, len(body)) + body + bytes(-len(body) % 512) for name, body in names)
    (root / TAR).write_bytes(data + bytes(1024) + bytes(-(len(data) + 1024) % 10_240))
    reseal(root, 1)
    assert {("0000010000", "members"), ("0000010005", "members"), ("0000010005", "duplicate_key")} <= found(root)


def test_a_missing_and_a_strange_member_are_named(root: Path) -> None:
    def change(members: Members) -> None:
        del members[KEY]["fg.png"]
        members["0000010005"]["txt"] = b"hello"

    rewrite(root, change)
    assert {(KEY, "members"), (KEY, "missing_member"), ("0000010005", "members")} <= found(root)


def test_pictures_that_do_not_fit_are_named(root: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(1))

    def change(members: Members) -> None:
        members["0000010000"]["rgb.png"] = encode_png(rng.integers(0, 256, (48, 48, 3), np.uint8))
        members["0000010001"]["alpha.png"] = encode_png(np.zeros((48, 47), np.uint8))
        members["0000010002"]["alpha.png"] = encode_png(np.zeros((48, 48, 3), np.uint8))
        members["0000010003"]["fg.png"] = b"no picture"
        members["0000010005"]["json"] = b'{"key": '

    rewrite(root, change)
    faults = found(root)
    wanted = {("0000010000", "pixels"), ("0000010000", "residual"), ("0000010001", "sizes")}
    assert wanted <= faults
    assert {("0000010002", "channels"), ("0000010003", "undecodable"), ("0000010005", "undecodable")} <= faults


def test_an_edited_residual_is_named(root: Path) -> None:
    edit_json(root, lambda meta: meta["scores"].update(residual=meta["scores"]["residual"] + 1.5))
    assert (KEY, "residual") in found(root)


def test_a_moved_plate_is_named(root: Path) -> None:
    edit_json(root, lambda meta: meta["plate"][1].__setitem__(0, 200.0))
    assert found(root) == {(KEY, "residual")}


def test_a_plate_of_another_shape_is_named(root: Path) -> None:
    edit_json(root, lambda meta: meta.update(plate=[[1.0, 2.0]]))
    assert found(root) == {(KEY, "plate")}


def test_json_of_another_schema_is_named_field_by_field(root: Path) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta.update(caption=None, seed=12, ai_generated=0, key_rgb=[0, 255.0, 0], mood="good")
        del meta["hashes"]["fg"]
        meta["scores"]["coverage"] = float("nan")

    edit_json(root, change)
    (fault,) = [fault for fault in check(root) if fault.kind == "schema"]
    assert fault.place == KEY
    for clause in (
        "caption is NoneType, not str",
        "seed is int, not str",
        "ai_generated is int, not bool",
        "key_rgb[1] is float, not int",
        "mood is unknown",
        "hashes.fg is missing",
        "scores.coverage is nan",
    ):
        assert clause in fault.sentence


def test_json_of_another_sample_is_named(root: Path) -> None:
    edit_json(root, lambda meta: meta.update(key="0000010005", caption="another"))
    (fault,) = [fault for fault in check(root) if fault.kind == "rows" and fault.place == KEY]
    assert (KEY, "key") in found(root)
    assert "caption" in fault.sentence
