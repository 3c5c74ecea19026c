"""Promise: a clip and masks of any segmentation tool become steady mattes, or one sentence says what is wrong."""

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from program import factory_here
from pymatting import estimate_alpha_cf
from small_clips import encode
from tiny_segmenters import write_maskformer, write_segformer

from factory.errors import UsageError
from factory.greenscreen.compositing import as_levels, as_unit
from factory.matting.masks_to_trimaps import Band
from factory.matting.networks.folder import save_network
from factory.matting.networks.kinds import build
from factory.matting.video.clip import Made, VideoMatting, inputs_hash, write_clip
from factory.matting.video.footage import open_footage
from factory.matting.video.masks import open_masks
from factory.matting.video.matting import Matting, beside, matted
from factory.matting.video.segmenting import open_segmenter
from factory.matting.video.trimaps import Vote, trimap_of
from factory.models.device import CPU
from factory.quality.metrics import dtssd
from factory.sample import Matte, Picture
from factory.shards.encoding import decode_png
from factory.shards.sequence import SUFFIX, Form

Floats = NDArray[np.float32]
H, W, BAND = 96, 128, 3.0
STILL = np.zeros((H, W, 2), np.float32)
SURE = np.ones((H, W), np.float32)


def taken(number: int) -> tuple[Floats, Floats]:
    """A striped ball that goes to the right before a still wall: frame and truth."""
    down, across = np.mgrid[:H, :W].astype(np.float32)
    x = across - 40 - 2.0 * (number % 20)
    alpha = np.clip((22 - np.hypot(x, down - 48)) / 4 + 0.5, 0, 1)
    stripes = 0.6 + 0.25 * np.sin(x / 3) * np.cos(down / 4)
    ball = np.dstack([stripes, 0.3 * stripes, 0.9 - stripes])
    wall = cv2.GaussianBlur(np.random.default_rng(0).random((H, W, 3)), (0, 0), 2) * 1.2 - 0.3
    picture = alpha[..., None] * ball + (1 - alpha[..., None]) * wall
    return np.clip(picture, 0, 1).astype(np.float32), alpha.astype(np.float32)


def clip_of(count: int) -> tuple[list[Floats], list[Floats], list[Floats]]:
    """Frames, truth, and masks that are the truth's opaque half."""
    frames, alphas = zip(*map(taken, range(count)), strict=True)
    return list(frames), list(alphas), [(alpha > 0.5).astype(np.float32) for alpha in alphas]


def closed_form(picture: Picture, trimap: Matte) -> Floats:
    if len(np.unique(trimap)) < 3:
        return as_unit(trimap)
    return np.asarray(estimate_alpha_cf(picture / 255, trimap / 255), np.float32)


def pictures_in(folder: Path, pictures: Sequence[NDArray[np.uint8]], first: int = 0, name: str = "{:04d}.png") -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures, start=first):
        Image.fromarray(picture).save(folder / name.format(number))
    return folder


def film(folder: Path, count: int = 5) -> Path:
    return pictures_in(folder / "film", [as_levels(frame) for frame in clip_of(count)[0]])


def masks_in(folder: Path, count: int = 5, first: int = 0) -> Path:
    return pictures_in(folder / "masks", [as_levels(mask) for mask in clip_of(count)[2]], first)


def read(clip: Path, masks: Path, wanted: int | None = None) -> list[Floats]:
    return list(open_masks(masks, open_footage(clip), wanted)())


def test_masks_that_agree_leave_the_narrowest_band() -> None:
    mask = clip_of(1)[2][0]
    alone = trimap_of(mask, [], BAND)
    assert np.array_equal(trimap_of(mask, [Vote(mask, STILL, SURE)] * 2, BAND), alone)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    assert (alone[distance > BAND + 1] == 255).all()
    assert (alone[(distance > 0) & (distance < BAND)] == 128).all()


def test_a_wide_band_leaves_the_rest_known() -> None:
    mask = np.zeros((8, 400), np.float32)
    mask[:, 200:] = 1
    levels, counts = np.unique(trimap_of(mask, [], 100), return_counts=True)
    assert (levels.tolist(), counts.tolist()) == ([0, 128, 255], [800, 1600, 800])


