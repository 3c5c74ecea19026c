"""Promise: `factory key` keys what stands before a screen of any colour; a picture that it cannot key costs itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from program import LOCAL, Ended, commits, factory_here, hashes, start, wait_for
from safetensors.torch import save_file
from small_sources import coded, fates, film, made, manifest, put, recipe, rgba, shape

from factory.greenscreen.colours import KEY_COLOURS, KeyName, nearest_key
from factory.greenscreen.keyer.shape_network import ShapeNetwork
from factory.review.verify import verify_set
from factory.sample import EDITED, GENERATED
from factory.shards.data_set import DataSet
from factory.shards.marking import SOURCE_TYPE, SYSTEM_VERSION, read_marks
from factory.shards.reader import read_members, shards_of

Pixels = NDArray[np.uint8]
Levels = tuple[int, int, int]
GREEN, SKIN, WALL = (20, 180, 60), (190, 140, 115), (160, 150, 145)
QUARTER_TURN = Image.Exif()
QUARTER_TURN[0x0112] = 6


def before(screen: Levels, number: int = 0, side: int = 96) -> Pixels:
    """(side, side, 3): the shape of that number before a screen."""
    alpha = shape(number, side)[..., None] / 255
    return np.rint(alpha * np.array(SKIN) + (1 - alpha) * np.array(screen)).astype(np.uint8)


def filling(screen: Levels, side: int = 96) -> Pixels:
    """(side, side, 3): a thing of which the frame shows one corner of the screen behind it."""
    picture = np.full((side, side, 3), SKIN, np.uint8)
    corner = np.array([[0, 0], [side // 2, 0], [0, side // 2]], np.int32)
    cv2.fillPoly(picture, [corner], screen, cv2.LINE_AA)
    return picture


def ran(pictures: Path, out: Path, *flags: str) -> Ended:
    """A run in this process; what it made is whole."""
    ended = factory_here("key", pictures, "--out", out, *LOCAL, "--workers", "1", *flags)
    assert "Traceback" not in ended.err
    assert verify_set(out, 1) == []
    return ended


def keyed(pictures: Path, out: Path, *flags: str) -> int:
    """The exit code of such a run."""
    return ran(pictures, out, *flags).code


def sample_of(root: Path, item: str) -> Any:
    return next(sample for sample in DataSet(root) if sample.meta["item"] == item)


def far_from(alpha: Pixels, number: int, side: int = 96) -> float:
    """Mean distance of a matte from the shape's, 0..1."""
    return float(np.abs(alpha.astype(float) - shape(number, side)).mean() / 255)


def wide(picture: Pixels) -> bytes:
    """As PNG of 16 bits per channel."""
    return cv2.imencode(".png", picture[..., ::-1].astype(np.uint16) * 257)[1].tobytes()


