"""Mattes for pictures: any size, in tiles without seams, from trimaps, masks or a screen, each picture by itself."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from program import Ended, factory_here

from factory.errors import DataError, UsageError
from factory.matting.applying import matte
from factory.matting.masks_to_trimaps import Band, band_of, trimap_of_mask
from factory.matting.networks.folder import save_network
from factory.matting.networks.kinds import build
from factory.matting.networks.network import MattingNetwork
from factory.shards.lock import hold

Levels = NDArray[np.uint8]
Shape = tuple[int, int]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def network() -> MattingNetwork:
    """A small one whose weights were drawn, and which answers with more than greys."""
    torch.manual_seed(0)
    drawn = build("small", {}).eval()
    with torch.no_grad():
        drawn.get_parameter("pred.weight").mul_(20)
    return drawn


@pytest.fixture(scope="session")
def model(network: MattingNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks") / "small"
    save_network(folder, network, "small", {})
    return folder


def picture(shape: Shape, seed: int = 0) -> Levels:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def disc(shape: Shape) -> Levels:
    """A binary mask of half of the shorter side across."""
    mask = np.zeros(shape, np.uint8)
    cv2.circle(mask, (shape[1] // 2, shape[0] // 2), min(shape) // 4, 255, -1)
    return mask


def on_green(shape: Shape) -> Levels:
    """A red disc with a soft edge before a filmed green screen."""
    alpha = cv2.GaussianBlur(disc(shape), (0, 0), 1.5)[..., None] / 255
    screen = np.random.default_rng(1).normal((40, 180, 60), 1.5, (*shape, 3))
    return np.asarray((alpha * (200, 60, 50) + (1 - alpha) * screen).round().clip(0, 255), np.uint8)


def save(levels: Levels, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), levels if levels.ndim == 2 else np.ascontiguousarray(levels[..., ::-1]))


def load(file: Path) -> Levels:
    levels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert levels is not None
    return np.asarray(levels, np.uint8)


# ---- one picture


@pytest.mark.parametrize("shape", [(1, 1), (7, 50), (33, 64), (65, 31)])
def test_a_picture_of_any_size_has_a_matte_of_its_size(network: MattingNetwork, shape: Shape) -> None:
    alpha = matte(network, picture(shape), np.full(shape, 128, np.uint8))
    assert (alpha.shape, alpha.dtype) == (shape, np.float32)
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_what_a_trimap_knows_stays_as_it_is(network: MattingNetwork) -> None:
    trimap = trimap_of_mask(disc((60, 90)), 6)
    alpha = matte(network, picture((60, 90)), trimap)
    assert np.array_equal(alpha[trimap != 128], (trimap[trimap != 128] > 0).astype(np.float32))


def test_a_trimap_without_unknown_is_the_matte_itself(network: MattingNetwork) -> None:
    mask = disc((60, 90))
    assert np.array_equal(matte(network, picture((60, 90)), mask), mask / np.float32(255))


def test_a_trimap_of_another_size_or_with_other_levels_is_refused(network: MattingNetwork) -> None:
    with pytest.raises(DataError, match=r"the trimap is 90×60, the picture 61×60"):
        matte(network, picture((60, 61)), np.zeros((60, 90), np.uint8))
    with pytest.raises(DataError, match="holds 127"):
        matte(network, picture((8, 8)), np.full((8, 8), 127, np.uint8))


def test_a_network_whose_answers_are_no_numbers_is_refused() -> None:
    broken = build("small", {}).eval()
    with torch.no_grad():
        broken.get_parameter("pred.bias").fill_(torch.nan)
    with pytest.raises(UsageError, match="no number"):
        matte(broken, picture((16, 16)), np.full((16, 16), 128, np.uint8))


# ---- tiles


class Blur(MattingNetwork):
    """The mean over a square of 25 pixels across, shrunk and enlarged on a grid of 8: it sees 20 pixels far."""

    multiple = 8

    def forward(self, image: torch.Tensor, trimap: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(image.mean(dim=1, keepdim=True) * trimap, 8)
        seen = torch.nn.functional.avg_pool2d(small, 3, stride=1, padding=1, count_include_pad=False)
        return torch.nn.functional.interpolate(seen, scale_factor=8.0, mode="nearest")


@pytest.mark.parametrize("shape", [(250, 190), (128, 513), (300, 300)])
def test_tiles_are_the_whole_where_the_network_sees_no_further_than_they_share(shape: Shape) -> None:
    whole, known = picture(shape), np.full(shape, 128, np.uint8)
    difference = np.abs(matte(Blur(), whole, known) - matte(Blur(), whole, known, tile=160))
    assert difference.max() < 1e-6


def test_the_small_network_s_tiles_are_the_whole_where_they_share_what_it_sees(network: MattingNetwork) -> None:
    shape = (8, 8700)  # it sees some 640 pixels far, the last few hardly: of tiles of 6656 the outer 624 are not used
    whole, known = picture(shape), np.full(shape, 128, np.uint8)
    alpha = matte(network, whole, known)
    assert alpha.std() > 0.01
    assert np.abs(alpha - matte(network, whole, known, tile=6656)).max() < 1e-5


def test_across_usual_bands_smaller_tiles_are_the_whole_to_less_than_a_level(network: MattingNetwork) -> None:
    """What is known on both sides of a band keeps α from far away out."""
    whole, known = picture((96, 1000)), np.zeros((96, 1000), np.uint8)
    known[:30] = 255
    known[30:66] = 128
    assert np.abs(matte(network, whole, known) - matte(network, whole, known, tile=512)).max() < 1 / 255


# ---- trimaps from masks


@given(arrays(np.uint8, (24, 31), elements=st.sampled_from([0, 255])), st.floats(0, 12), st.floats(0, 6))
def test_a_wider_band_leaves_more_unknown_and_turns_nothing_over(mask: Levels, band: float, more: float) -> None:
    narrow, wide = trimap_of_mask(mask, band), trimap_of_mask(mask, band + more)
    assert ((wide == narrow) | (wide == 128)).all()
    assert ((narrow == mask) | (narrow == 128)).all()
    assert np.array_equal(trimap_of_mask(255 - mask, band), 255 - narrow.astype(int) + (narrow == 128))


def test_a_band_is_as_wide_as_it_says_and_a_picture_s_border_has_none() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    trimap = trimap_of_mask(mask, 5)
    assert trimap[0].tolist() == [0] * 25 + [128] * 10 + [255] * 25


def test_what_a_soft_mask_is_not_sure_of_is_unknown() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 40:], mask[10:20, 5:15] = 255, 100
    assert (trimap_of_mask(mask, 0)[10:20, 5:15] == 128).all()


def test_a_width_is_in_pixels_or_a_share_of_the_longer_side() -> None:
    assert band_of("12") == Band(12, relative=False)
    assert band_of("2%").pixels((100, 300)) == 6
    for wrong in ("wide", "-1", "60%", "nan", "inf", "1e300"):
        with pytest.raises(UsageError, match="--band"):
            band_of(wrong)


# ---- the command


def folder_of(tmp_path: Path, names: tuple[str, ...] = ("a", "deep/b")) -> Path:
    """Pictures, trimaps, masks and truths of these names."""
    for name in names:
        save(picture((48, 70)), tmp_path / "pictures" / f"{name}.png")
        save(disc((48, 70)), tmp_path / "masks" / f"{name}.png")
        save(trimap_of_mask(disc((48, 70)), 5), tmp_path / "trimaps" / f"{name}.png")
    return tmp_path


def run(folder: Path, model: Path, *more: str | Path) -> Ended:
    return factory_here("matte", folder / "pictures", "--model", model, "--out", folder / "mattes", *more)


def test_mattes_go_all_the_way_to_their_evaluation(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    ended = run(folder, model, "--trimaps", folder / "trimaps", "--foregrounds", folder / "fg")
    assert (ended.code, ended.out.startswith("2 mattes made")) == (0, True), ended
    assert load(folder / "fg" / "deep" / "b.png").shape == (48, 70, 3)
    told = factory_here("evaluate", folder / "mattes", folder / "masks", "--trimap", folder / "trimaps")
    assert told.code == 0, told
    assert "mean of 2 " in told.out


def test_masks_and_screens_tell_where_to_look(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("a",))
    assert run(folder, model, "--masks", folder / "masks", "--band", "5").code == 0
    alpha, known = load(folder / "mattes" / "a.png"), load(folder / "trimaps" / "a.png")
    assert np.array_equal(alpha[known != 128], known[known != 128])
    save(on_green((120, 160)), folder / "screen" / "disc.png")
    ended = factory_here("matte", folder / "screen", "--model", model, "--auto", "--out", folder / "keyed")
    assert ended.code == 0, ended
    alpha, inside = load(folder / "keyed" / "disc.png"), disc((120, 160))
    far = trimap_of_mask(inside, 12)
    assert np.array_equal(alpha[far != 128], inside[far != 128])


def test_what_is_there_is_kept_and_what_is_missing_is_made_again(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    flags = ("--trimaps", folder / "trimaps")
    run(folder, model, *flags)
    before = load(folder / "mattes" / "a.png")
    kept = (folder / "mattes" / "deep" / "b.png").stat().st_mtime_ns
    (folder / "mattes" / "a.png").unlink()
    ended = run(folder, model, *flags)
    assert "1 matte made" in ended.out
    assert "1 were there" in ended.out
    assert np.array_equal(load(folder / "mattes" / "a.png"), before)
    assert (folder / "mattes" / "deep" / "b.png").stat().st_mtime_ns == kept


def test_a_matte_of_a_picture_or_mask_that_changed_is_made_again(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("a", "b", "c"))
    flags = ("--masks", folder / "masks", "--foregrounds", folder / "fg")
    run(folder, model, *flags)
    before = {name: load(folder / "mattes" / f"{name}.png") for name in "abc"}
    save(picture((48, 70), seed=1), folder / "pictures" / "a.png")
    save(255 - disc((48, 70)), folder / "masks" / "b.png")
    ended = run(folder, model, *flags)
    assert ended.out.startswith("2 mattes made"), ended
    changed = [name for name in "abc" if not np.array_equal(load(folder / "mattes" / f"{name}.png"), before[name])]
    assert changed == ["a", "b"]


def test_files_that_were_not_made_here_are_never_written_over(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("a",))
    own = folder / "masks" / "a.png"
    before = own.read_bytes()
    for flags in (("--out", folder / "masks"), ("--foregrounds", folder / "masks")):
        ended = run(folder, model, "--masks", folder / "masks", *flags)
        assert (ended.code, "a.png is there and no matte made here" in ended.sentence) == (2, True), ended
    one = folder / "pictures" / "a.png"
    ended = factory_here("matte", one, "--model", model, "--masks", folder / "masks", "--out", one.parent)
    assert (ended.code, own.read_bytes()) == (2, before)


def test_foregrounds_have_a_folder_of_their_own(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("a",))
    for place, said in ((folder / "mattes", "each a folder of its own"), (folder / "pictures" / "fg", "lies in")):
        ended = run(folder, model, "--masks", folder / "masks", "--foregrounds", place)
        assert (ended.code, said in ended.sentence) == (2, True), ended


def test_a_place_that_cannot_be_written_to_is_named(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("a",))
    (folder / "mattes").write_bytes(b"")
    ended = run(folder, model, "--masks", folder / "masks")
    assert (ended.code, "mattes" in ended.sentence) == (1, True), ended
    assert "unexpected" not in ended.sentence


def test_two_runs_do_not_share_a_folder(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("a",))
    (folder / "mattes").mkdir()
    with hold(folder / "mattes" / ".lock", "another"):
        assert "another run" in run(folder, model, "--masks", folder / "masks").sentence


def test_another_network_or_band_does_not_go_on_with_the_folder(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("a",))
    run(folder, model, "--masks", folder / "masks")
    assert "trimaps" in run(folder, model, "--masks", folder / "masks", "--band", "7").sentence
    save_network(tmp_path / "other", build("small", {}), "small", {})
    ended = run(folder, tmp_path / "other", "--masks", folder / "masks")
    assert (ended.code, "(network)" in ended.sentence) == (2, True)


def test_a_bad_picture_fails_alone_and_is_told_at_the_end(model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ("good", "small", "lost"))
    (folder / "pictures" / "broken.jpg").write_bytes(b"no picture")
    (folder / "trimaps" / "lost.png").unlink()
    save(np.full((9, 9), 128, np.uint8), folder / "trimaps" / "small.png")
    ended = run(folder, model, "--trimaps", folder / "trimaps")
    assert ended.code == 1
    assert [file.name for file in (folder / "mattes").glob("*.png")] == ["good.png"]
    for said in ("3 pictures have none", "broken: ", "lost: there is no trimap", "small: the trimap is 9×9"):
        assert said in ended.out


def test_a_picture_without_a_screen_is_told_to_have_a_mask_or_trimap(model: Path, tmp_path: Path) -> None:
    ended = run(folder_of(tmp_path, ("a",)), model, "--auto")
    assert ended.code == 1
    assert "--masks" in ended.out


def test_one_picture_is_matted_too(model: Path, tmp_path: Path) -> None:
    folder, masks = folder_of(tmp_path, ("a",)), tmp_path / "masks"
    ended = factory_here("matte", folder / "pictures" / "a.png", "--model", model, "--masks", masks, "--out", folder)
    assert (ended.code, (folder / "a.png").is_file()) == (0, True), ended


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "give one of --trimaps"),
        (("--auto", "--masks", "masks"), "give one of --trimaps"),
        (("--trimaps", "trimaps", "--band", "3"), "--band has no part"),
        (("--auto", "--band", "wide"), "--band wide"),
        (("--masks", "none"), "none is no folder"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(
    flags: tuple[str, ...], said: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of(tmp_path, ("a",)))
    ended = run(tmp_path, model, *flags)
    assert (ended.code, said in ended.sentence) == (2, True), ended


def test_mattes_among_the_pictures_are_refused(model: Path, tmp_path: Path) -> None:
    pictures = folder_of(tmp_path, ("a",)) / "pictures"
    ended = factory_here("matte", pictures, "--model", model, "--auto", "--out", pictures / "mattes")
    assert (ended.code, "give one elsewhere" in ended.sentence) == (2, True), ended