def test_where_masks_flicker_the_band_is_wider_and_only_there() -> None:
    mask = clip_of(1)[2][0]
    bitten = cv2.circle(mask.copy(), (40, 26), 8, 0.0, -1)
    trimap = trimap_of(mask, [Vote(bitten, STILL, SURE), Vote(mask, STILL, SURE)], BAND)
    alone = trimap_of(mask, [], BAND)
    assert (trimap[(mask > 0.5) & (bitten < 0.5)] == 128).all()
    assert np.array_equal(trimap[60:], alone[60:])


def test_a_neighbour_that_cannot_be_followed_has_no_say() -> None:
    mask = clip_of(1)[2][0]
    other = np.roll(mask, 9, axis=1)
    assert np.array_equal(trimap_of(mask, [Vote(other, STILL, 0 * SURE)] * 2, BAND), trimap_of(mask, [], BAND))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_mask_that_both_others_contradict_has_no_say(lost: int) -> None:
    mask = clip_of(1)[2][0]
    three = [mask] * 3
    three[lost] = np.zeros_like(mask)
    trimap = trimap_of(three[0], [Vote(other, STILL, SURE) for other in three[1:]], BAND)
    assert np.array_equal(trimap, trimap_of(mask, [], BAND))


def test_flickering_masks_make_a_steadier_matte_than_frame_by_frame() -> None:
    frames, alphas, masks = clip_of(7)
    kernel = np.ones((9, 9), np.uint8)
    flickering = [cv2.erode(mask, kernel) if number % 3 == 1 else mask for number, mask in enumerate(masks)]
    flickering[4] = np.zeros_like(masks[4])
    truth = [as_levels(alpha) for alpha in alphas]
    ours = [frame.alpha for frame in matted(frames, flickering, closed_form, band=BAND)]
    alone = [
        as_levels(closed_form(as_levels(frame), trimap_of(mask, [], BAND)))
        for frame, mask in zip(frames, flickering, strict=True)
    ]
    assert dtssd(ours, truth) < 0.5 * dtssd(alone, truth)
    assert max(np.abs(as_unit(a) - as_unit(t)).mean() for a, t in zip(ours, truth, strict=True)) < 0.02


def test_few_frames_are_held_however_long_the_clip() -> None:
    opened = 0

    def counted() -> Iterator[Floats]:
        nonlocal opened
        for number in range(8):
            opened += 1
            yield taken(number)[0]

    for done, _ in enumerate(matted(counted(), clip_of(8)[2], closed_form, band=BAND), start=1):
        assert opened <= done + 3


def test_neighbours_are_none_at_the_ends() -> None:
    assert list(beside("abc")) == [(None, "a", "b"), ("a", "b", "c"), ("b", "c", None)]
    assert list(beside("a")) == [(None, "a", None)]
    assert list(beside("")) == []


def test_masks_are_read_as_tools_write_them(tmp_path: Path) -> None:
    clip, masks = film(tmp_path), clip_of(5)[2]
    binary = [as_levels(mask) for mask in masks]
    index = [np.uint8(mask) for mask in masks]
    for name, kind in {"grey": binary, "index": index, "rgb": [np.dstack([m] * 3) for m in binary]}.items():
        found = read(clip, pictures_in(tmp_path / name, kind))
        assert all(np.array_equal(a, b) for a, b in zip(found, masks, strict=True)), name
    assert all(
        np.abs(a - b).mean() < 0.02
        for a, b in zip(read(clip, pictures_in(tmp_path / "jpg", binary, 1, "m_{}.jpg")), masks, strict=True)
    )
    greys = tmp_path / "greys"  # in a palette, as some tools save what is grey
    greys.mkdir()
    for number, alpha in enumerate(clip_of(5)[1]):
        Image.fromarray(as_levels(alpha)).convert("P").save(greys / f"{number}.png")
    assert all(np.abs(a - b).max() < 0.003 for a, b in zip(read(clip, greys), clip_of(5)[1], strict=True))
    half = pictures_in(tmp_path / "half", [m[::2, ::2] for m in binary])
    assert all(a.shape == (H, W) and np.abs(a - b).mean() < 0.03 for a, b in zip(read(clip, half), masks, strict=True))
    video = encode(tmp_path / "masks.mp4", [np.dstack([m] * 3) for m in binary], tagged="bt709")
    assert all(np.abs(a - b).mean() < 0.02 for a, b in zip(read(clip, video), masks, strict=True))