def mixed(folder: Path) -> Mapping[str, str]:
    """Screens, portraits without any, cut-outs and broken files, and what becomes of each."""
    whole = coded(before(GREEN, 8))
    opaque = np.dstack([before(GREEN, 4), np.full((96, 96), 255, np.uint8)])
    files = {
        "16 bits.png": (wide(before(GREEN, 1)), "accepted"),
        "opaque.png": (coded(opaque), "accepted"),
        "phone/turned.jpg": (coded(before(GREEN, 2), "JPEG", quality=95, exif=QUARTER_TURN), "accepted"),
        "phone/web.webp": (coded(before(GREEN, 3), "WEBP", lossless=True), "accepted"),
        "whole.png": (whole, "accepted"),
        "cut out.png": (rgba(5), "alpha"),
        "cut off.png": (whole[: len(whole) // 2], "undecodable"),
        "empty.png": (coded(np.full((96, 96, 3), GREEN, np.uint8)), "empty"),
        "page.jpg": (b"<html>404</html>", "undecodable"),
        "portrait.png": (coded(before(WALL, 6)), "no_screen"),
        "zero.png": (b"", "undecodable"),
    }
    for name, (content, _) in files.items():
        put(folder / name, content)
    put(folder / "notes.txt", b"no picture")
    put(folder / ".hidden.png", b"")
    film(folder / "clip.mp4")
    put(folder / "broken.mp4", b"no clip")
    return {name: fate for name, (_, fate) in files.items()} | {"broken.mp4": "undecodable"}


def test_a_folder_of_everything_gives_each_its_own_fate(tmp_path: Path) -> None:
    folder, out = tmp_path / "shoot", tmp_path / "set"
    expected = mixed(folder)
    ended = ran(folder, out, "--every", "4", "--caption-from", "folder")
    assert ended.code == 1
    assert "portrait.png" in ended.out
    assert "1 .txt" in ended.err
    found = fates(out)
    frames = {item for item in found if item.startswith("clip.mp4@")}
    assert {item: fate for item, fate in found.items() if item not in frames} == expected
    assert len(frames) == 3
    assert {found[item] for item in frames} == {"accepted"}
    for item, number in (("16 bits.png", 1), ("opaque.png", 4), ("phone/web.webp", 3), ("whole.png", 8)):
        assert far_from(sample_of(out, item).alpha, number) < 0.01, item
    assert {row["caption"] for row in manifest(out) if row["item"].startswith("phone/")} == {"a phone"}


def test_a_picture_stays_as_it_was_taken_and_the_equation_holds_exactly(tmp_path: Path) -> None:
    lying = np.concatenate([before(GREEN, 2), np.full((96, 40, 3), GREEN, np.uint8)], axis=1)
    put(tmp_path / "shoot" / "turned.png", coded(lying, exif=QUARTER_TURN))
    assert keyed(tmp_path / "shoot", tmp_path / "set") == 0
    (sample,) = DataSet(tmp_path / "set")
    assert sample.rgb.shape == (136, 96, 3)
    truth = np.rot90(np.pad(shape(2, 96), ((0, 0), (0, 40))), -1)
    assert np.abs(sample.alpha.astype(float) - truth).mean() / 255 < 0.01
    a = sample.alpha[..., None] / 255
    painted = a * sample.foreground + (1 - a) * np.array(KEY_COLOURS["green"])
    assert np.abs(painted - sample.rgb).max() <= 0.5
    assert (sample.rgb[sample.alpha == 0] == KEY_COLOURS["green"]).all()
    assert sample.meta["digital_source_type"] == EDITED
    assert sample.meta["ai_generated"] is False


@pytest.mark.parametrize(
    ("screen", "key"),
    [
        ((70, 160, 80), "green"),
        ((170, 200, 40), "green"),
        ((215, 205, 20), "green"),
        ((20, 60, 210), "blue"),
        ((210, 20, 200), "magenta"),
    ],
    ids=["studio green", "lime", "yellow", "blue", "magenta"],
)
def test_the_pure_screen_is_the_one_nearest_to_the_picture_s_own(tmp_path: Path, screen: Levels, key: KeyName) -> None:
    assert nearest_key(screen) == key
    put(tmp_path / "shoot" / "thing.png", coded(before(screen, 3)))
    assert keyed(tmp_path / "shoot", tmp_path / "set", "--set", "gates.key_distance_min=null") == 0
    (sample,) = DataSet(tmp_path / "set")
    assert tuple(sample.meta["key_rgb"]) == KEY_COLOURS[key]
    assert far_from(sample.alpha, 3) < 0.02
    assert np.abs(sample.foreground[shape(3, 96) == 255].astype(float) - SKIN).mean() < 6


def test_flags_choose_the_screen_and_frame_the_object(tmp_path: Path) -> None:
    put(tmp_path / "shoot" / "thing.png", coded(before((20, 60, 210), 3)))
    film(tmp_path / "shoot" / "clip.mp4", count=2)
    assert keyed(tmp_path / "shoot", tmp_path / "set", "--size", "64", "--key", "green", "--class-name", "urn") == 0
    samples = list(DataSet(tmp_path / "set"))
    assert len(samples) == 3
    for sample in samples:
        assert sample.rgb.shape == (64, 64, 3)
        assert tuple(sample.meta["key_rgb"]) == KEY_COLOURS["green"]
        assert sample.meta["caption"] == "an urn"


def test_a_clean_plate_shows_the_screen_that_its_picture_hides(tmp_path: Path) -> None:
    shoot = tmp_path / "shoot"
    covered = np.full((96, 96, 3), SKIN, np.uint8)
    cv2.circle(covered, (48, 48), 14, GREEN, -1, cv2.LINE_AA)  # all that is seen of the screen
    put(shoot / "alone.png", coded(covered))
    put(shoot / "plated.png", coded(covered))
    put(shoot / "plated.plate.JPG", coded(np.full((60, 61, 3), GREEN, np.uint8), "JPEG", quality=95))
    put(shoot / "of another shape.png", coded(covered))
    put(shoot / "of another shape.plate.png", coded(np.full((60, 96, 3), GREEN, np.uint8)))
    put(shoot / "broken.png", coded(covered))
    put(shoot / "broken.plate.png", b"")
    put(shoot / "of nothing.plate.png", coded(np.full((60, 96, 3), GREEN, np.uint8)))
    assert "of nothing.plate.png" in factory_here("key", shoot, "--out", tmp_path / "set", *LOCAL, "--dry-run").out
    keyed(shoot, tmp_path / "set", "--set", "gates.flush_max=null")
    assert fates(tmp_path / "set") == {
        "alone.png": "no_screen",
        "broken.png": "plate",
        "of another shape.png": "plate",
        "plated.png": "accepted",
    }
    alpha = sample_of(tmp_path / "set", "plated.png").alpha
    assert alpha[48, 48] == 0
    assert (alpha[:20] == 255).all()


def test_a_plate_that_changed_since_planning_stops_the_run(tmp_path: Path) -> None:
    shoot, out = tmp_path / "shoot", tmp_path / "set"
    put(shoot / "thing.png", coded(before(GREEN, 3)))
    plate = put(shoot / "thing.plate.png", coded(np.full((96, 96, 3), GREEN, np.uint8)))
    keyed(shoot, out)
    put(plate, coded(np.full((96, 96, 3), (0, 200, 60), np.uint8)))
    again = factory_here("key", shoot, "--out", out, *LOCAL)
    assert again.code == 2
    assert f"picture {plate.name} changed since" in again.sentence


def test_a_subject_that_fills_the_frame_is_keyed(tmp_path: Path) -> None:
    put(tmp_path / "shoot" / "thing.png", coded(filling(GREEN)))
    assert keyed(tmp_path / "shoot", tmp_path / "set") == 0
    (sample,) = DataSet(tmp_path / "set")
    assert sample.alpha[4, 4] == 0
    assert sample.alpha[60:, 60:].min() == 255


@pytest.mark.parametrize("side", [32, 600])
def test_small_and_large_pictures_are_keyed(tmp_path: Path, side: int) -> None:
    put(tmp_path / "shoot" / "thing.png", coded(before(GREEN, 3, side)))
    assert keyed(tmp_path / "shoot", tmp_path / "set") == 0
    (sample,) = DataSet(tmp_path / "set")
    assert sample.alpha.shape == (side, side)
    assert far_from(sample.alpha, 3, side) < 0.02


def test_a_name_that_a_camera_gave_leaves_it_to_the_folder_to_say_what_is_shown(tmp_path: Path) -> None:
    for name in ("red apple/IMG_2034.png", "red apple/DSC00012.png", "red apple/tall tree 3.png"):
        put(tmp_path / "shoot" / name, coded(before(GREEN, 3)))
    assert keyed(tmp_path / "shoot", tmp_path / "set") == 0
    assert [row["caption"] for row in manifest(tmp_path / "set")] == ["a red apple", "a red apple", "a tall tree"]


def test_one_picture_may_be_named_whatever_its_name(tmp_path: Path) -> None:
    picture = put(tmp_path / "shoot" / "redApple [x]*.png", coded(before(GREEN, 3)))
    put(tmp_path / "shoot" / "redApple x.png", coded(before(GREEN, 4)))
    assert keyed(picture, tmp_path / "set") == 0
    assert fates(tmp_path / "set") == {picture.name: "accepted"}


def test_what_a_model_painted_says_so(tmp_path: Path) -> None:
    put(tmp_path / "painted" / "thing.png", coded(before(GREEN, 3)))
    film(tmp_path / "painted" / "clip.mp4", count=2)
    assert keyed(tmp_path / "painted", tmp_path / "set", "--painted-by", "SDXL 1.0") == 0
    tars = shards_of(tmp_path / "set", "train")
    pictures = [members["alpha.png"] for tar in tars for _, members in read_members(tar)]
    assert len(pictures) == 3
    for picture in pictures:
        marks = read_marks(picture)
        assert (marks[SOURCE_TYPE], marks[SYSTEM_VERSION]) == (GENERATED, "SDXL 1.0")
    assert all(sample.meta["ai_generated"] for sample in DataSet(tmp_path / "set"))


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "shoot"
    for number in range(6):
        put(folder / f"thing_{number}.png", coded(before(GREEN, number)))
    put(folder / "thing_0.plate.png", coded(np.full((60, 60, 3), GREEN, np.uint8)))
    put(folder / "broken.png", b"")
    flags = ("--shard-size", "2", "--size", "48")
    keyed(folder, tmp_path / "undisturbed", *flags)
    out = tmp_path / "killed"
    process = start("key", folder, "--out", out, *LOCAL, *flags, "--workers", "1")
    try:
        wait_for(lambda: commits(out) > 0, process)
    finally:
        process.kill()
        process.communicate()
    keyed(folder, out, *flags)
    assert hashes(out) == hashes(tmp_path / "undisturbed")


def test_wrong_input_is_one_sentence_with_its_mend(tmp_path: Path) -> None:
    folder = put(tmp_path / "shoot" / "notes.txt", b"no picture").parent
    assert "does not exist" in factory_here("key", tmp_path / "absent", "--out", tmp_path / "set").sentence
    assert "holds no picture and no clip" in factory_here("key", folder, "--out", tmp_path / "set").sentence
    put(folder / "thing.png", coded(before(GREEN, 3)))
    assert "outside of it" in factory_here("key", folder, "--out", folder / "set").sentence
    assert "16 to 4096" in factory_here("key", folder, "--out", tmp_path / "set", "--size", "8").sentence
    assert "key" in factory_here("key", folder, "--out", tmp_path / "set", "--key", "red").sentence
    assert not (tmp_path / "set").exists()


def test_stills_are_a_source_of_training_sets_too(tmp_path: Path) -> None:
    put(tmp_path / "shoot" / "red thing.png", coded(before(GREEN, 3)))
    put(tmp_path / "shoot" / "large.png", coded(before(GREEN, 5, 300)))
    source = {"type": "stills", "path": tmp_path / "shoot", "keyed_at": 100, "licence": "CC0-1.0"}
    made(recipe(tmp_path / "recipe.yaml", source), tmp_path / "set")
    samples = {sample.meta["item"]: sample for sample in DataSet(tmp_path / "set")}
    assert {sample.rgb.shape for sample in samples.values()} == {(64, 64, 3)}
    meta = samples["red thing.png"].meta
    assert (meta["kind"], meta["source"], meta["licence"]) == ("keyed", "shoot", "CC0-1.0")
    assert meta["caption"] == "a red thing"


@pytest.mark.parametrize("size", [0, 64])
def test_a_shadow_is_a_picture_of_its_own_where_it_is_asked_for(tmp_path: Path, size: int) -> None:
    side = 192
    alpha = np.zeros((side, side), np.float32)
    cv2.circle(alpha, (80, 80), 40, 1.0, -1, cv2.LINE_AA)
    moved = cv2.warpAffine(alpha, np.array([[1, 0, 36], [0, 1, 20]], np.float64), (side, side))
    shadow = 0.3 * cv2.GaussianBlur(moved, (0, 0), 5)
    screen = np.array(GREEN) * (1 - shadow[..., None])
    picture = alpha[..., None] * np.array(SKIN) + (1 - alpha[..., None]) * screen
    picture = np.clip(np.rint(picture + np.random.default_rng(0).normal(0, 1, picture.shape)), 0, 255)
    put(tmp_path / "shoot" / "ball.png", coded(picture.astype(np.uint8)))
    frame = ("--size", str(size), "--set", "gates.flush_max=null", "--set", "gates.label_error_max=null")
    assert keyed(tmp_path / "shoot", tmp_path / "plain", *frame) == 0  # with the haze that a shadow leaves in α
    assert keyed(tmp_path / "shoot", tmp_path / "set", *frame, "--shadows") == 0
    (plain,), (found,) = DataSet(tmp_path / "plain"), DataSet(tmp_path / "set")
    assert "shadow" not in plain.pictures
    told = found.pictures["shadow"]
    assert told.shape == found.alpha.shape
    assert not told[found.alpha == 255].any()
    assert 0.2 < told.max() / 255 < 0.35
    if not size:
        assert np.abs(told / 255 - shadow)[alpha == 0].mean() < 0.012
        assert found.alpha[(alpha == 0) & (shadow > 0.15)].mean() < 5
    else:  # beside the object, on the side where it was cast, or its mirror image
        rows, columns = np.nonzero(told > 40)
        y, x = np.nonzero(found.alpha > 128)
        assert rows.mean() > y.mean() + 2
        assert abs(columns.mean() - x.mean()) > 6


def shapes_of_all(path: Path, bias: float) -> Path:
    """Weights of a shape network that takes everything for object, or nothing."""
    network = ShapeNetwork()
    with torch.no_grad():
        network.out.bias.copy_(torch.tensor([bias, -6.0, 0.0]))
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, path)
    return path


def test_shapes_that_the_user_trained_are_believed(tmp_path: Path) -> None:
    thin = np.linspace(0.1, 0.6, 96)[:, None, None]
    veil = np.rint(thin * before(GREEN, 8) + (1 - thin) * np.array(GREEN)).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 2, veil.shape)  # else the screen is a drawn one, and no shape is asked
    put(tmp_path / "in/veil.png", coded(np.clip(veil + noise, 0, 255).astype(np.uint8)))
    weights = shapes_of_all(tmp_path / "own.safetensors", 12.0)
    off = ("label_error_max", "residual_max", "key_distance_min", "green_residue_max")
    flags = [word for gate in off for word in ("--set", f"gates.{gate}=null")]
    for name, more in (("shipped", ()), ("own", ("--shape-weights", str(weights)))):
        assert keyed(tmp_path / "in", tmp_path / name, *flags, *more) == 0
    shipped, own = (next(iter(DataSet(tmp_path / name))).alpha for name in ("shipped", "own"))
    assert np.count_nonzero(own > 200) > np.count_nonzero(shipped > 200) + 500
    resumed = ran(tmp_path / "in", tmp_path / "own", *flags, "--shape-weights", str(weights))
    assert resumed.code == 0
    shapes_of_all(weights, -12.0)
    refused = factory_here(
        "key", tmp_path / "in", "--out", tmp_path / "own", *flags, "--shape-weights", weights, *LOCAL
    )
    assert refused.code == 2, "the plan knows the weights by their hash"
    assert keyed(tmp_path / "in", tmp_path / "other", *flags, "--shape-weights", str(weights)) == 0
    other = next(iter(DataSet(tmp_path / "other"))).alpha
    assert np.count_nonzero(other > 200) < np.count_nonzero(own > 200), "the same path, other weights, one process"


@pytest.mark.parametrize(
    ("name", "content", "mend"),
    [
        ("absent.safetensors", None, "no such file"),
        ("cut.safetensors", b"\x10", "copy it again"),
        ("w.pth", b"", "convert"),
    ],
)
def test_weights_that_are_none_are_one_sentence(tmp_path: Path, name: str, content: bytes | None, mend: str) -> None:
    put(tmp_path / "in/a.png", coded(before(GREEN, 1)))
    if content is not None:
        put(tmp_path / name, content)
    ended = factory_here("key", tmp_path / "in", "--out", tmp_path / "out", "--shape-weights", tmp_path / name, *LOCAL)
    assert ended.code == 2
    assert mend in ended.sentence
