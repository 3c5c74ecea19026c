"""A job may declare further members of a sample: written, described, read, verified, and kept by sets made of it."""

import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import damage
import numpy as np
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st
from program import LOCAL, factory_here, hashes
from small_set import small_plan
from trusting_job import JOB, TRUST, trusted, trusting

from factory.engine.plan import Plan, read_plan
from factory.errors import DataError, UsageError
from factory.jobs import registry
from factory.jobs.filter import FilterRecipe
from factory.jobs.refine import RefineRecipe
from factory.review.verify import verify_set
from factory.run.execute import execute
from factory.sample import Request, Sample
from factory.shards.commit import valid_commits
from factory.shards.encoding import decode_png, encode, encode_png, pixel_hash
from factory.shards.layout import Layout
from factory.shards.lookup import find, read_row
from factory.shards.manifest import final_schema, schema
from factory.shards.marking import read_marks
from factory.shards.members import JSON, MATTING, Member, column, extensions
from factory.shards.reader import Stored, read_members, read_samples
from factory.sources.stored import as_sample

KEYS = ["0000000000", "0000000001", "0000010000", "0000010001", "0000020000", "0000020001"]
MEMBERS = (*MATTING, TRUST)
KEY = "0000010001"


def silent(sentence: str) -> None:
    """Hears and forgets."""


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    """The job, as if it had its line in the registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.JOBS, "trusting", JOB)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, _registered: None) -> Path:
    """A finished set with the further member. Read it only."""
    out = tmp_path_factory.mktemp("trusting") / "set"
    assert execute(trusting(out), silent).exit_code(allow_short=False) == 0
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """To be damaged."""
    return Path(shutil.copytree(made, tmp_path / "set"))


def stored_in(root: Path) -> dict[str, Stored]:
    return {stored.key: stored for split in ("train", "validation") for stored in read_samples(root, split)}


def sample_of(stored: Stored) -> Sample:
    return as_sample(stored, Request(key=stored.key, slot=0, attempt=0, seed=0))


def found(root: Path) -> set[tuple[str, str]]:
    return {(fault.place, fault.kind) for fault in verify_set(root, 1)}


# --- writing and reading ------------------------------------------------------------------------------------------


def test_every_sample_has_the_member_and_a_plan_tells_it(made: Path) -> None:
    assert read_plan(Layout(made).plan).members == MEMBERS
    for tar in sorted((made / "data").iterdir()):
        for _, bodies in read_members(tar):
            assert tuple(bodies) == extensions(MEMBERS) == ("alpha.png", "fg.png", JSON, "rgb.png", "sure.png")
            assert decode_png(bodies["sure.png"]).ndim == 2
            assert read_marks(bodies["sure.png"]) == read_marks(bodies["alpha.png"]) != {}
    assert found(made) == set()


def test_our_readers_give_it(made: Path) -> None:
    stored = stored_in(made)
    assert list(stored) == KEYS
    for key, sample in stored.items():
        assert np.array_equal(sample.pictures["sure"], trusted(sample_of(sample)).layers["sure"])
        row = find(made, key)
        again = read_row(made, row)
        assert again.meta == sample.meta
        assert again.pictures.keys() == {"rgb", "alpha", "fg", "sure"}
        assert all(np.array_equal(again.pictures[name], sample.pictures[name]) for name in again.pictures)


def test_the_manifest_has_its_hash_and_where_its_bytes_lie(made: Path) -> None:
    table = pq.read_table(made / "manifest.parquet")
    assert table.schema.equals(final_schema(MEMBERS))
    assert set(table.schema.names) - set(final_schema(MATTING).names) == {
        *("sure_sha256", "sure_png_offset", "sure_png_size"),
    }
    for row in table.to_pylist():
        with (made / "data" / f"{row['split']}-{row['shard']:06d}.tar").open("rb") as tar:
            tar.seek(row["sure_png_offset"])
            picture = decode_png(tar.read(row["sure_png_size"]))
        assert pixel_hash(picture) == row["sure_sha256"]


def test_card_croissant_and_indexes_name_it(made: Path) -> None:
    card = DatasetCard.load(made / "README.md")
    columns = [feature["name"] for feature in card.data.to_dict()["dataset_info"]["features"]]
    assert columns == ["__key__", "__url__", "alpha.png", "fg.png", "rgb.png", "sure.png", "json"]
    assert f"| `KEY.sure.png` | {TRUST.contents} |" in card.text
    content = json.loads((made / "croissant.json").read_bytes())
    told = {entry["@id"]: entry["description"] for entry in content["recordSet"]}
    assert told["train/sure"] == told["validation/sure"] == TRUST.contents
    (manifest,) = [entry for entry in content["recordSet"] if entry["@id"] == "manifest"]
    assert "manifest/sure_sha256" in {field["@id"] for field in manifest["field"]}
    lines = (made / "index" / "train-000000.idx").read_text().splitlines()
    assert all(re.search(r" sure\.png \d+ \d+ \d{10}\.sure\.png$", line) for line in lines[1:])


def test_a_set_without_further_members_is_told_of_in_the_usual_words(finished_set: Path) -> None:
    assert "sure" not in (finished_set / "README.md").read_text(encoding="utf-8")
    assert (finished_set / "README.md").read_text(encoding="utf-8").count("| `KEY.") == len(extensions(MATTING))


@pytest.mark.slow
def test_other_peoples_readers_give_it(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import mlcroissant
    import webdataset as wds
    from etils import epath
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(extract, "EXTRACT_PATH", epath.Path(tmp_path / "unpacked"))
    wanted = {key: stored.pictures["sure"] for key, stored in stored_in(made).items()}
    tars = sorted(str(path) for path in (made / "data").iterdir())
    by_webdataset = {
        sample["__key__"]: decode_png(sample["sure.png"]) for sample in wds.WebDataset(tars, shardshuffle=False)
    }
    loaded = datasets.load_dataset(str(made), split="train")
    by_hugging_face = {row["__key__"].rpartition("/")[2]: np.asarray(row["sure.png"]) for row in loaded}
    described = mlcroissant.Dataset(str(made / "croissant.json"))
    assert (described.metadata.ctx.issues.errors, described.metadata.ctx.issues.warnings) == (set(), set())
    by_croissant = {
        row["train/sure/key"].decode(): np.asarray(row["train/sure/image"]) for row in described.records("train/sure")
    }
    assert by_webdataset.keys() == set(KEYS)
    assert by_hugging_face.keys() == by_croissant.keys() == set(KEYS[:4])
    for read in (by_webdataset, by_hugging_face, by_croissant):
        assert all(np.array_equal(picture, wanted[key]) for key, picture in read.items())


# --- verifying ----------------------------------------------------------------------------------------------------


def rewrite(root: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Write shard 1's tar anew with one sample changed, and its record with it."""
    damage.rewrite(root, lambda members: change(members[KEY]))


