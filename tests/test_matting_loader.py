"""The matting loader: what an item is, in which order items come, and what may be wrong with sets and backgrounds."""

import logging
import multiprocessing
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import small_set
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from small_set import make_shards, small_plan
from torch.utils.data import DataLoader

import factory
from factory.errors import UsageError
from factory.matting import EpochOrder, Item, LoaderSettings, MattingData, SetEntry
from factory.matting.data.cache import MARKER, Cache
from factory.matting.data.motion import MattingClips
from factory.matting.data.order import SHARDS_AT_ONCE, Ranked, epoch_order
from factory.matting.data.trimaps import banded_trimap
from factory.matting.data.windows import seen, seen_colours, square_window, window_at
from factory.sample import Request, Sample

CROP = 64
PICTURES = ("image", "trimap", "alpha", "foreground", "background")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three backgrounds: fewer than samples, of three sizes."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for number, size in enumerate(((40, 60), (100, 80), (70, 70))):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (*size, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def common(finished_set: Path, photographs: Path) -> LoaderSettings:
    return LoaderSettings((SetEntry(str(finished_set)),), backgrounds=str(photographs), crop=CROP)


def assert_same(one: Any, other: Any) -> None:
    assert one["key"] == other["key"]
    for name in (*PICTURES, "weight"):
        assert torch.equal(one[name], other[name]), name


def one_set(root: Path, slots: int = 3, **changes: Any) -> Path:
    """A set of a few samples, committed and not finalised.  changes: of each sample's fields."""

    def draw(request: Request) -> Sample:
        drawn = small_set_draw(replace(request, attempt=1))
        assert isinstance(drawn, Sample)
        return replace(drawn, request=request, **changes)

    small_set_draw = small_set.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_set, "draw", draw)
        make_shards(root, small_plan(slots, 0), range(small_plan(slots, 0).shards))
    return root


# What an item is


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(epoch=st.integers(0, 5), position=st.integers(0, 21), recipe=st.sampled_from(["indexnet", "vitmatte"]))
def test_the_image_is_the_composite_of_what_is_yielded(
    common: LoaderSettings, epoch: int, position: int, recipe: Any
) -> None:
    item = MattingData(replace(common, recipe=recipe, two_foregrounds=0.5), seed=1)[epoch, position]
    alpha = item["alpha"]
    expected = alpha * item["foreground"] + (1 - alpha) * item["background"]
    torch.testing.assert_close(item["image"], expected, atol=1e-6, rtol=0)
    for name in PICTURES:
        picture = item[name]  # type: ignore[literal-required]
        assert picture.shape == (1 if name in {"alpha", "trimap"} else 3, CROP, CROP)
        assert picture.dtype == torch.float32
        assert 0 <= picture.min() <= picture.max() <= 1 + 1e-6
    trimap = item["trimap"]
    assert set(trimap.unique().tolist()) <= {0.0, 0.5, 1.0}
    assert (trimap == 0.5).any(), "nothing to learn"
    assert (alpha[trimap == 1] == 1).all()
    assert (alpha[trimap == 0] == 0).all()
    assert 0 < item["weight"] <= 1


def test_users_bands_decide_the_trimap(common: LoaderSettings) -> None:
    narrow, wide = (
        MattingData(replace(common, inside=(w, w), outside=(w, w)), seed=1)[0, 0]["trimap"] for w in (1, 12)
    )
    assert (wide[narrow == 0.5] == 0.5).all()
    assert (wide == 0.5).sum() > 1.5 * (narrow == 0.5).sum()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_band_has_its_euclidean_width(data: st.DataObject) -> None:
    side = 9
    levels = data.draw(st.lists(st.sampled_from([0.0, 0.0, 0.5, 1.0, 1.0]), min_size=side**2, max_size=side**2))
    inside, outside = data.draw(st.floats(1, 4)), data.draw(st.floats(1, 4))
    alpha = np.array(levels, np.float32).reshape(side, side)
    places = np.argwhere(np.ones_like(alpha))
    between = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    flat = alpha.ravel()
    expected = np.full(side**2, 0.5)
    for level, width in ((1, inside), (0, outside)):
        nearest = np.where(flat != level, between, np.inf).min(1)
        expected[(flat == level) & (nearest > width)] = level
    np.testing.assert_array_equal(banded_trimap(alpha, inside, outside).ravel(), expected)


def test_a_second_object_adds_to_the_first(common: LoaderSettings) -> None:
    alone = MattingData(replace(common, two_foregrounds=0.0), seed=4)
    both = MattingData(replace(common, two_foregrounds=1.0), seed=4)
    more = [both[0, at]["alpha"] - alone[0, at]["alpha"] for at in range(6)]
    assert all((each > -1e-6).all() for each in more)
    assert sum(bool((each > 0.1).any()) for each in more) >= 4


