"""RGBA folders: what is planned, what is decoded, what is refused and why."""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms
from small_sources import fates, put, recipe
from small_sources import made as run
from test_picture_file import swapped_primaries

from factory.equation import residual
from factory.errors import DataError, InputChanged, UsageError
from factory.greenscreen.framing import BAND, framed, moved_within, pad_colour, resized, shrunk_in_bands
from factory.pictures.cutout import decode, probe
from factory.pictures.picture import FORMATS, decode_picture
from factory.sample import Request, Sample
from factory.shards.data_set import DataSet
from factory.sources.captioning.names import name_from_path, with_article
from factory.sources.entry import Row
from factory.sources.files.rgba_folder import RgbaFolder, RgbaSettings, first_look
from factory.sources.files.rgba_folder import list_items as list_looked_at


def list_items(folder: Path, **options: Any) -> list[Row]:
    return list_looked_at(folder, lambda paths: [first_look(folder / path) for path in paths], **options)


def _disc(size: int = 40, colour: tuple[int, int, int] = (200, 30, 40)) -> Image.Image:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    alpha = np.clip((size * 0.4 - np.hypot(x, y)) * 255, 0, 255)
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[..., :3] = np.where(alpha[..., None] > 0, colour, 0)
    pixels[..., 3] = alpha
    return Image.fromarray(pixels, "RGBA")


def _make(folder: Path, seed: int = 3, **changes: Any) -> list[Sample | DataError]:
    rows = list_items(folder, licence="CC0-1.0", attribution="somebody")
    source = RgbaFolder(folder, RgbaSettings(size=32, **changes))
    requests = [Request(key=f"{i:010d}", slot=i, attempt=0, seed=seed, item=row) for i, row in enumerate(rows)]
    return list(source(requests))


def _one(folder: Path, **changes: Any) -> Sample:
    (made,) = _make(folder, **changes)
    assert isinstance(made, Sample)
    return made


def test_rows_are_sorted_and_say_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    _disc().save(tmp_path / "b" / "redApple_07.png")
    _disc(20).save(tmp_path / "a-owl.webp", lossless=True)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    rows = list_items(tmp_path, licence="MIT", attribution="me")
    assert [row["path"] for row in rows] == ["a-owl.webp", "b/redApple_07.png"]
    apple = rows[1]
    data = (tmp_path / "b" / "redApple_07.png").read_bytes()
    assert apple["sha256"] == hashlib.sha256(data).hexdigest()
    assert (apple["size"], apple["width"], apple["height"]) == (len(data), 40, 40)
    assert (apple["caption"], apple["class_name"]) == ("a red apple", "red apple")
    assert (apple["licence"], apple["attribution"], apple["error_kind"]) == ("MIT", "me", "")
    assert list_items(tmp_path, captions="folder")[1]["caption"] == "a b"


def test_linked_folders_are_followed_and_loops_are_seen(tmp_path: Path) -> None:
    for folder in ("things/real", "elsewhere/deep"):
        (tmp_path / folder).mkdir(parents=True)
        _disc().save(tmp_path / folder / "owl.png")
    things = tmp_path / "things"
    (things / "linked").symlink_to("../elsewhere")
    (things / "back").symlink_to("..")
    (tmp_path / "elsewhere" / "deep" / "itself").symlink_to(".")
    (things / "dangling").symlink_to("nowhere")
    rows = list_items(things)
    assert [row["path"] for row in rows] == ["back/elsewhere/deep/owl.png", "linked/deep/owl.png", "real/owl.png"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("redApple_07.png", "red apple"),
        ("x/blackSmoke07.webp", "black smoke"),
        ("1st_place_medal.webp", "1st place medal"),
        ("wine-glass.png", "wine glass"),
        ("chairModern_SE.png", "chair modern"),
        ("0001.png", "my fruits"),
        ("owls/12.png", "owls"),
        ("été.png", "été"),
    ],
)
def test_names_become_words(path: str, name: str) -> None:
    assert name_from_path("My Fruits", path, "file") == name


def test_articles() -> None:
    assert with_article("red apple") == "a red apple"
    assert with_article("owl") == "an owl"
    for heard in ("u case", "unicorn", "uniform", "ukulele", "UFO", "user", "European owl", "one-way sign", "house"):
        assert with_article(heard) == f"a {heard}"
    for heard in ("umbrella", "Owl", "urn", "ugly cat", "uninteresting cup", "hour glass", "x ray", "onion"):
        assert with_article(heard) == f"an {heard}"