def test_of_palette_masks_one_object_can_be_chosen(tmp_path: Path) -> None:
    clip, folder = film(tmp_path, 2), tmp_path / "davis"
    folder.mkdir()
    indexes = np.zeros((H, W), np.uint8)
    indexes[10:20], indexes[40:60] = 1, 2
    for number in range(2):
        image = Image.fromarray(indexes, mode="P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        image.save(folder / f"{number:05d}.png")
    assert np.array_equal(read(clip, folder)[0], indexes > 0)
    assert np.array_equal(read(clip, folder, 2)[1], indexes == 2)
    with pytest.raises(UsageError, match="object 3"):
        read(clip, folder, 3)
    video = encode(tmp_path / "m.mp4", [np.full((H, W, 3), 255, np.uint8)] * 2, tagged="bt709")
    with pytest.raises(UsageError, match="no indexes: leave --object out"):
        read(clip, video, 2)


def test_names_may_count_from_one(tmp_path: Path) -> None:
    assert len(read(film(tmp_path), masks_in(tmp_path, first=1))) == 5


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    masks = masks_in(tmp_path)
    (masks / "0002.png").unlink()
    with pytest.raises(UsageError, match="4 masks and the clip 5 frames; number 2 is missing"):
        read(film(tmp_path), masks)


def test_masks_of_another_length_or_shape_are_refused(tmp_path: Path) -> None:
    clip = film(tmp_path)
    with pytest.raises(UsageError, match="6 masks and the clip 5 frames: give the masks of this very clip"):
        read(clip, masks_in(tmp_path, 6))
    with pytest.raises(UsageError, match="100×96 and the clip 128×96, which is another shape"):
        read(clip, pictures_in(tmp_path / "narrow", [np.full((H, 100), 255, np.uint8)] * 5))
    longer = encode(tmp_path / "m.mp4", [np.full((H, W, 3), 255, np.uint8)] * 7, tagged="bt709")
    with pytest.raises(UsageError, match="7 masks and the clip 5 frames"):
        read(clip, longer)


def test_masks_that_are_all_empty_or_broken_are_refused(tmp_path: Path) -> None:
    clip = film(tmp_path)
    with pytest.raises(UsageError, match="empty in every frame"):
        read(clip, pictures_in(tmp_path / "empty", [np.zeros((H, W), np.uint8)] * 5))
    black = encode(tmp_path / "black.mp4", [np.zeros((H, W, 3), np.uint8)] * 5, tagged="bt709")
    with pytest.raises(UsageError, match="empty in every frame"):
        read(clip, black)
    masks = masks_in(tmp_path)
    (masks / "0003.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"masks, 0003\.png: the file is no picture"):
        read(clip, masks)


def test_frames_of_a_clip_come_in_order_and_whole(tmp_path: Path) -> None:
    frames = [as_levels(frame) for frame in clip_of(12)[0]]
    of_files = open_footage(pictures_in(tmp_path / "film", frames, name="²f{}.png"))  # f9 before f10
    of_video = open_footage(encode(tmp_path / "a.mp4", frames, tagged="bt709"))
    for footage in (of_files, of_video):
        assert (footage.count, footage.width, footage.height, footage.rate) == (12, W, H, Fraction(25))
        for number, (found, frame) in enumerate(zip(footage.rgb(), frames, strict=True)):
            assert np.abs(found - as_unit(frame)).mean() < 0.02, number


def test_a_clip_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    frames = [as_levels(taken(number)[0]) for number in range(40)]
    whole = encode(tmp_path / "whole.mkv", frames, rate=5, options={"g": "5"}).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"cut off after \d\.\d s .* copy it again"):
        open_footage(cut)
    mp4 = encode(tmp_path / "whole.mp4", frames).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(mp4[: len(mp4) // 2])
    with pytest.raises(UsageError, match="no video that can be read"):
        open_footage(tmp_path / "cut.mp4")


def test_a_folder_of_frames_of_two_sizes_is_refused(tmp_path: Path) -> None:
    clip = film(tmp_path)
    Image.new("RGB", (10, 10)).save(clip / "0009.png")
    with pytest.raises(UsageError, match="10×10 in a clip of 128×96"):
        open_footage(clip)


def written(out: Path, clip: Path, masks: Path, form: Form = "png", matting: Matting = closed_form) -> Made:
    footage, settings = open_footage(clip), VideoMatting(form=form, band=Band(3, relative=False))
    told, made_of = open_masks(masks, footage), inputs_hash(settings, [clip, masks])
    return write_clip(footage, told, lambda: matting, out, settings, made_of=made_of)


def test_a_clip_of_single_pixels_has_mattes(tmp_path: Path) -> None:
    clip = pictures_in(tmp_path / "film", [np.full((1, 1, 3), 90, np.uint8)] * 2)
    assert (
        written(tmp_path / "out", clip, pictures_in(tmp_path / "masks", [np.full((1, 1), 255, np.uint8)] * 2)).frames
        == 2
    )


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    made = written(tmp_path / "out", film(tmp_path, 1), masks_in(tmp_path, 1))
    assert (made.frames, made.flicker) == (1, 0.0)
    alpha = decode_png((tmp_path / "out" / "pha" / "film" / "00000.png").read_bytes())
    assert np.abs(as_unit(alpha) - taken(0)[1]).mean() < 0.02


@pytest.mark.parametrize("form", ["png", "ffv1", "prores"])
def test_a_clip_is_written_as_sequences_that_are_read_again(tmp_path: Path, form: Form) -> None:
    clip, masks, out = film(tmp_path), masks_in(tmp_path), tmp_path / "out"
    written(out, clip, masks, form)
    alphas = open_footage(out / "pha" / f"film{SUFFIX[form]}")
    foregrounds = open_footage(out / "fgr" / f"film{SUFFIX[form]}")
    for number, (alpha, foreground) in enumerate(zip(alphas.levels(), foregrounds.rgb(), strict=True)):
        frame, truth = taken(number)
        assert np.abs(alpha - truth).mean() < 0.02
        assert np.abs(foreground - frame)[truth == 1].mean() < 0.03


def test_a_run_that_fails_leaves_nothing_and_the_same_command_goes_on(tmp_path: Path) -> None:
    clip, masks, out = film(tmp_path), masks_in(tmp_path), tmp_path / "out"
    calls = iter(range(9))

    def failing(picture: Picture, trimap: Matte) -> Floats:
        if next(calls) == 3:
            raise UsageError("no more.")
        return closed_form(picture, trimap)

    with pytest.raises(UsageError, match="no more"):
        written(out, clip, masks, matting=failing)
    assert [path.name for path in out.iterdir()] == [".lock"]
    made = written(out, clip, masks)
    assert made == written(out, clip, masks, matting=failing)  # nothing is computed anew
    (out / "pha" / "film" / "00002.png").unlink()
    assert written(out, clip, masks) == made
    assert len(list((out / "pha" / "film").iterdir())) == 5


def test_a_clip_made_of_other_masks_is_not_overwritten(tmp_path: Path) -> None:
    clip, masks, out = film(tmp_path), masks_in(tmp_path), tmp_path / "out"
    written(out, clip, masks)
    Image.fromarray(np.full((H, W), 255, np.uint8)).save(masks / "0000.png")
    with pytest.raises(UsageError, match="tells of other masks"):
        written(out, clip, masks)


def test_only_what_is_read_decides_whether_a_clip_is_made_anew(tmp_path: Path) -> None:
    clip, masks = film(tmp_path), masks_in(tmp_path)
    made = written(clip, clip, masks)  # among the frames themselves
    (masks / "notes.txt").touch()
    (clip / ".thumbs").touch()
    assert written(clip, clip, masks) == made


@pytest.mark.parametrize("place", ["pha/film/mine.png", "film.json"])
def test_files_that_were_not_made_here_are_never_removed(place: str, tmp_path: Path) -> None:
    own = tmp_path / "out" / place
    own.parent.mkdir(parents=True)
    own.write_bytes(b"{}")
    with pytest.raises(UsageError, match="made here: give another --out"):
        written(tmp_path / "out", film(tmp_path), masks_in(tmp_path))
    assert own.exists()


def test_what_a_kill_left_before_the_record_is_made_anew(tmp_path: Path) -> None:
    clip, masks, out = film(tmp_path), masks_in(tmp_path), tmp_path / "out"
    made = written(out, clip, masks)
    (out / "film.json").unlink()
    (out / ".film.unfinished").mkdir()
    assert written(out, clip, masks) == made
    assert not (out / ".film.unfinished").exists()


@pytest.mark.slow
def test_a_segmenter_of_transformers_tells_the_masks(tmp_path: Path) -> None:
    folder = write_segformer(tmp_path / "segformer", ("wall", "ball"), taken, steps=25)
    footage = open_footage(film(tmp_path))
    for mask, truth in zip(open_segmenter(folder, footage, None, CPU)(), clip_of(5)[2], strict=True):
        found = mask > 0.5
        assert (found & (truth > 0.5)).sum() > 0.7 * (found | (truth > 0.5)).sum()


def test_a_universal_segmenter_is_read_and_a_label_chosen(tmp_path: Path) -> None:
    folder, footage = write_maskformer(tmp_path / "maskformer"), open_footage(film(tmp_path, 1))
    by_label = {name: next(open_segmenter(folder, footage, name, CPU)()) for name in ("wall", "person", "2")}
    assert np.array_equal(next(open_segmenter(folder, footage, None, CPU)()), by_label["person"])
    assert sum(by_label.values()) == pytest.approx(np.ones((H, W)), abs=1e-3)
    with pytest.raises(UsageError, match=r"--object persn is no label of .* \(did you mean person\?\)"):
        open_segmenter(folder, footage, "persn", CPU)
    with pytest.raises(UsageError, match="--object ² is no label"):
        open_segmenter(folder, footage, "²", CPU)


def test_a_segmenter_that_never_finds_its_object_says_so(tmp_path: Path) -> None:
    folder, footage = write_maskformer(tmp_path / "maskformer"), open_footage(film(tmp_path, 2))
    with pytest.raises(UsageError, match="finds no wall in any frame"):
        list(open_segmenter(folder, footage, "wall", CPU)())


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", {"architectures": [["x"]]}, ""),
        ("preprocessor_config.json", {"image_mean": [0.5]}, "preprocessor_config.json says what cannot be done"),
        ("preprocessor_config.json", {"size": {"height": 0, "width": 0}}, "says what cannot be done"),
    ],
)
def test_a_segmenter_whose_files_say_odd_things_is_read_or_refused(
    file: str, changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    folder, footage = write_segformer(tmp_path / "segformer", ("a", "b"), taken), open_footage(film(tmp_path, 1))
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_bytes()) | changes))
    if not said:
        assert next(open_segmenter(folder, footage, None, CPU)()).shape == (H, W)
        return
    with pytest.raises(UsageError, match=said):
        next(open_segmenter(folder, footage, None, CPU)())


