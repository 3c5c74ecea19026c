"""A picture is recognised: by its pixels, by its looks after it was changed, by its mark, or honestly not at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import small_set
from damage import flip
from PIL import Image
from small_set import make_shards, small_plan

from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.quality.phash import perceptual_hash
from factory.review.identify import Identification, identify
from factory.sample import GENERATED, Picture, Sample
from factory.shards.encoding import encode_png
from factory.shards.export import export
from factory.shards.finalise import finalise
from factory.shards.layout import Layout
from factory.shards.marking import SOURCE_TYPE, SYSTEM, TOOL, marked, xmp_packet
from factory.shards.reader import Stored, read_members, read_samples

SIDE = 192  # pixels; large enough to be compressed and resized as real pictures are


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small set, in larger pictures and with the true perceptual hash."""
    plain = small_set.build

    def hashed(sample: Sample) -> Sample:
        assert sample.foreground is not None
        assert sample.alpha is not None
        return replace(sample, phash=perceptual_hash(sample.foreground, sample.alpha))

    def build(plan: Plan, root: Path) -> object:
        return replace(plain(plan, root), stages={"score": hashed})

    root = tmp_path_factory.mktemp("identified") / "set"
    plan = small_plan()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_set, "SIZE", SIDE)
        patch.setattr(small_set, "build", build)
        finalise(Layout(root), make_shards(root, plan, range(plan.shards)))
    return root


@pytest.fixture(scope="module")
def stored(data: Path) -> dict[str, Stored]:
    """By key, without the pictures that the set holds more than once."""
    samples = [sample for split in ("train", "validation") for sample in read_samples(data, split)]
    hashes = [sample.meta["hashes"]["rgb"] for sample in samples]
    return {s.key: s for s, digest in zip(samples, hashes, strict=True) if hashes.count(digest) == 1}


def ask(picture: Picture, data: Path, folder: Path, name: str = "picture.png", **how: object) -> Identification:
    Image.fromarray(picture).save(folder / name, **how)
    return identify(folder / name, data)


def test_every_stored_member_is_found_by_its_pixels(data: Path, tmp_path: Path) -> None:
    tar = sorted((data / "data").glob("train-*.tar"))[1]
    for key, members in list(read_members(tar))[:3]:
        for name in ("rgb", "alpha", "fg"):
            path = tmp_path / f"{name}.png"
            path.write_bytes(members[f"{name}.png"])
            found = identify(path, data)
            assert (found.verdict, found.member, found.exit_code) == ("exact", name, 0)
            assert found.key in {key, "0000000000"}  # slot 9 repeats slot 0
            assert f"factory show {data} {found.key}" in found.text()


def test_a_lossless_copy_in_another_format_is_still_exact(
    data: Path, stored: dict[str, Stored], tmp_path: Path
) -> None:
    key, sample = next(iter(stored.items()))
    for name, how in (("a.png", {"optimize": True}), ("a.webp", {"lossless": True}), ("a.tiff", {}), ("a.bmp", {})):
        found = ask(sample.rgb, data, tmp_path, name, **how)
        assert (found.verdict, found.key, found.member) == ("exact", key, "rgb")
    as_colour = np.dstack([sample.alpha] * 3)
    assert ask(as_colour, data, tmp_path).member == "alpha"


def test_an_exported_cut_out_is_exact(data: Path, stored: dict[str, Stored], tmp_path: Path) -> None:
    export(data, "rgba", tmp_path / "out")
    key = next(key for key, sample in stored.items() if key < "000003")
    found = identify(tmp_path / "out" / f"{key}.png", data)
    assert (found.verdict, found.key) == ("exact", key)


def half(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


def larger(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC), np.uint8)


def on_white(sample: Stored) -> Picture:
    a = sample.alpha[..., None] / 255
    return np.rint(a * sample.foreground + (1 - a) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "changed",
    [
        (lambda s: s.rgb, "a.jpg", {"quality": 90}),
        (lambda s: s.rgb, "a.jpg", {"quality": 40}),
        (lambda s: s.rgb, "a.jpg", {"quality": 75, "subsampling": 2}),
        (lambda s: s.rgb[:, ::-1], "a.png", {}),
        (lambda s: s.rgb[:, ::-1], "a.jpg", {"quality": 75}),
        (lambda s: np.dstack([s.foreground, s.alpha])[:, ::-1], "a.webp", {"quality": 80}),
        (lambda s: half(s.rgb), "a.png", {}),
        (lambda s: half(s.rgb), "a.jpg", {"quality": 75}),
        (lambda s: larger(s.rgb), "a.webp", {"quality": 80}),
        (on_white, "a.jpg", {"quality": 90}),
        (lambda s: half(np.dstack([s.foreground, s.alpha])), "a.png", {}),
        (lambda s: np.dstack([s.foreground, s.alpha]), "a.webp", {"quality": 80, "alpha_quality": 50}),
    ],
    ids=[
        "jpeg 90",
        "jpeg 40",
        "jpeg 75 with chroma halved",
        "mirrored",
        "mirrored jpeg",
        "mirrored cut-out",
        "half",
        "half jpeg",
        "larger webp",
        "on white",
        "half cut-out",
        "cut-out webp",
    ],
)
def test_a_changed_copy_is_found_by_its_looks(
    data: Path,
    stored: dict[str, Stored],
    tmp_path: Path,
    changed: tuple[Callable[[Stored], Picture], str, dict[str, int]],
) -> None:
    change, name, how = changed
    for key, sample in list(stored.items())[:6]:
        found = ask(change(sample), data, tmp_path, name, **how)
        assert (found.verdict, found.key, found.exit_code) == ("near", key, 0)
        assert "changed copy" in found.text()