def test_with_a_screen_objects_stand_on_what_they_are_stored_on(finished_set: Path) -> None:
    item = MattingData(LoaderSettings((SetEntry(str(finished_set)),), screen=True, crop=CROP))[0, 3]
    assert torch.equal(item["background"], torch.tensor([0.0, 1.0, 0.0])[:, None, None].expand(3, CROP, CROP))


@pytest.mark.parametrize("plate", [b"[[0,0,0,0,0,0]]", b"[[NaN,0,0,0,0,0],[0,0,0,0,0,0],[0,0,0,0,0,0]]", b"7"])
def test_a_screen_that_is_none_is_the_samples_fault(plate: bytes, tmp_path: Path, common: LoaderSettings) -> None:
    odd = one_set(tmp_path / "odd")
    for tar in (odd / "data").iterdir():
        body = tar.read_bytes()
        tar.write_bytes(re.sub(rb"(?<=\"plate\":)\[\[.*?\]\]", lambda was: plate.ljust(len(was[0])), body))
    data = MattingData(LoaderSettings((*common.sets, SetEntry(str(odd))), screen=True, crop=CROP))
    keys = {data[0, at]["key"] for at in range(len(data))}
    assert not any(key.startswith("odd/") for key in keys)
    assert len(data.stock.unusable) == 3


# Windows


def test_a_square_of_its_own_size_is_seen_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    np.testing.assert_array_equal(seen(picture, square_window(7, 3, 32, False, 32)), picture[3:35, 7:39])
    np.testing.assert_array_equal(seen(picture, square_window(7, 3, 32, True, 32)), picture[3:35, 7:39][:, ::-1])
    turned = seen(picture, window_at((22.5, 18.5), 32, np.array([[0.0, -1.0], [1.0, 0.0]])))
    np.testing.assert_array_equal(turned, np.rot90(picture[3:35, 7:39]))


def test_a_widened_window_shows_the_same_and_more() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8), (0, 0), 4)
    window = square_window(20, 20, 48, False, 32)
    wide = seen(picture, window.widened(6))
    assert np.abs(wide[6:-6, 6:-6].astype(int) - seen(picture, window)).max() <= 2


def test_shrinking_averages_what_is_seen_of_the_object() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (64, 64, 3), np.uint8)
    alpha = rng.choice(np.array([0, 128, 255], np.uint8), (64, 64))
    window = square_window(0, 0, 64, False, 32)
    seen_alpha = seen(alpha.astype(np.float32), window)[..., None] / 255
    premultiplied = seen(colours * (alpha[..., None].astype(np.float32) / 255), window)
    assert np.abs(seen_colours(colours, alpha, window) * seen_alpha - premultiplied).max() < 1.5


# The order


def test_an_item_is_the_same_for_any_number_of_workers(common: LoaderSettings) -> None:
    data = MattingData(replace(common, recipe="vitmatte"), seed=2)

    def keep(workers: int) -> list[Item]:
        return list(DataLoader(data, 4, sampler=EpochOrder(data, epochs=1), num_workers=workers))

    alone, many = keep(0), keep(2)
    assert len(alone) == 6
    for one, other in zip(alone, many, strict=True):
        assert_same(one, other)


@pytest.mark.slow
def test_spawned_workers_make_the_same_items(common: LoaderSettings) -> None:
    data = MattingData(common, seed=2)
    order = EpochOrder(data, epochs=1)
    loader = DataLoader(data, 8, sampler=order, num_workers=1, multiprocessing_context="spawn")
    for one, other in zip(loader, DataLoader(data, 8, sampler=order), strict=True):
        assert_same(one, other)


def test_epochs_and_seeds_differ(common: LoaderSettings) -> None:
    data = MattingData(common, seed=2)
    first, again = ([data[epoch, at]["key"] for at in range(len(data))] for epoch in (0, 1))
    assert sorted(first) == sorted(again)
    assert first != again
    assert not torch.equal(data[0, 0]["image"], MattingData(common, seed=3)[0, 0]["image"])


@settings(deadline=None)
@given(length=st.integers(1, 30), start=st.integers(0, 70), ranks=st.integers(1, 3))
def test_an_order_goes_on_in_the_middle_of_an_epoch(length: int, start: int, ranks: int) -> None:
    whole = list(EpochOrder(range(length), epochs=3))
    assert list(EpochOrder(range(length), start, 3)) == whole[start:]
    dealt = [list(EpochOrder(range(length), start, 3, rank, ranks)) for rank in range(ranks)]
    assert sorted(pair for own in dealt for pair in own) == whole[start:]
    assert len(EpochOrder(range(length), start, 3)) == len(whole[start:])


