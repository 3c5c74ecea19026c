"""RGBA folders: what is planned, what is decoded, what is refused and why."""

import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from factory.equation import residual
from factory.errors import DataError, InputChanged, UsageError
from factory.sample import Request, Sample
from factory.sources.captioning.names import name_from_path, with_article
from factory.sources.entry import Row
from factory.sources.files.framing import framed, moved_within, pad_colour, resized
from factory.sources.files.rgba import decode
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


def _sixteen_bits(folder: Path) -> Path:
    path = folder / "deep.png"
    cv2.imwrite(str(path), np.full((8, 8, 4), 40_000, np.uint16))
    return path


def _bomb(folder: Path) -> Path:
    """A header that promises 50,000 × 50,000 pixels."""
    path = _save(_disc(), folder / "bomb.png")
    data = bytearray(path.read_bytes())
    data[16:24] = (50_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def _large(folder: Path) -> Path:
    return _save(Image.new("LA", (9000, 5000), (0, 9)), folder / "large.png")


BAD = {
    "undecodable": [
        _broken,
        lambda f: (f / "text.webp").write_text("hello"),
        lambda f: (f / "empty.png").write_bytes(b""),
    ],
    "no_alpha": [lambda f: _save(Image.new("RGB", (9, 9)), f / "plain.png")],
    "empty": [lambda f: _save(Image.new("RGBA", (9, 9)), f / "clear.png")],
    "opaque": [lambda f: _save(Image.new("RGBA", (9, 9), (1, 2, 3, 255)), f / "full.png")],
    "depth": [_sixteen_bits],
    "format": [lambda f: _save(Image.new("CMYK", (9, 9)), f / "print.png", format="JPEG")],
    "too_large": [_bomb, _large],
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
    with pytest.raises(UsageError, match="no PNG or WebP"):
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