@pytest.mark.parametrize("halving", [1, 2])
def test_a_picture_of_64_pixels_is_found_after_jpeg_with_halved_chroma(tmp_path: Path, halving: int) -> None:
    """Whose colours are then means of many of its pixels, near a thin thing's edge half of them the screen's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_set, "SIZE", 64)
        plan = small_plan(slots=6, validation=0)
        finalise(Layout(tmp_path / "set"), make_shards(tmp_path / "set", plan, [0]))
    for sample in list(read_samples(tmp_path / "set", "train"))[1:4]:
        for mirrored in (False, True):
            own = sample.rgb if halving == 1 else half(sample.rgb)
            shown = np.ascontiguousarray(own[:, ::-1]) if mirrored else own
            found = ask(shown, tmp_path / "set", tmp_path, "a.jpg", quality=85, subsampling=2)
            assert (found.verdict, found.key, found.mirrored) == ("near", sample.key, mirrored)
            assert ("mirrored" in found.text()) == mirrored


def test_other_pictures_are_not_claimed(data: Path, tmp_path: Path) -> None:
    """Blobs of the same kind, drawn from other seeds; noise; one colour; nothing at all."""
    rng = np.random.Generator(np.random.PCG64(5))
    strangers = [np.zeros((SIDE, SIDE, 3), np.uint8), rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)]
    strangers += [np.full((9, 5, 3), 120, np.uint8), np.zeros((SIDE, SIDE, 4), np.uint8)]
    plan = replace(small_plan(slots=12, validation=0), seed=99)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_set, "SIZE", SIDE)
        make_shards(tmp_path / "other", plan, [0])
    strangers += [sample.rgb for sample in read_samples(tmp_path / "other", "train")][1:]
    for number, picture in enumerate(strangers):
        found = ask(picture, data, tmp_path, f"{number}.png")
        assert (found.verdict, found.exit_code) == (("unknown", 1)), found


def test_a_foreign_picture_that_bears_our_mark_is_told_apart(data: Path, tmp_path: Path) -> None:
    picture = np.random.Generator(np.random.PCG64(8)).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    packet = xmp_packet({SOURCE_TYPE: GENERATED, TOOL: "matting-factory 0.1.0", SYSTEM: "DiffuMatting"})
    (tmp_path / "ours.png").write_bytes(marked(encode_png(picture), packet))
    found = identify(tmp_path / "ours.png", data)
    assert (found.verdict, found.exit_code) == ("marked", 1)
    assert "trainedAlgorithmicMedia, by DiffuMatting" in found.text()
    Image.fromarray(picture).save(tmp_path / "kept.jpg", xmp=packet)
    assert identify(tmp_path / "kept.jpg", data).verdict == "marked"
    other = xmp_packet({SOURCE_TYPE: GENERATED, TOOL: "Some other tool"})
    Image.fromarray(picture).save(tmp_path / "theirs.jpg", xmp=other)
    assert identify(tmp_path / "theirs.jpg", data).verdict == "unknown"


def test_a_set_that_is_still_being_made_is_searched_part_by_part(
    data: Path, stored: dict[str, Stored], tmp_path: Path
) -> None:
    import shutil

    unfinished = Path(shutil.copytree(data, tmp_path / "set"))
    (unfinished / "manifest.parquet").unlink()
    key, sample = next(iter(stored.items()))
    assert ask(sample.rgb, unfinished, tmp_path).key == key
    assert ask(sample.rgb, unfinished, tmp_path, "a.jpg").verdict == "near"


def test_what_cannot_be_asked_is_said_in_a_sentence(data: Path, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "notes.txt").write_text("no picture")
    for picture in (tmp_path / "absent.png", tmp_path / "notes.txt", tmp_path):
        with pytest.raises(UsageError, match=picture.name):
            identify(picture, data)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(UsageError, match="holds no manifest"):
        identify(tmp_path / "black.png", tmp_path)
    damaged = Path(shutil.copytree(data, tmp_path / "set"))
    pq.read_metadata(damaged / "manifest.parquet")
    flip(damaged / "manifest.parquet", (damaged / "manifest.parquet").stat().st_size - 1)
    with pytest.raises(UsageError, match="factory verify"):
        identify(tmp_path / "black.png", damaged)