@settings(deadline=None)
@given(
    shares=st.lists(st.floats(0.1, 10), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 40), min_size=4, max_size=4),
    length=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_each_set_comes_as_often_as_its_share_says(
    shares: list[float], sizes: list[int], length: int, seed: int
) -> None:
    sets = [
        Ranked(share, np.zeros(size, np.int32), np.ones(size, np.float32))
        for share, size in zip(shares, sizes, strict=False)
    ]
    order = epoch_order(sets, length, seed, 0)
    ends = np.cumsum([len(each.shards) for each in sets])
    counts = np.bincount(np.searchsorted(ends, order, side="right"), minlength=len(sets))
    expected = length * np.array(shares) / sum(shares)
    assert (np.abs(counts - expected) < 1 + 1e-6).all()


@settings(deadline=None)
@given(weights=st.lists(st.floats(0.0625, 1, width=32), min_size=1, max_size=50), seed=st.integers(0, 99))
def test_samples_are_drawn_as_their_labels_are_trusted(weights: list[float], seed: int) -> None:
    one = Ranked(1.0, np.zeros(len(weights), np.int32), np.array(weights, np.float32))
    counts = np.bincount(epoch_order([one], 500, seed, 0), minlength=len(weights))
    assert (np.abs(counts - 500 * np.array(weights) / sum(weights)) < 1 + 1e-3).all()


def test_samples_of_a_shard_are_read_near_each_other() -> None:
    shards = np.repeat(np.arange(100, dtype=np.int32), 50)
    order = epoch_order([Ranked(1.0, shards, np.ones(5000, np.float32))], 5000, 1, 0)
    assert sorted(order) == list(range(5000)), "each once"
    at_once = [len(set(shards[order[begin : begin + 400]])) for begin in range(0, 5000, 400)]
    assert max(at_once) <= 2 * SHARDS_AT_ONCE
    assert (np.diff(order[:400]) != 1).mean() > 0.9, "shuffled among each other"


# What may be wrong with sets


def test_a_set_of_one_sample_is_enough(tmp_path: Path, common: LoaderSettings) -> None:
    lonely = replace(common, sets=(SetEntry(str(one_set(tmp_path / "one", 1))),), two_foregrounds=1.0)
    data = MattingData(lonely)
    assert [data[epoch, 0]["key"] for epoch in range(3)] == ["one/0000000000"] * 3
    assert not torch.equal(data[0, 0]["image"], data[1, 0]["image"])


def test_a_damaged_sample_is_named_once_and_the_next_stands_in(
    root: Path, common: LoaderSettings, caplog: pytest.LogCaptureFixture
) -> None:
    samples = factory.open(root).split("train")
    key = samples.keys[5]
    row = next(
        row
        for row in pq.read_table(root / "manifest.parquet").to_pylist()
        if row["key"] == key and row["status"] == "accepted"
    )
    tar = root / "data" / f"{row['split']}-{row['shard']:06d}.tar"
    body = bytearray(tar.read_bytes())
    body[row["fg_png_offset"] + 60 : row["fg_png_offset"] + 90] = bytes(30)
    tar.write_bytes(body)
    data = MattingData(replace(common, sets=(SetEntry(str(root)),)))
    with caplog.at_level(logging.WARNING):
        keys = Counter(data[epoch, at]["key"] for epoch in range(2) for at in range(len(data)))
    assert len(keys) == 21
    assert sum(keys.values()) == 44
    assert data.stock.unusable == [f"set/{key}"]
    assert sum(key in line for line in caplog.messages) == 1


def test_what_workers_find_broken_is_known_outside(root: Path, common: LoaderSettings) -> None:
    for tar in sorted((root / "data").glob("train-*"))[:1]:
        tar.write_bytes(bytes(tar.stat().st_size))
    data = MattingData(replace(common, sets=(SetEntry(str(root)),)))
    for _ in DataLoader(data, 4, sampler=EpochOrder(data, epochs=1), num_workers=2):
        pass
    assert {key.split("/")[1][:6] for key in data.stock.unusable} == {"000000"}
    assert len(data.stock.unusable) == 8