def test_a_missing_one_is_named(copy: Path) -> None:
    rewrite(copy, lambda files: files.pop("sure.png"))
    assert (KEY, "members") in found(copy)
    assert any("its members are alpha.png, fg.png, json, rgb.png, not" in str(fault) for fault in verify_set(copy, 1))


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (encode_png(np.zeros((32, 32), np.uint8)), "pixels"),
        (encode_png(np.zeros((32, 31), np.uint8)), "sizes"),
        (encode_png(np.zeros((32, 32, 3), np.uint8)), "channels"),
        (b"no picture", "undecodable"),
    ],
)
def test_another_picture_in_its_place_is_named(copy: Path, picture: bytes, kind: str) -> None:
    rewrite(copy, lambda files: files.update({"sure.png": picture}))
    assert (KEY, kind) in found(copy)


def test_a_flipped_byte_of_it_is_named(copy: Path) -> None:
    with tarfile.open(copy / damage.TAR) as archive:
        info = archive.getmember(f"{KEY}.sure.png")
    data = bytearray((copy / damage.TAR).read_bytes())
    data[info.offset_data + info.size // 2] ^= 0xFF
    (copy / damage.TAR).write_bytes(data)
    assert (damage.TAR, "sha256") in found(copy)
    damage.reseal(copy, 1)
    assert KEY in {place for place, _ in found(copy)}


def test_a_json_that_does_not_know_it_is_named(copy: Path) -> None:
    def forget(files: dict[str, bytes]) -> None:
        meta = json.loads(files[JSON])
        del meta["hashes"]["sure"]
        files[JSON] = json.dumps(meta).encode()

    rewrite(copy, forget)
    (fault,) = [fault for fault in verify_set(copy, 1) if fault.kind == "schema"]
    assert "hashes.sure is missing" in fault.sentence


def test_a_manifest_of_other_members_is_named(copy: Path) -> None:
    table = pq.read_table(copy / "manifest.parquet").drop_columns(["sure_sha256"])
    pq.write_table(table, copy / "manifest.parquet")
    assert ("manifest.parquet", "columns") in found(copy)


def test_a_plan_that_does_not_declare_it_is_another_plan(made: Path) -> None:
    plan = read_plan(Layout(made).plan)
    assert replace(plan, members=MATTING).fingerprint != plan.fingerprint
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_sample_without_it_is_bad_data(made: Path) -> None:
    stored = next(iter(stored_in(made).values()))
    whole = sample_of(stored)
    assert encode(whole, members=MEMBERS)[0].keys() == set(extensions(MEMBERS))
    assert encode(whole)[0].keys() == set(extensions(MATTING)), "what is not declared is not written"
    with pytest.raises(DataError, match="the sample has no sure"):
        encode(replace(whole, layers={}), members=MEMBERS)
    with pytest.raises(DataError, match="sizes differ"):
        encode(replace(whole, layers={"sure": np.zeros((3, 3), np.uint8)}), members=MEMBERS)


# --- sets made of it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FilterRecipe, RefineRecipe])
def test_filter_and_refine_keep_it(made: Path, tmp_path: Path, kind: type[FilterRecipe] | type[RefineRecipe]) -> None:
    out = tmp_path / "derived"
    gates = {"residual_max": 99, "agreement_min": 0}
    execute(kind(data=made, out=out, executor="local", workers=1, gates=gates), silent)
    assert found(out) == set()
    before, after = stored_in(made), stored_in(out)
    assert list(after) == KEYS
    for key, stored in after.items():
        assert np.array_equal(stored.pictures["sure"], before[key].pictures["sure"])
        assert stored.meta["hashes"]["sure"] == before[key].meta["hashes"]["sure"]


def test_so_do_corrected_captions(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f"key,caption\n{KEY},another\n", encoding="utf-8")
    command = ("captions", "import", made, tmp_path / "mine.csv", "--by", "me", *LOCAL, "--out", tmp_path / "new")
    assert factory_here(*command).code == 0
    assert found(tmp_path / "new") == set()
    assert read_row(tmp_path / "new", find(tmp_path / "new", KEY)).meta["caption"] == "another"
    assert "sure" in read_row(tmp_path / "new", find(tmp_path / "new", KEY)).pictures


def test_a_killed_run_of_it_goes_on_to_the_same_bytes(made: Path, copy: Path) -> None:
    layout = Layout(copy)
    for lost in (layout.commit(1), layout.finished, layout.manifest):
        lost.unlink()
    execute(trusting(copy), silent)
    assert hashes(copy) == hashes(made)
    assert len(list(valid_commits(layout, read_plan(layout.plan).fingerprints))) == 3
    with pytest.raises(UsageError, match="is a set of job 'trusting', not 'build-green100k'"):
        execute(registry.parse({**trusting(copy).model_dump(), "job": "build-green100k"}), silent)


# --- declarations -------------------------------------------------------------------------------------------------

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)