def test_a_segmenter_with_code_or_pickles_is_refused(tmp_path: Path) -> None:
    folder, footage = write_segformer(tmp_path / "segformer", ("a", "b", "c"), taken), open_footage(film(tmp_path, 1))
    with pytest.raises(UsageError, match="say which with --object"):
        open_segmenter(folder, footage, None, CPU)
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(UsageError, match="code of its own"):
        open_segmenter(folder, footage, "a", CPU)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="pickled and could run code"):
        open_segmenter(folder, footage, "a", CPU)


def test_the_command_mattes_a_clip(tmp_path: Path) -> None:
    clip, masks, model, out = film(tmp_path, 3), masks_in(tmp_path, 3), tmp_path / "net", tmp_path / "out"
    save_network(model, build("small", {}), "small", {})
    ended = factory_here("matte-video", clip, "--masks", masks, "--model", model, "--out", out, "--form", "png")
    assert ended.code == 0, ended.err
    assert "3 frames of film" in ended.out
    alpha = decode_png((out / "pha" / "film" / "00001.png").read_bytes())
    truth = taken(1)[1]
    assert (alpha[cv2.erode(truth, np.ones((15, 15))) == 1] == 255).all()
    assert (alpha[cv2.dilate(truth, np.ones((15, 15))) == 0] == 0).all()


def test_the_command_wants_masks_or_a_segmenter(tmp_path: Path) -> None:
    ended = factory_here("matte-video", tmp_path, "--model", tmp_path, "--out", tmp_path)
    assert (ended.code, ended.sentence) == (
        2,
        "give one of --masks PATH and --segmenter FOLDER: something has to say where the object is.",
    )
