"""Public sets: every official layout is recognised, what is missing is named, benchmark images stay out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from factory.engine.input_files import look_at_files
from factory.engine.survey import Memory, Surveyor
from factory.errors import DataError, UsageError
from factory.sample import Request, Sample
from factory.sources.entry import Row
from factory.sources.files.benchmark_images import excluded, hash_images, load_hashes
from factory.sources.files.matte_pairs import MattePairs, MattePairSettings
from factory.sources.public import REGISTRY, list_pairs, public_set, row_of


@dataclass(frozen=True)
class Sketch:
    """A small copy of an official layout. `matte` is the counterpart of the first training picture.

    training, test: pictures that must be listed always, and only with include_test.
    gone: the folder whose removal must be named, "" where that is the data set's own.
    named: as what, where all of the layout goes with it.
    """

    name: str
    files: tuple[str, ...]
    training: tuple[str, ...]
    test: tuple[str, ...]
    matte: str
    gone: str
    named: str = ""


ADOBE, OTHER = "Training_set/Adobe-licensed images", "Training_set/Other"
ADOBE_TEST = "Test_set/Adobe-licensed images"

SKETCHES = (
    Sketch(
        "adobe-matting",
        (
            *(f"Combined_Dataset/{ADOBE}/{kind}/cat-1069990_1920.jpg" for kind in ("fg", "alpha")),
            *(f"Combined_Dataset/{OTHER}/{kind}/{name}.jpg" for kind in ("fg", "alpha") for name in ("GT01", "man1")),
            *(f"Combined_Dataset/{ADOBE_TEST}/{kind}/boy-1518482_1920.png" for kind in ("fg", "alpha", "trimaps")),
        ),
        (f"Combined_Dataset/{ADOBE}/fg/cat-1069990_1920.jpg", f"Combined_Dataset/{OTHER}/fg/man1.jpg"),
        (f"Combined_Dataset/{OTHER}/fg/GT01.jpg", f"Combined_Dataset/{ADOBE_TEST}/fg/boy-1518482_1920.png"),
        f"Combined_Dataset/{ADOBE}/alpha/cat-1069990_1920.jpg",
        f"Combined_Dataset/{OTHER}/alpha",
    ),
    Sketch(
        "adobe-matting",
        (
            *(f"Training_set/{kind}/GT02.jpg" for kind in ("fg", "alpha")),
            *(f"Training_set/{kind}/woman1.jpg" for kind in ("fg", "alpha", "merged")),
            *(f"Test_set/{kind}/a.png" for kind in ("fg", "alpha", "merged")),
        ),
        ("Training_set/fg/woman1.jpg",),
        ("Training_set/fg/GT02.jpg", "Test_set/fg/a.png"),
        "Training_set/alpha/woman1.jpg",
        "Training_set/alpha",
    ),
    Sketch(
        "distinctions-646",
        (
            *(f"Distinctions-646/Train/{k}/{n}.png" for k in ("FG", "GT") for n in ("13(2)", "GT27", "h_1")),
            *(f"Distinctions-646/Test/{k}/t_1.png" for k in ("FG", "GT")),
        ),
        ("Distinctions-646/Train/FG/13(2).png", "Distinctions-646/Train/FG/h_1.png"),
        ("Distinctions-646/Train/FG/GT27.png", "Distinctions-646/Test/FG/t_1.png"),
        "Distinctions-646/Train/GT/13(2).png",
        "Distinctions-646/Train/GT",
    ),
    Sketch(
        "p3m-10k",
        (
            *("train/blurred_image/p_0.jpg", "train/mask/p_0.png"),
            *(f"validation/P3M-500-P/{k}" for k in ("blurred_image/p_1.jpg", "mask/p_1.png", "trimap/p_1.png")),
            *(f"validation/P3M-500-NP/{k}" for k in ("original_image/p_2.jpg", "mask/p_2.png")),
        ),
        ("train/blurred_image/p_0.jpg",),
        ("validation/P3M-500-P/blurred_image/p_1.jpg", "validation/P3M-500-NP/original_image/p_2.jpg"),
        "train/mask/p_0.png",
        "train/mask",
    ),
    Sketch(
        "ppm-100",
        ("PPM-100/image/6146816_o.jpg", "PPM-100/matte/6146816_o.jpg"),
        (),
        ("PPM-100/image/6146816_o.jpg",),
        "PPM-100/matte/6146816_o.jpg",
        "PPM-100/matte",
    ),
    Sketch(
        "alphamatting",
        tuple(f"{kind}_training_lowres/GT01.png" for kind in ("input", "gt")),
        (),
        ("input_training_lowres/GT01.png",),
        "gt_training_lowres/GT01.png",
        "gt_training_lowres",
    ),
    Sketch(
        "am-2k",
        (
            *(f"AM-2k/train/{k}" for k in ("original/m_0a.jpg", "mask/m_0a.png", "original/m_0b.jpg", "mask/m_0b.png")),
            *(f"AM-2k/validation/{k}" for k in ("original/m_1.jpg", "mask/m_1.png", "trimap/m_1.png")),
        ),
        ("AM-2k/train/original/m_0a.jpg", "AM-2k/train/original/m_0b.jpg"),
        ("AM-2k/validation/original/m_1.jpg",),
        "AM-2k/train/mask/m_0a.png",
        "AM-2k/train/mask",
    ),
    Sketch(
        "dis5k",
        tuple(
            f"DIS5K/DIS5K/{part}/{kind}"
            for part in ("DIS-TR", "DIS-VD", "DIS-TE1", "DIS-TE4")
            for kind in ("im/1#Accessories#5#Jewelry#12_o.jpg", "gt/1#Accessories#5#Jewelry#12_o.png")
        ),
        ("DIS5K/DIS5K/DIS-TR/im/1#Accessories#5#Jewelry#12_o.jpg",),
        tuple(f"DIS5K/DIS5K/{p}/im/1#Accessories#5#Jewelry#12_o.jpg" for p in ("DIS-VD", "DIS-TE1", "DIS-TE4")),
        "DIS5K/DIS5K/DIS-TR/gt/1#Accessories#5#Jewelry#12_o.png",
        "DIS5K/DIS5K/DIS-TR/gt",
    ),
    Sketch(
        "hrsod",
        (
            *("HRSOD_release/HRSOD_train/00000.jpg", "HRSOD_release/HRSOD_train_mask/00000.png"),
            *("HRSOD_release/HRSOD_test/00001.jpg", "HRSOD_release/HRSOD_test_mask/00001.png"),
        ),
        ("HRSOD_release/HRSOD_train/00000.jpg",),
        ("HRSOD_release/HRSOD_test/00001.jpg",),
        "HRSOD_release/HRSOD_train_mask/00000.png",
        "HRSOD_release/HRSOD_train_mask",
    ),
    Sketch(
        "msra10k",
        ("MSRA10K_Imgs_GT/Imgs/147.jpg", "MSRA10K_Imgs_GT/Imgs/147.png"),
        ("MSRA10K_Imgs_GT/Imgs/147.jpg",),
        (),
        "MSRA10K_Imgs_GT/Imgs/147.png",
        "MSRA10K_Imgs_GT/Imgs",
        "Imgs",
    ),
    Sketch("msra10k", ("147.jpg", "147.png", "9.jpg", "9.png"), ("147.jpg", "9.jpg"), (), "147.png", ""),
    Sketch(
        "duts",
        (
            *("DUTS-TR/DUTS-TR-Image/n01.jpg", "DUTS-TR/DUTS-TR-Mask/n01.png"),
            *("DUTS-TE/DUTS-TE-Image/sun.jpg", "DUTS-TE/DUTS-TE-Mask/sun.png"),
        ),
        ("DUTS-TR/DUTS-TR-Image/n01.jpg",),
        ("DUTS-TE/DUTS-TE-Image/sun.jpg",),
        "DUTS-TR/DUTS-TR-Mask/n01.png",
        "DUTS-TR/DUTS-TR-Mask",
    ),
    Sketch(
        "duts",
        (
            *(f"cascade_psp/DUTS-TR/n0{i}.{k}" for i in (1, 2) for k in ("jpg", "png")),
            *("cascade_psp/DUTS-TE/s.jpg", "cascade_psp/DUTS-TE/s.png"),
        ),
        ("cascade_psp/DUTS-TR/n01.jpg", "cascade_psp/DUTS-TR/n02.jpg"),
        ("cascade_psp/DUTS-TE/s.jpg",),
        "cascade_psp/DUTS-TR/n01.png",
        "cascade_psp/DUTS-TR",
        "DUTS-TR/DUTS-TR-Image",
    ),
    Sketch(
        "thinobject-5k",
        (
            *(f"ThinObject5K/images/{n}.jpg" for n in ("air_pump_PNG1", "comb_PNG2", "key_PNG3")),
            *(f"ThinObject5K/masks/{n}.png" for n in ("air_pump_PNG1", "comb_PNG2", "key_PNG3")),
            *("ThinObject5K/list/train.txt", "ThinObject5K/list/val.txt", "ThinObject5K/list/test.txt"),
        ),
        ("ThinObject5K/images/air_pump_PNG1.jpg", "ThinObject5K/images/comb_PNG2.jpg"),
        ("ThinObject5K/images/key_PNG3.jpg",),
        "ThinObject5K/masks/air_pump_PNG1.png",
        "ThinObject5K/list",
    ),
    Sketch(
        "thinobject-5k",
        tuple(
            f"{folder}_{part}/{part}_PNG{number}.{suffix}"
            for part in ("train", "test")
            for number in (1, 2)
            for folder, suffix in (("images", "jpg"), ("masks", "png"))
        ),
        ("images_train/train_PNG1.jpg", "images_train/train_PNG2.jpg"),
        ("images_test/test_PNG1.jpg", "images_test/test_PNG2.jpg"),
        "masks_train/train_PNG1.png",
        "masks_train",
    ),
    Sketch(
        "videomatte240k",
        tuple(f"VideoMatte240K/{part}/{k}/0000.mp4" for part in ("train", "test") for k in ("fgr", "pha")),
        ("VideoMatte240K/train/fgr/0000.mp4",),
        ("VideoMatte240K/test/fgr/0000.mp4",),
        "",
        "VideoMatte240K/train/pha",
    ),
    Sketch(
        "videomatte240k-jpeg",
        tuple(
            f"VideoMatte240K_JPEG_SD/{part}/{k}/{clip}/{frame:05d}.jpg"
            for part, clips in (("train", ("0000", "0001")), ("test", ("0000",)))
            for k in ("fgr", "pha")
            for clip in clips
            for frame in range(6)
        ),
        tuple(f"VideoMatte240K_JPEG_SD/train/fgr/{c}/{f:05d}.jpg" for c in ("0000", "0001") for f in (0, 5)),
        tuple(f"VideoMatte240K_JPEG_SD/test/fgr/0000/{f:05d}.jpg" for f in (0, 5)),
        "VideoMatte240K_JPEG_SD/train/pha/0000/00000.jpg",
        "VideoMatte240K_JPEG_SD/train/pha",
    ),
    Sketch(
        "pairs",
        ("picture/red apple.jpg", "matte/red apple.png", "picture/a/élan.png", "matte/a/élan.png"),
        ("picture/a/élan.png", "picture/red apple.jpg"),
        (),
        "matte/a/élan.png",
        "matte",
    ),
)
LISTS = {"train.txt": "air_pump_PNG1.png\n", "val.txt": "comb_PNG2.png\n", "test.txt": "key_PNG3.png\n"}


def _each(*sketches: Sketch) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sketch", sketches, ids=lambda s: f"{s.name}:{s.files[0].partition('/')[0]}")


OF_PICTURES = [sketch for sketch in SKETCHES if REGISTRY[sketch.name].kind == "pictures"]


def _draw(path: Path, number: int) -> None:
    """A small picture of a disc, different for every number."""
    y, x = np.mgrid[:24, :32]
    disc = np.clip(260 - 30 * np.hypot(y - 12, x - 16), 0, 255).astype(np.uint8)
    disc[0, 0] = number
    Image.fromarray(disc).save(path, quality=95)


def _lay_out(root: Path, sketch: Sketch) -> None:
    for number, name in enumerate(sketch.files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text(LISTS[path.name])
        elif path.suffix == ".mp4":
            path.write_bytes(bytes([number]))
        else:
            _draw(path, number)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def rows(name: str, root: Path, *, include_test: bool = False) -> list[Row]:
    """As planning makes them."""
    public = public_set(name)
    pairs = [pair for pair in list_pairs(public, root) if include_test or not pair.test]
    digests = look_at_files(Surveyor("local", 1, Memory(None)), root, [path for pair in pairs for path in pair.files])
    return [row_of(public, pair, digests) for pair in pairs]


def test_every_registered_set_is_tried_here() -> None:
    assert {sketch.name for sketch in SKETCHES} == set(REGISTRY)


@_each(*SKETCHES)
def test_training_images_are_found_and_benchmark_images_left_out(sketch: Sketch, tmp_path: Path) -> None:
    _lay_out(tmp_path, sketch)
    public = public_set(sketch.name)
    found = list_pairs(public, tmp_path)
    assert sorted(pair.picture for pair in found if not pair.test) == sorted(sketch.training)
    assert sorted(pair.picture for pair in found if pair.test) == sorted(sketch.test)
    assert all(pair.fault == ("", "") and (tmp_path / pair.matte).is_file() for pair in found)


@_each(*OF_PICTURES)
def test_rows_hold_hashes_and_what_the_set_is(sketch: Sketch, tmp_path: Path) -> None:
    public = public_set(sketch.name)
    _lay_out(tmp_path, sketch)
    for row in rows(sketch.name, tmp_path, include_test=True):
        for path, size, digest in (("path", "size", "sha256"), ("alpha_path", "alpha_size", "alpha_sha256")):
            data = (tmp_path / str(row[path])).read_bytes()
            assert (row[size], row[digest]) == (len(data), hashlib.sha256(data).hexdigest())
        given = public.foreground == "given"
        assert (row["foreground_path"] == row["path"]) is given
        assert (row["foreground_sha256"] == row["sha256"]) is given
        assert (row["background_path"], row["background_sha256"], row["background_size"]) == ("", "", -1)
        assert row["soft_alpha"] == public.soft_alpha
        source = public.name if row["path"] in sketch.training else f"{public.name}-test"
        assert (row["source"], row["licence"]) == (source, public.licence)
        assert row["error_kind"] == row["error"] == ""


@_each(*OF_PICTURES)
def test_a_missing_matte_costs_only_its_picture(sketch: Sketch, tmp_path: Path) -> None:
    _lay_out(tmp_path, sketch)
    matte = tmp_path / sketch.matte
    others = [p for p in matte.parent.iterdir() if p != matte and p.suffix == matte.suffix]
    if not others:  # a folder without mattes is a missing part, and said so below
        _draw(matte.with_name("other" + matte.suffix), 9)
    matte.unlink()
    faults = [row for row in rows(sketch.name, tmp_path, include_test=True) if row["error_kind"]]
    missing = next(row for row in faults if row["error_kind"] == "no_matte")
    assert Path(sketch.matte).stem in str(missing["error"])
    assert missing["sha256"]
    assert (missing["alpha_sha256"], missing["alpha_size"]) == ("", -1)
    orphans = [row for row in faults if row is not missing]
    expected = [] if others or sketch.name == "thinobject-5k" else ["no_picture"]
    assert [row["error_kind"] for row in orphans] == expected  # an unlisted thin object is nobody's


@_each(*(sketch for sketch in SKETCHES if sketch.gone))
def test_a_missing_folder_is_named(sketch: Sketch, tmp_path: Path) -> None:
    _lay_out(tmp_path, sketch)
    _remove(tmp_path / sketch.gone)
    with pytest.raises(UsageError) as error:
        list_pairs(public_set(sketch.name), tmp_path)
    message = str(error.value)
    assert (sketch.named or sketch.gone) in message
    assert public_set(sketch.name).home in message
    assert "\n" not in message


def test_videos_are_paired(tmp_path: Path) -> None:
    _lay_out(tmp_path, next(sketch for sketch in SKETCHES if sketch.name == "videomatte240k"))
    pair = next(pair for pair in list_pairs(public_set("videomatte240k"), tmp_path) if not pair.test)
    assert (pair.foreground, pair.matte) == (
        "VideoMatte240K/train/fgr/0000.mp4",
        "VideoMatte240K/train/pha/0000.mp4",
    )


def test_a_packed_archive_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "DUTS-TR.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"unpack DUTS-TR\.zip there"):
        rows("duts", tmp_path)


def test_an_absent_folder_and_an_unknown_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere is no folder: get P3M-10k\.zip from https"):
        rows("p3m-10k", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="choose one of adobe-matting, alphamatting, am-2k"):
        rows("imagenet", tmp_path)


def test_test_images_chosen_by_others_are_not_taken_for_training(tmp_path: Path) -> None:
    for folder, suffix in (("images", "jpg"), ("masks", "png")):
        (tmp_path / "HRSOD" / folder).mkdir(parents=True)
        _draw(tmp_path / "HRSOD" / folder / f"1.{suffix}", 1)
    with pytest.raises(UsageError, match="has no pictures in HRSOD_train"):
        rows("hrsod", tmp_path)


def test_names_tell_classes_where_they_can() -> None:
    told = {
        ("adobe-matting", "wine-glass-2160516_1920"): "wine glass",
        ("adobe-matting", "a-single-person-1084191_960_720"): "single person",
        ("adobe-matting", "pexels-photo-106368"): "",
        ("adobe-matting", "035A4301"): "",
        ("distinctions-646", "h_12"): "person",
        ("distinctions-646", "male(76)"): "person",
        ("distinctions-646", "t_12"): "",
        ("dis5k", "2#Aircraft#7#Kite#4_o"): "kite",
        ("dis5k", "photo"): "",
        ("thinobject-5k", "air_pump_PNG1"): "air pump",
        ("thinobject-5k", "air pump"): "",
        ("am-2k", "m_0a6c2018"): "",
    }
    assert {key: public_set(key[0]).class_of(key[1]) for key in told} == told


def test_a_folder_of_many_sets_is_not_taken_for_one(tmp_path: Path) -> None:
    _lay_out(tmp_path, next(sketch for sketch in SKETCHES if sketch.name == "duts"))
    with pytest.raises(UsageError, match="has no pictures in Imgs, so it is not MSRA10K"):
        rows("msra10k", tmp_path)


def test_two_files_of_one_name_are_not_chosen_between(tmp_path: Path) -> None:
    for name in ("picture/a.jpg", "picture/a.png", "matte/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        _draw(tmp_path / name, 1)
    (row,) = rows("pairs", tmp_path)
    assert row["error_kind"] == "ambiguous"
    assert "a.jpg, a.png" in str(row["error"])


def test_own_folders_under_their_usual_names_need_no_settings(tmp_path: Path) -> None:
    for folder in ("picture", "matte", "foreground"):
        (tmp_path / folder).mkdir()
        _draw(tmp_path / folder / "green-frog_01.png", 1)
    (row,) = rows("pairs", tmp_path)
    assert (row["caption"], row["foreground_path"], row["background_path"]) == (
        "a green frog",
        "foreground/green-frog_01.png",
        "",
    )
    assert row["inverted"] is None  # the source judges
    (tmp_path / "background").mkdir()
    _draw(tmp_path / "background" / "x.png", 1)
    (row,) = rows("pairs", tmp_path)
    assert row["error_kind"] == "no_background"


def test_the_source_reads_the_rows_and_their_faults(tmp_path: Path) -> None:
    sketch = next(sketch for sketch in SKETCHES if sketch.name == "distinctions-646")
    _lay_out(tmp_path, sketch)
    (tmp_path / "Distinctions-646/Train/GT/h_1.png").unlink()
    requests = [
        Request(key=f"{slot:010d}", slot=slot, attempt=0, seed=3, item=row)
        for slot, row in enumerate(rows(sketch.name, tmp_path))
    ]
    sample, fault = MattePairs(tmp_path, MattePairSettings(size=32))(requests)
    assert isinstance(fault, DataError)
    assert fault.kind == "no_matte"
    assert isinstance(sample, Sample)
    assert (sample.origin.source, sample.origin.foreground) == ("distinctions-646", "given")
    assert sample.origin.item == "Distinctions-646/Train/FG/13(2).png"


def test_listed_benchmark_images_are_dropped_and_counted(tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    bench.mkdir()
    _draw(bench / "one.png", 1)
    seen: list[tuple[int, int]] = []
    own = tmp_path / "own.txt"
    own.write_text("# mine\n\n" + "\n".join(hash_images(bench, "my bench", lambda *counts: seen.append(counts))))
    hashes = load_hashes([own])
    assert seen == [(1, 1)]
    digest = hashlib.sha256((bench / "one.png").read_bytes()).hexdigest()
    assert hashes[digest] == "my bench/one.png"
    clean = {"path": "a.png", "sha256": "0" * 64, "foreground_sha256": ""}
    as_picture = {"path": "b.png", "sha256": digest}
    as_foreground = {"path": "c.png", "sha256": "1" * 64, "foreground_sha256": digest}
    kept, dropped = excluded([clean, as_picture, as_foreground], hashes)
    assert kept == [clean]
    assert dropped == {"my bench": 2}


def test_the_list_that_ships_holds_the_benchmark_we_have(shared_data: Path) -> None:
    lines = hash_images(shared_data / "alphamatting_odd" / "image", "alphamatting.com")
    shipped = load_hashes()
    assert len(lines) == 14
    assert {line.split()[0]: line.split()[1] for line in lines}.items() <= shipped.items()


def test_bad_lists_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("# fine\nnot a hash\n")
    with pytest.raises(UsageError, match=r"bad\.txt: line 2 is not a SHA-256"):
        load_hashes([bad])
    with pytest.raises(UsageError, match="there is no list"):
        load_hashes([tmp_path / "absent.txt"])
    with pytest.raises(UsageError, match="holds no pictures"):
        hash_images(tmp_path, "x")
    with pytest.raises(UsageError, match="without a slash"):
        hash_images(tmp_path, "a/b")