def test_a_sample_is_composited_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    _disc().save(tmp_path / "plum.png")
    sample, again = _one(tmp_path), _one(tmp_path)
    assert sample.rgb.tobytes() == again.rgb.tobytes()
    assert sample.alpha is not None
    assert sample.foreground is not None
    assert residual(sample.rgb, sample.alpha, sample.foreground, sample.plate) <= 0.51
    assert sample.alpha.max() == 255
    assert sample.alpha.min() == 0
    assert (sample.foreground == (200, 30, 40)).all(axis=-1).all()
    assert sample.origin.caption == "a plum"
    assert (sample.origin.licence, sample.origin.attribution) == ("CC0-1.0", "somebody")
    assert _one(tmp_path, seed=4).rgb.tobytes() != sample.rgb.tobytes()


def test_a_binary_mask_is_marked(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:6, 2:6] = (9, 90, 200, 255)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "tile.png")
    assert not _one(tmp_path).origin.soft_alpha


def test_palette_transparency_and_exif_orientation_are_honoured(tmp_path: Path) -> None:
    wide = Image.new("RGBA", (40, 10), (220, 40, 30, 255))
    wide.paste((0, 0, 0, 0), (0, 0, 40, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90°
    wide.save(tmp_path / "turned.png", exif=exif)
    palette = _disc().quantize(16)
    assert palette.mode == "P"
    palette.save(tmp_path / "palette.png")
    flat, upright = _make(tmp_path, wander=0.0)
    assert isinstance(flat, Sample)
    assert isinstance(upright, Sample)
    assert upright.alpha is not None
    rows, columns = (np.ptp(np.nonzero(upright.alpha.any(axis=k))) for k in (1, 0))
    assert rows > 2 * columns


@pytest.mark.parametrize("options", [{}, {"compress_level": 1}])
def test_a_plain_png_has_the_pixels_that_pillow_sees(options: dict[str, Any]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 4)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    foreground, alpha = decode(file.getvalue())
    assert np.array_equal(foreground, pixels[..., :3])
    assert np.array_equal(alpha, pixels[..., 3])
    for end in range(60, len(file.getvalue()) - 60, 1000):
        with pytest.raises(DataError) as fault:
            decode(file.getvalue()[:end])
        assert fault.value.kind == "undecodable"


def _broken(folder: Path) -> Path:
    path = folder / "broken.png"
    _disc().save(path)
    path.write_bytes(path.read_bytes()[:120])
    return path


def _save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def _bomb(folder: Path, width: int = 50_000, height: int = 50_000) -> Path:
    """A header that promises that many pixels."""
    path = _save(_disc(), folder / "bomb.png")
    data = bytearray(path.read_bytes())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def _trimap(folder: Path) -> Path:
    levels = np.zeros((40, 40), np.uint8)
    levels[8:32, 8:32], levels[14:26, 14:26] = 128, 255
    return _save(Image.fromarray(np.dstack([np.full((40, 40, 3), 200, np.uint8), levels])), folder / "trimap.png")


def multiplied(image: Image.Image) -> NDArray[np.uint8]:
    """A cut-out as programs keep it in memory, and some on disk: its colours times its alpha."""
    pixels = np.asarray(image).copy()
    pixels[..., :3] = np.rint(pixels[..., :3] * (pixels[..., 3:] / 255))
    return pixels


BAD = {
    "undecodable": [
        _broken,
        lambda f: (f / "text.webp").write_text("hello"),
        lambda f: (f / "empty.png").write_bytes(b""),
    ],
    "no_alpha": [
        lambda f: _save(Image.new("RGB", (9, 9)), f / "plain.png"),
        lambda f: _save(Image.new("CMYK", (9, 9)), f / "print.png", format="JPEG"),
    ],
    "empty": [lambda f: _save(Image.new("RGBA", (9, 9)), f / "clear.png")],
    "opaque": [lambda f: _save(Image.new("RGBA", (9, 9), (1, 2, 3, 255)), f / "full.png")],
    "depth": [lambda f: _save(Image.new("F", (9, 9)), f / "floats.tiff")],
    "trimap": [_trimap],
    "premultiplied": [lambda f: _save(Image.fromarray(multiplied(_disc(80))), f / "multiplied.png")],
    "too_large": [_bomb, lambda f: _bomb(f, 12_000, 11_000)],
}


@pytest.mark.parametrize(("kind", "make"), [(kind, make) for kind, makers in BAD.items() for make in makers])
def test_a_bad_file_costs_its_own_sample_and_says_why(tmp_path: Path, kind: str, make: Any) -> None:
    make(tmp_path)
    _disc().save(tmp_path / "zebra.png")
    fault, good = _make(tmp_path)
    assert isinstance(fault, DataError)
    assert fault.kind == kind
    assert str(tmp_path) not in str(fault)
    assert isinstance(good, Sample)


def soft_disc(colour: tuple[int, int, int], least: int = 0) -> Image.Image:
    """A disc with a wide soft rim.  least: α below which nothing is kept, as some programs cut."""
    y, x = np.mgrid[:80, :80] - 39.5
    alpha = np.clip((36 - np.hypot(x, y)) * 12, 0, 255).astype(np.uint8)
    alpha[alpha < least] = 0
    return Image.fromarray(np.dstack([np.broadcast_to(np.array(colour, np.uint8), (80, 80, 3)), alpha]))


@pytest.mark.parametrize("colour", [(200, 30, 40), (255, 255, 255), (90, 60, 50)])
def test_multiplied_colours_are_recognised_and_divided_when_told(colour: tuple[int, int, int]) -> None:
    straight = soft_disc(colour)
    data = saved(multiplied(straight))
    with pytest.raises(DataError, match="premultiplied: true") as fault:
        decode(data)
    assert fault.value.kind == "premultiplied"
    foreground, alpha = decode(data, premultiplied=True)
    assert np.array_equal(alpha, np.asarray(straight)[..., 3])
    certain = alpha > 64
    assert np.abs(foreground[certain].astype(int) - colour).max() <= 2
    taken, _ = decode(data, premultiplied=False)
    assert np.array_equal(taken, multiplied(straight)[..., :3])


@pytest.mark.parametrize("colour", [(0, 0, 0), (12, 10, 14), (40, 40, 40), (130, 60, 50)])
@pytest.mark.parametrize("least", [0, 64])
def test_straight_colours_are_never_taken_for_multiplied_ones(colour: tuple[int, int, int], least: int) -> None:
    foreground, alpha = decode(saved(np.asarray(soft_disc(colour, least))))
    assert (foreground[alpha > 0] == colour).all()


def test_a_recipe_says_that_colours_are_multiplied(tmp_path: Path) -> None:
    put(tmp_path / "things" / "plum.png", saved(multiplied(soft_disc((200, 30, 40)))))
    source = {"type": "rgba_folder", "path": tmp_path / "things"}
    run(recipe(tmp_path / "recipe.yaml", source), tmp_path / "refused")
    assert fates(tmp_path / "refused") == {"plum.png": "premultiplied"}
    run(recipe(tmp_path / "told.yaml", source | {"premultiplied": True}), tmp_path / "told")
    sample = next(iter(DataSet(tmp_path / "told")))
    assert np.abs(sample.foreground[sample.alpha > 64].astype(int) - (200, 30, 40)).max() <= 3


def saved(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def sixteen_bits(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    """The same picture in 16 bits a channel."""
    return cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA).astype(np.uint16) * 257)[1].tobytes()


FILES: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "8-bit TIFF": lambda p: saved(p, "TIFF", compression="tiff_lzw"),
    "16-bit PNG": lambda p: sixteen_bits(p, ".png"),
    "16-bit TIFF": lambda p: sixteen_bits(p, ".tiff"),
    "WebP": lambda p: saved(p, "WEBP", lossless=True, exact=True),
}
if "AVIF" in FORMATS:
    FILES["AVIF"] = lambda p: saved(p, "AVIF", quality=100, subsampling="4:4:4")


@pytest.mark.parametrize("kind", FILES)
def test_a_cut_out_is_read_from_every_kind_of_file(kind: str) -> None:
    pixels = np.asarray(soft_disc((200, 130, 40)))
    foreground, alpha = decode(FILES[kind](pixels))
    near = 3 if kind == "AVIF" else 0
    assert np.abs(alpha.astype(int) - pixels[..., 3]).max() <= near
    assert np.abs(foreground.astype(int) - pixels[..., :3])[alpha > 8].max() <= near


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_cut_out_s_colour_profile_is_honoured_as_a_picture_s_is(kind: str) -> None:
    pixels = np.asarray(soft_disc((200, 30, 40)))
    profile = swapped_primaries(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    foreground, alpha = decode(saved(pixels, kind, icc_profile=profile, **options))
    assert np.array_equal(alpha, pixels[..., 3])
    assert np.abs(foreground[alpha > 0].astype(int) - (40, 30, 200)).max() <= 2
    assert np.array_equal(foreground, decode_picture(saved(pixels, kind, icc_profile=profile, **options)))


def associated(tiff: bytes) -> bytes:
    """The TIFF with ExtraSamples "associated alpha", written over that tag or over that of the sample format."""
    data = bytearray(tiff)
    (start,) = struct.unpack_from("<I", data, 4)
    entries = [start + 2 + 12 * i for i in range(struct.unpack_from("<H", data, start)[0])]
    place = max(entry for entry in entries if struct.unpack_from("<H", data, entry)[0] in (338, 339))
    struct.pack_into("<HHIHH", data, place, 338, 3, 1, 1, 0)
    return bytes(data)


def test_a_tiff_that_says_that_its_colours_are_multiplied_is_divided_without_being_told() -> None:
    straight = np.asarray(soft_disc((200, 30, 40)))
    pixels = multiplied(soft_disc((200, 30, 40)))
    for data in (saved(pixels, "TIFF"), sixteen_bits(pixels, ".tiff")):
        foreground, alpha = decode(associated(data))
        assert np.array_equal(alpha, straight[..., 3])
        assert np.abs(foreground[alpha > 64].astype(int) - (200, 30, 40)).max() <= 2


def test_medium_format_is_not_too_large(tmp_path: Path) -> None:
    width, height, fault = probe(_bomb(tmp_path, 12_000, 10_000).read_bytes())
    assert (width, height, fault) == (12_000, 10_000, None)


def test_what_the_header_tells_is_known_when_planning(tmp_path: Path) -> None:
    _bomb(tmp_path)
    _save(Image.new("RGB", (9, 9)), tmp_path / "plain.png")
    assert [row["error_kind"] for row in list_items(tmp_path)] == ["too_large", "no_alpha"]


def test_a_changed_or_lost_file_stops_the_run_and_is_named(tmp_path: Path) -> None:
    path = _save(_disc(), tmp_path / "plum.png")
    (row,) = list_items(tmp_path)
    source = RgbaFolder(tmp_path, RgbaSettings(size=32))
    request = Request(key="0000000000", slot=0, attempt=0, seed=1, item=row)
    _disc(colour=(1, 2, 3)).save(path)
    with pytest.raises(InputChanged, match=r"plum\.png"):
        source([request])
    path.unlink()
    with pytest.raises(InputChanged, match=r"plum\.png"):
        source([request])


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no picture of a kind that has alpha"):
        list_items(tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        list_items(tmp_path / "nowhere")


objects = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))


@settings(max_examples=25, deadline=None)
@given(objects, st.integers(16, 64), st.floats(0, 0.3))
def test_framing_keeps_an_object_whole_and_its_colour_true(
    shape: tuple[int, int, int], size: int, margin: float
) -> None:
    """One colour stays that colour, through shrinking, enlarging and under alpha 0; exact 0 and 255 survive."""
    height, width, seed = shape
    alpha = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    alpha[height // 2, width // 2] = 255
    colour = np.random.default_rng(seed + 1).integers(0, 256, 3).astype(np.uint8)
    noise = np.random.default_rng(seed + 2).integers(0, 256, (height, width, 3)).astype(np.uint8)
    picture = np.where(alpha[..., None] > 0, colour, noise).astype(np.uint8)
    foreground, matte = framed(picture, alpha, size, margin)
    assert foreground.shape == (size, size, 3)
    assert np.abs(foreground.astype(int) - colour).max() <= 1
    moved, shifted = moved_within(foreground, matte, 1.0, -1.0, 0.0)
    assert np.sort(shifted.ravel()).tobytes() == np.sort(matte.ravel()).tobytes()
    assert np.abs(moved.astype(int) - colour).max() <= 1


def test_a_large_picture_is_shrunk_in_bands_as_it_would_be_whole() -> None:
    height, width, factor = 2 * BAND * 3 + 60, 240, 3
    alpha = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
    foreground, matte = shrunk_in_bands(picture, alpha, factor)
    whole, whole_matte = resized(picture, alpha, height // factor, width // factor)
    assert np.array_equal(foreground, whole)
    assert np.array_equal(matte, whole_matte)
    assert shrunk_in_bands(picture[:-1, :-2], alpha[:-1, :-2], factor)[1].shape == matte.shape


def test_solid_and_clear_stay_exact_when_resized() -> None:
    alpha = np.zeros((64, 64), np.uint8)
    alpha[16:48, 16:48] = 255
    picture = np.full((64, 64, 3), 77, np.uint8)
    for size in (32, 128):
        _, matte = resized(picture, alpha, size, size)
        quarter = size // 4
        assert (matte[quarter + 3 : -quarter - 3, quarter + 3 : -quarter - 3] == 255).all()
        assert (matte[: quarter - 3] == 0).all()


def test_padding_leaves_what_is_seen_untouched() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (33, 21, 3)).astype(np.uint8)
    alpha = (rng.random((33, 21)) < 0.2).astype(np.uint8) * 90
    padded = pad_colour(picture, alpha)
    assert (padded[alpha > 0] == picture[alpha > 0]).all()
    assert (pad_colour(picture, np.zeros_like(alpha)) == picture).all()


def test_real_sets_are_read(shared_data: Path) -> None:
    folder = shared_data / "rgba_layerdiffuse"
    samples = _make(folder)
    assert samples
    for sample in samples:
        assert isinstance(sample, Sample)
        assert sample.origin.soft_alpha