def test_two_sets_with_the_same_keys_stay_apart(tmp_path: Path, common: LoaderSettings) -> None:
    black = np.zeros((small_set.SIZE, small_set.SIZE, 3), np.uint8)
    plain, dark = one_set(tmp_path / "a/set"), one_set(tmp_path / "b/set", foreground=black)
    data = MattingData(
        replace(common, sets=(SetEntry(str(plain)), SetEntry(str(dark))), cache=str(tmp_path / "cache")), seed=1
    )
    for epoch in (0, 1):
        items = [data[epoch, at] for at in range(len(data))]
        assert len({item["key"] for item in items}) == 6
        for item in items:
            assert (item["foreground"].max() == 0) == item["key"].startswith(str(dark))


def test_sets_of_two_sizes_and_smaller_than_the_crop_mix(
    tmp_path: Path, common: LoaderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = one_set(tmp_path / "small")
    monkeypatch.setattr(small_set, "SIZE", 150)
    large = one_set(tmp_path / "large")
    data = MattingData(replace(common, sets=(SetEntry(str(small)), SetEntry(str(large)))))
    batch = next(iter(DataLoader(data, 6, sampler=EpochOrder(data))))
    assert batch["image"].shape == (6, 3, CROP, CROP)
    assert {key.split("/")[0] for key in batch["key"]} == {"small", "large"}


def test_binary_masks_come_only_if_asked_for(tmp_path: Path, common: LoaderSettings) -> None:
    origin = replace(small_set.draw(Request(key="", slot=0, attempt=1, seed=0)).origin, soft_alpha=False)  # type: ignore[union-attr]
    hard = replace(common, sets=(SetEntry(str(one_set(tmp_path / "hard", origin=origin))),))
    with pytest.raises(UsageError, match="binary: true"):
        MattingData(hard)
    assert len(MattingData(replace(hard, binary=True))) == 3


def test_a_matte_that_is_the_same_everywhere_is_passed_over(tmp_path: Path, common: LoaderSettings) -> None:
    full = np.full((small_set.SIZE, small_set.SIZE), 255, np.uint8)
    solid = SetEntry(str(one_set(tmp_path / "solid", alpha=full)))
    data = MattingData(replace(common, sets=(*common.sets, solid)), seed=1)
    keys = {data[0, at]["key"] for at in range(len(data))}
    assert not any(key.startswith("solid/") for key in keys)
    assert all(key.startswith("solid/") for key in data.stock.unusable)
    with pytest.raises(UsageError, match="factory verify"):
        MattingData(replace(common, sets=(solid,)))[0, 0]


# Backgrounds


def test_backgrounds_of_any_kind_are_read_and_broken_ones_named_once(
    tmp_path: Path, common: LoaderSettings, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("L", (50, 40), 100).save(tmp_path / "grey.png")
    Image.new("CMYK", (50, 40), (0, 255, 255, 0)).save(tmp_path / "ink.jpg")
    (tmp_path / "broken.png").write_bytes((tmp_path / "grey.png").read_bytes()[:60])
    data = MattingData(replace(common, backgrounds=str(tmp_path)))
    with caplog.at_level(logging.WARNING):
        colours = {
            tuple((item["background"].amax((1, 2)) * 255).round().int().tolist())
            for item in (data[0, at] for at in range(len(data)))
        }
    assert (100, 100, 100) in colours
    assert any(red > 200 and green < 60 for red, green, _ in colours)
    assert len(colours) == 2
    assert data.stock.broken_backgrounds == ["broken.png"]
    assert sum("broken.png" in line for line in caplog.messages) == 1


def test_backgrounds_that_are_none_are_refused(tmp_path: Path, finished_set: Path, common: LoaderSettings) -> None:
    for folder, words in ((tmp_path, "no picture"), (tmp_path / "absent", "no picture"), (finished_set, "data set")):
        with pytest.raises(UsageError, match=words):
            MattingData(replace(common, backgrounds=str(folder)))
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no background"):
        MattingData(replace(common, backgrounds=str(tmp_path)))[0, 0]


# The cache


def test_items_are_the_same_from_the_cache(tmp_path: Path, common: LoaderSettings) -> None:
    plain = MattingData(common, seed=1)
    cached = MattingData(replace(common, cache=str(tmp_path / "cache")), seed=1)
    for _ in range(2):
        for at in range(4):
            assert_same(cached[0, at], plain[0, at])


def test_a_file_that_is_not_whole_is_made_again(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path / "cache"), []
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)

    def make() -> tuple[NDArray[np.uint8], ...]:
        made.append(1)
        return picture, picture[..., None]

    for damage in (None, b"", b"some other file", "half", "zeros"):
        for path in (tmp_path / "cache").glob("*/*.pixels"):
            whole = path.read_bytes()
            if damage is not None:
                path.write_bytes({"half": whole[:-5], "zeros": bytes(len(whole))}.get(damage, damage))  # type: ignore[arg-type, call-overload]
        for _ in range(2):
            one, other = cache.get("a name", make)
            np.testing.assert_array_equal(one, picture)
            assert other.shape == (3, 4, 1)
    assert len(made) == 5


def fill(settings: LoaderSettings) -> None:
    """What a child process runs."""
    data = MattingData(settings, seed=1)
    for at in range(len(data)):
        data[0, at]


def test_a_cache_killed_while_it_is_filled_serves_the_same_items(tmp_path: Path, common: LoaderSettings) -> None:
    cached = replace(common, cache=str(tmp_path / "cache"))
    child = multiprocessing.get_context("fork").Process(target=fill, args=(cached,))
    child.start()
    assert child.pid is not None
    while len(list((tmp_path / "cache").glob("*/*.pixels"))) < 3:
        assert child.is_alive()
    child.kill()
    child.join()
    plain, data = MattingData(common, seed=1), MattingData(cached, seed=1)
    for at in range(len(plain)):
        assert_same(data[0, at], plain[0, at])


def test_a_cache_killed_at_its_beginning_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / f"{MARKER}.1234.tmp").write_bytes(b"Deco")
    Cache(tmp_path)
    assert (tmp_path / MARKER).exists()