@given(names=st.sets(NAMES, max_size=5).filter(lambda names: not names & {"rgb", "alpha", "fg", "json"}))
def test_any_declared_members_have_columns_that_lead_back_to_them(names: set[str]) -> None:
    members = (*MATTING, *(Member(name, 1, "A test.") for name in sorted(names)))
    columns = [field.name for field in schema(members)]
    assert len(set(columns)) == len(columns)
    places = [name.removesuffix("_offset").replace("_", ".") for name in columns if name.endswith("_offset")]
    assert places == sorted(places) == list(extensions(members))
    assert {column(extension, "size") for extension in extensions(members)} <= set(columns)
    assert schema(MATTING).names == [name for name in columns if name in set(schema(MATTING).names)]


@pytest.mark.parametrize("name", ["", "soft_alpha", "a.b", "Trust", "trust map", "../x"])
def test_names_that_readers_would_take_apart_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters and digits"):
        Member(name, 1, "A test.")


def test_of_the_pictures_of_a_sample_each_member_takes_its_own(made: Path) -> None:
    stored = stored_in(made)[KEY]
    sample = sample_of(stored)
    taken: Mapping[str, Any] = {member.name: member.pixels(sample) for member in MEMBERS}
    assert all(np.array_equal(taken[name], stored.pictures[name]) for name in ("rgb", "alpha", "fg", "sure"))
    assert Member("depth", 1, "Not there.").pixels(sample) is None


@pytest.mark.parametrize(
    "names", [("rgb", "alpha"), ("rgb", "alpha", "fg", "fg"), (), ("rgb", "alpha", "fg", *map(str, range(40)))]
)
def test_a_plan_whose_samples_lack_what_every_reader_needs_is_refused(names: tuple[str, ...]) -> None:
    members = tuple(Member(name, 1 if name == "alpha" else 3, "") for name in names)
    with pytest.raises(ValueError, match="each once, rgb, alpha, fg among them"):
        replace(small_plan(), members=members)


def test_an_alpha_in_colour_is_refused() -> None:
    members = tuple(Member(member.name, 3, "") for member in MATTING)
    with pytest.raises(ValueError, match="each once, rgb, alpha, fg among them"):
        replace(small_plan(), members=members)
