"""Shards are read unchanged by webdataset, wids, Hugging Face datasets and Ray Data; DALI's index is right."""

import io
import re
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_set import make_shards, small_plan

from factory.shards.finalise import finalise
from factory.shards.layout import Layout
from factory.shards.reader import Stored, read_samples


@pytest.fixture(scope="module")
def stored(finished_set: Path) -> Mapping[str, Stored]:
    """The training split as our own reader sees it."""
    return {sample.key: sample for sample in read_samples(finished_set, "train")}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Loaders keep to this machine and leave nothing outside the test's folder."""
    import datasets

    monkeypatch.setenv("WIDS_CACHE", str(tmp_path / "wids"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def assert_same(sample: Stored, rgb: Any, alpha: Any, meta: Mapping[str, Any]) -> None:
    """A reader's pictures and JSON are those that we stored."""
    assert np.array_equal(np.asarray(rgb), sample.rgb)
    assert np.array_equal(np.asarray(alpha), sample.alpha)
    assert dict(meta) == sample.meta


def python_of(card: Path, library: str) -> str:
    """The card's snippet for one library."""
    snippets = re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [snippet for snippet in snippets if library in snippet]
    return str(found)


def test_webdataset_reads_pictures_alpha_and_json(finished_set: Path, stored: Mapping[str, Stored]) -> None:
    import webdataset as wds

    def grey(data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data))

    tars = sorted(str(path) for path in (finished_set / "data").glob("train-*.tar"))
    data = wds.WebDataset(tars, shardshuffle=False).decode(wds.handle_extension("alpha.png", grey), "pil")
    seen = 0
    for sample in data:
        assert_same(stored[sample["__key__"]], sample["rgb.png"], sample["alpha.png"], sample["json"])
        seen += 1
    assert seen == len(stored) == 22


@pytest.mark.usefixtures("offline")
def test_wids_reads_any_sample_by_its_number(finished_set: Path, stored: Mapping[str, Stored]) -> None:
    import wids

    data = wids.ShardListDataset(str(finished_set / "shardindex.json"), keep=True)
    keys = sorted(stored)
    assert len(data) == len(keys)
    for number in (21, 0, 9):
        sample = data[number]
        assert sample["__key__"] == keys[number]
        assert_same(stored[keys[number]], sample[".rgb.png"], sample[".alpha.png"], sample[".json"])


@pytest.mark.usefixtures("offline")
def test_wids_keeps_the_validation_split_apart(finished_set: Path) -> None:
    import wids

    data = wids.ShardListDataset(str(finished_set / "shardindex-validation.json"), keep=True)
    assert [data[number]["__key__"][:6] for number in range(len(data))] == ["000003"] * 6


@pytest.mark.usefixtures("offline")
def test_hugging_face_loads_the_folder_by_its_card(finished_set: Path, stored: Mapping[str, Stored]) -> None:
    from datasets import load_dataset

    data = load_dataset(str(finished_set))
    assert {split: len(rows) for split, rows in data.items()} == {"train": 22, "validation": 6}
    for row in data["train"]:
        assert row["alpha.png"].mode == "L"
        assert_same(stored[row["__key__"]], row["rgb.png"], row["alpha.png"], row["json"])


@pytest.mark.usefixtures("offline")
def test_hugging_face_streams_the_folder(finished_set: Path, stored: Mapping[str, Stored]) -> None:
    from datasets import load_dataset

    keys = []
    for row in load_dataset(str(finished_set), split="train", streaming=True):
        assert_same(stored[row["__key__"]], row["rgb.png"], row["alpha.png"], row["json"])
        keys.append(row["__key__"])
    assert keys == sorted(stored)


@pytest.mark.usefixtures("offline")
def test_hugging_face_infers_the_same_columns_as_the_card_declares(finished_set: Path) -> None:
    from datasets import load_dataset

    declared = load_dataset(str(finished_set), split="train", streaming=True).features
    tars = str(finished_set / "data" / "train-*.tar")
    inferred = load_dataset("webdataset", data_files={"train": tars}, split="train", streaming=True)
    row = next(iter(inferred))
    assert set(row) == set(declared)
    assert set(row["json"]) == set(declared["json"])
    assert inferred._resolve_features().features["json"] == declared["json"]


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_session")
def test_ray_data_reads_the_whole_folder(finished_set: Path) -> None:
    import ray

    rows = ray.data.read_webdataset(str(finished_set / "data"), shuffle=None).take_all()
    every = {s.key: s for split in ("train", "validation") for s in read_samples(finished_set, split)}
    assert sorted(row["__key__"] for row in rows) == sorted(every)
    for row in rows:
        assert_same(every[row["__key__"]], row["rgb.png"], row["alpha.png"], row["json"])


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("ray_session")
def test_the_cards_ray_snippet_runs(finished_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished_set)
    names: dict[str, Any] = {}
    exec(python_of(finished_set / "README.md", "ray.data"), names)
    assert names["data"].count() == 28


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("library", "result"), [("import webdataset", "matte"), ("wids", "data"), ("load_dataset", "data")]
)
def test_the_cards_snippets_run(finished_set: Path, library: str, result: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished_set)
    names: dict[str, Any] = {}
    exec(python_of(finished_set / "README.md", library), names)
    assert len(names[result]) == (48 if result == "matte" else 22)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("library", ["wids", "load_dataset"])
def test_two_sets_of_one_name_are_told_apart_in_one_cache(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a set that was made again in its place is not the old one."""
    for folder, seed in (("first", 1), ("second", 2), ("first", 3)):
        root = tmp_path / folder / "set"
        shutil.rmtree(root, ignore_errors=True)
        finalise(Layout(root), make_shards(root, replace(small_plan(slots=4), seed=seed), range(2)))
        names: dict[str, Any] = {}
        monkeypatch.chdir(root)
        exec(python_of(root / "README.md", library), names)
        seen = [row[".json" if library == "wids" else "json"]["seed"] for row in names["data"]]
        assert seen == [sample.meta["seed"] for sample in read_samples(root, "train")]


def test_the_dali_index_has_the_offsets_that_tarfile_finds(finished_set: Path) -> None:
    for tar in sorted((finished_set / "data").glob("*.tar")):
        version, *lines = (finished_set / "index" / f"{tar.stem}.idx").read_text().splitlines()
        with tarfile.open(tar) as archive:
            found = [(info.name.partition(".")[2], info.offset_data, info.size, info.name) for info in archive]
        listed = []
        for line in lines:
            fields = line.split(" ")
            listed += [(fields[i], int(fields[i + 1]), int(fields[i + 2]), fields[i + 3]) for i in range(0, 16, 4)]
        assert version == f"v1.2 {len(lines)}"
        assert listed == found


def test_any_member_is_one_range_read_away(finished_set: Path, stored: Mapping[str, Stored]) -> None:
    rows = pq.read_table(finished_set / "manifest.parquet").to_pylist()
    for row in rows:
        if row["status"] == "accepted" and row["split"] == "train":
            with (finished_set / "data" / f"train-{row['shard']:06d}.tar").open("rb") as file:
                file.seek(row["rgb_png_offset"])
                picture = Image.open(io.BytesIO(file.read(row["rgb_png_size"])))
            assert np.array_equal(np.asarray(picture), stored[row["key"]].rgb)


def test_plain_tar_unpacks_a_shard(finished_set: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(finished_set / "data" / "train-000000.tar", tmp_path, filter="data")
    assert len(list(tmp_path.iterdir())) == 8 * 4