def test_caches_that_begin_at_once_share_a_folder(tmp_path: Path) -> None:
    picture = (np.arange(12, dtype=np.uint8).reshape(3, 4),)

    def begin(number: int) -> None:
        for at in range(20):
            np.testing.assert_array_equal(
                Cache(tmp_path / str(at)).get(f"{number % 2}", lambda: picture)[0], picture[0]
            )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(begin, range(4)))


def test_a_background_that_goes_away_is_passed_over(tmp_path: Path, photographs: Path, common: LoaderSettings) -> None:
    folder = Path(shutil.copytree(photographs, tmp_path / "photographs"))
    for cache in (None, str(tmp_path / "cache")):
        data = MattingData(replace(common, backgrounds=str(folder), cache=cache))
        (folder / "1.png").rename(tmp_path / "1.png")
        for at in range(len(data)):
            data[0, at]
        assert data.stock.broken_backgrounds == ["1.png"]
        (tmp_path / "1.png").rename(folder / "1.png")


def test_a_folder_with_other_files_is_no_cache(tmp_path: Path, common: LoaderSettings) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="other files"):
        MattingData(replace(common, cache=str(tmp_path)))
    assert not (tmp_path / MARKER).exists()


# Clips


def test_a_clip_moves_and_is_made_of_what_is_yielded(common: LoaderSettings) -> None:
    data = MattingClips(replace(common, recipe="vitmatte"), frames=5, seed=1)
    clip = data[0, 2]
    assert_same(clip, data[0, 2])
    assert clip["image"].shape == (5, 3, CROP, CROP)
    alpha = clip["alpha"]
    expected = alpha * clip["foreground"] + (1 - alpha) * clip["background"]
    torch.testing.assert_close(clip["image"], expected, atol=1e-6, rtol=0)
    assert (clip["alpha"][clip["trimap"] == 1] == 1).all()
    ends = (clip["alpha"][0] - clip["alpha"][-1]).abs().mean()
    steps = [(alpha[at] - alpha[at + 1]).abs().mean() for at in range(4)]
    assert ends > 0.01, "it moves"
    assert max(steps) < ends * 1.01, "and is nowhere as far as from its begin"


# What is asked


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sets": ()}, "at least one set"),
        ({"sets": (SetEntry("there", share=0.0),)}, "share of there is 0"),
        ({"crop": 100}, "multiple of 32"),
        ({"backgrounds": None}, "neither"),
        ({"screen": True}, "both"),
        ({"inside": (5, 2)}, "inside is 5..2"),
        ({"two_foregrounds": 1.5}, "a probability"),
        ({"length": -1}, "length is -1"),
        ({"sets": (SetEntry("nowhere"),)}, "no data set"),
    ],
)
def test_a_mistake_is_told_before_anything_is_read(common: LoaderSettings, changes: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        MattingData(replace(common, **changes))


def test_a_loader_needs_no_ray_and_no_diffusers() -> None:
    program = "import sys; from factory.matting import MattingData, EpochOrder, SetEntry\n"
    program += "print([name for name in ('ray', 'diffusers', 'transformers', 'webdataset') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_set_that_moved_is_the_same_material(tmp_path: Path, finished_set: Path, common: LoaderSettings) -> None:
    moved = Path(shutil.copytree(finished_set, tmp_path / finished_set.name))
    here, there = MattingData(common), MattingData(replace(common, sets=(SetEntry(str(moved)),)))
    assert_same(here[0, 1], there[0, 1])
