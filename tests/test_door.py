"""`factory.open`: a data set as a sequence of arrays, and as a stream of tensors."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_set import SIZE, make_shards, small_plan

import factory
from factory.errors import DataError, UsageError
from factory.shards.data_set import DataSet
from factory.shards.layout import Layout
from factory.shards.lookup import find
from factory.shards.reader import Stored, read_samples

BOUNDS = st.none() | st.integers(-40, 40)


@pytest.fixture(scope="module")
def samples(finished_set: Path) -> DataSet:
    """22 samples to train on in three shards, then 6 to validate."""
    return factory.open(finished_set)


def assert_same(one: Stored, other: Stored) -> None:
    assert (one.key, one.meta) == (other.key, other.meta)
    for picture, expected in ((one.rgb, other.rgb), (one.alpha, other.alpha), (one.foreground, other.foreground)):
        np.testing.assert_array_equal(picture, expected)


def test_opening_needs_nothing_heavy_and_pydoc_tells_how() -> None:
    code = "import sys, factory; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "pyarrow", "cv2", "torch", "webdataset"} & set(eval(loaded))
    told = subprocess.run([sys.executable, "-m", "pydoc", "factory"], capture_output=True, text=True, check=True).stdout
    assert 'samples = factory.open("runs/objects")' in told
    assert "open(folder" in told
    assert factory.__version__ in told


def test_iterating_gives_what_the_tars_hold_in_key_order(samples: DataSet, finished_set: Path) -> None:
    stored = [*read_samples(finished_set, "train"), *read_samples(finished_set, "validation")]
    assert len(samples) == 28
    assert samples.keys == tuple(sample.key for sample in stored) == tuple(sorted(samples.keys))
    for got, by_position, expected in zip(samples, map(samples.__getitem__, range(28)), stored, strict=True):
        assert_same(got, expected)
        assert_same(by_position, expected)
        assert_same(samples[expected.key], expected)
    assert samples[-1].key == samples[27].key == samples.keys[-1]


def test_a_sample_is_arrays_of_the_promised_shapes(samples: DataSet) -> None:
    sample = samples[0]
    assert sample.rgb.shape == sample.foreground.shape == (SIZE, SIZE, 3)
    assert sample.alpha.shape == (SIZE, SIZE)
    assert {picture.dtype for picture in sample.pictures.values()} == {np.dtype(np.uint8)}
    assert sample.meta["key"] == sample.key == "0000000000"


@settings(deadline=None)
@given(
    st.builds(slice, BOUNDS, BOUNDS, st.none() | st.integers(-5, 5).filter(bool)),
    BOUNDS.filter(lambda n: n is not None),
)
def test_any_slice_of_the_set_is_that_slice_of_its_keys(samples: DataSet, part: slice, position: int) -> None:
    view, keys = samples[part], samples.keys[part]
    assert view.keys == keys
    assert len(view) == len(keys)
    assert view[part].keys == keys[part], "views of views as well"
    assert view.manifest["key"].to_pylist() == list(keys)
    if -len(keys) <= position < len(keys):
        assert view[position].key == keys[position]
    else:
        with pytest.raises(IndexError, match=rf"no sample {position}: this <view of {len(keys)} samples"):
            view[position]


@given(st.lists(st.booleans(), min_size=28, max_size=28))
def test_a_mask_keeps_just_its_samples(samples: DataSet, mask: list[bool]) -> None:
    kept = samples.where(mask)
    assert kept.keys == tuple(key for key, keep in zip(samples.keys, mask, strict=True) if keep)
    assert [sample.key for sample in kept[::-1][:3]] == list(kept.keys[::-1][:3])
    assert [key in kept for key in samples.keys] == mask


def test_an_expression_filters_by_the_manifests_columns(samples: DataSet) -> None:
    coverage = samples.manifest["coverage"].to_numpy()
    limit = float(np.median(coverage))
    wide = samples.where(pc.field("coverage") > limit)
    assert wide.keys == samples.where(coverage > limit).keys
    assert 0 < len(wide) < 28
    assert all(sample.meta["scores"]["coverage"] > limit for sample in wide)
    assert wide.where(pc.field("coverage") <= limit).keys == ()
    assert samples[::-1].where(pc.field("coverage") > limit).keys == wide.keys[::-1]


def test_splits_are_views(samples: DataSet, finished_set: Path) -> None:
    assert samples.splits == {"train": 22, "validation": 6}
    validation = samples.split("validation")
    assert validation.keys == tuple(sample.key for sample in read_samples(finished_set, "validation"))
    assert validation.splits == {"validation": 6}
    with pytest.raises(UsageError, match=r"no accepted sample of a split 'val' here: it has train and validation"):
        samples.split("val")
    with pytest.raises(UsageError, match="it has validation"):
        validation.split("train")


def test_the_manifest_has_the_accepted_rows_and_attempts_has_all(samples: DataSet, finished_set: Path) -> None:
    every = pq.read_table(finished_set / "manifest.parquet")
    assert samples.attempts.equals(every)
    assert samples.manifest.equals(every.filter(pc.field("status") == "accepted"))
    assert samples[5:2:-1].manifest["key"].to_pylist() == list(samples.keys[5:2:-1])


def test_unfinished_sets_show_their_committed_shards(tmp_path: Path) -> None:
    plan = small_plan()
    with pytest.raises(UsageError, match="is no data set made by factory"):
        factory.open(tmp_path / "set")
    make_shards(tmp_path / "set", plan, [3, 0])
    make_shards(tmp_path / "set", plan, [1])
    Layout(tmp_path / "set").commit(1).unlink()
    samples = factory.open(tmp_path / "set")
    assert samples.splits == {"train": 8, "validation": 6}
    assert [sample.key for sample in samples] == list(samples.keys) == sorted(samples.keys)
    assert set(samples.attempts["shard"].to_pylist()) == {0, 3}
    make_shards(tmp_path / "set", plan, [1])
    assert len(samples) == samples.manifest.num_rows == 14, "what was looked at stays as it was"
    assert len(factory.open(tmp_path / "set")) == 22


def test_a_set_without_a_sample_is_empty_and_says_so(tmp_path: Path) -> None:
    make_shards(tmp_path / "set", small_plan(), [])
    samples = factory.open(tmp_path / "set")
    assert (len(samples), samples.keys, samples.splits, list(samples)) == (0, (), {}, [])
    assert samples.manifest.num_rows == len(samples[:3]) == 0
    with pytest.raises(IndexError, match=r"no sample 0: this <set of 0 samples"):
        samples[0]
    with pytest.raises(UsageError, match="it has none"):
        samples.torch()


def test_a_set_reads_alike_from_its_parts_and_handed_on_without_them(root: Path, samples: DataSet) -> None:
    for gone in ("manifest.parquet",), ("commits", "plan.json"):
        for name in gone:
            (shutil.rmtree if (root / name).is_dir() else Path.unlink)(root / name)
        parts = factory.open(root)
        assert parts.keys == samples.keys
        assert parts.manifest.equals(samples.manifest.drop_columns("duplicate_of"))
        assert_same(parts[20], samples[20])
    shutil.copy(samples.root / "manifest.parquet", root)
    shutil.rmtree(root / "manifest")
    assert factory.open(root).keys == samples.keys
    assert_same(factory.open(root)[samples.keys[9]], samples[9])


def test_a_column_that_there_is_not_is_answered_with_the_nearest(samples: DataSet) -> None:
    with pytest.raises(UsageError, match=r"no column gssg \(did you mean gsg\?\)") as error:
        samples.where(pc.field("gssg") < 2)
    assert len(str(error.value)) < 200


def test_a_folder_is_opened_by_its_place_in_the_home(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(factory.open(f"~/{root.name}")) == len(factory.open(root))


def test_a_folder_may_be_called_as_a_column(root: Path, samples: DataSet) -> None:
    moved = Path(shutil.copytree(root, root.parent / "seed=3" / "split=a b"))
    assert factory.open(str(moved)).manifest.equals(samples.manifest)
    assert_same(factory.open(moved)[samples.keys[3]], samples[3])


def test_an_unknown_key_is_answered_with_the_nearest(samples: DataSet) -> None:
    with pytest.raises(UsageError, match="0000020004, 0000020005"):
        samples["0000020009"]
    with pytest.raises(UsageError, match="10 digits"):
        samples["last"]
    with pytest.raises(UsageError, match=r"not one of this view's 4"):
        samples[4:8]["0000000000"]
    assert samples[4:8]["0000000005"].key == "0000000005"
    assert "0000020009" not in samples
    assert 3 not in samples


@pytest.mark.parametrize("wrong", [[True, False], [3, 5], np.ones((28, 1), bool)])
def test_what_is_no_mask_is_refused(samples: DataSet, wrong: Any) -> None:
    with pytest.raises(UsageError, match="has a bool for each"):
        samples.where(wrong)
    with pytest.raises(UsageError, match="cannot be read so"):
        samples.where(pc.field("sharpness") > 1)


def test_damaged_bytes_name_their_sample(root: Path) -> None:
    row = find(root, "0000010002")
    tar = Layout(root).tar(1, "train")
    whole = tar.read_bytes()
    at = {name: slice(row[f"{name}_offset"], row[f"{name}_offset"] + 30) for name in ("rgb_png", "json")}
    for content in (
        whole[: at["rgb_png"].start] + bytes(30) + whole[at["rgb_png"].stop :],
        whole[: at["json"].start] + b"[" * 30 + whole[at["json"].stop :],
        whole[: at["rgb_png"].start + 5],
    ):
        tar.write_bytes(content)
        samples = factory.open(root)
        for at in (10, "0000010002", slice(8, None)):
            with pytest.raises(DataError, match="sample 0000010002"):
                list(samples[at]) if isinstance(at, slice) else samples[at]
        assert samples[9].key == "0000010001"
    tar.unlink()
    with pytest.raises(UsageError, match="running again remakes"):
        samples[10]
    with pytest.raises(UsageError, match="running again remakes"):
        samples.torch()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("rgb_png_offset", -1), ("rgb_png_size", 2**62), ("rgb_png_offset", None), ("json_size", -5), ("shard", None),
        ("split", "../x"), ("alpha_png_offset", "rgb_png_offset"), ("alpha_png_size", 0),
    ],
)  # fmt: skip
def test_a_false_manifest_costs_a_sentence(root: Path, column: str, value: int | str | None) -> None:
    shutil.rmtree(root / "manifest")
    file = root / "manifest.parquet"
    table = pq.read_table(file)
    rows = [{**row, column: row.get(value, value)} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    for at in (0, "0000000000"):
        with pytest.raises(DataError, match="sample 0000000000"):
            factory.open(root)[at]
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(UsageError, match="cannot be read"):
        len(factory.open(root))
    with pytest.raises(UsageError, match="cannot be read"):
        _ = factory.open(root).attempts
    with pytest.raises(UsageError, match="cannot be read"):
        factory.open(root)["0000000000"]


def test_bytes_of_another_sample_are_not_taken_for_this_one(root: Path) -> None:
    shutil.copy(Layout(root).tar(1, "train"), Layout(root).tar(0, "train"))
    with pytest.raises(DataError, match="sample 000000000"):
        list(factory.open(root)[:8])


def keys_of(batches: Iterable[dict[str, Any]]) -> list[str]:
    return [key for batch in batches for key in batch["key"]]


def test_two_workers_give_each_sample_once_as_tensors(samples: DataSet) -> None:
    import torch
    from torch.utils.data import DataLoader

    loader = DataLoader(samples.torch(shuffle=5, seed=1), batch_size=4, num_workers=2, persistent_workers=True)
    batches = list(loader)
    train = samples.split("train")
    assert sorted(keys_of(batches)) == list(train.keys)
    assert sorted(keys_of(loader)) == list(train.keys), "and so does the next epoch"
    for batch in batches:
        n = len(batch["key"])
        assert batch["rgb"].shape == batch["fg"].shape == (n, 3, SIZE, SIZE)
        assert batch["alpha"].shape == (n, 1, SIZE, SIZE)
        for i, key in enumerate(batch["key"]):
            stored = samples[key]
            assert batch["caption"][i] == stored.meta["caption"]
            for name, pixels in (("rgb", stored.rgb), ("fg", stored.foreground), ("alpha", stored.alpha[..., None])):
                assert batch[name].dtype == torch.float32
                torch.testing.assert_close(batch[name][i] * 255, torch.from_numpy(pixels).permute(2, 0, 1).float())


def test_the_seed_decides_the_order_and_each_pass_has_its_own(samples: DataSet) -> None:
    def order(pipeline: Any) -> list[str]:
        return [sample["key"] for sample in pipeline]

    pipeline = samples.torch(seed=3)
    first, second = order(pipeline), order(pipeline)
    assert first == order(samples.torch(seed=3))
    assert first != second
    assert first != order(samples.torch(seed=4))
    assert order(samples.torch(shuffle=0)) == list(samples.split("train").keys)
    assert set(order(samples[3:17:4].torch())) == set(samples.keys[3:17:4]), "of a view just its own"
    assert order(samples.torch("validation", shuffle=0)) == list(samples.split("validation").keys)


def test_ranks_and_their_workers_share_the_samples(samples: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("NUM_WORKERS", "2")
    got: list[list[str]] = []
    for place in range(4):
        monkeypatch.setenv("RANK", str(place // 2))
        monkeypatch.setenv("WORKER", str(place % 2))
        got.append([sample["key"] for sample in samples.torch(seed=2)])
    assert sorted(key for keys in got for key in keys) == list(samples.split("train").keys)
    places = {tuple(key[6:] for key in keys) for keys in got if len(keys) > 6}
    assert len(places) == 2, "no two of them draw the same places of their tars"


def test_a_pipeline_travels_to_spawned_workers_and_names_what_is_damaged(root: Path) -> None:
    from torch.utils.data import DataLoader

    samples = factory.open(root)
    loader = DataLoader(samples.torch(), batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert len(list(loader)) == 22
    row = find(root, "0000010002")
    with Layout(root).tar(1, "train").open("r+b") as tar:
        tar.seek(row["rgb_png_offset"])
        tar.write(bytes(30))
    with pytest.raises(DataError, match=r"rgb\.png of sample 0000010002 is broken"):
        list(samples.torch())
