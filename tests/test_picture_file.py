"""Ordinary and odd picture files: each becomes upright 8-bit sRGB, or a fault with a name."""

import io
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from factory.errors import DataError
from factory.pictures.cutout import decode
from factory.pictures.matte import decode_levels
from factory.pictures.picture import FORMATS, chroma_is_halved, decode_picture
from factory.sample import Picture

HEIGHT, WIDTH = 20, 30


def gradient() -> Picture:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.dstack([8 * x, 12 * y, 255 - 4 * (x + y)]).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_lossless_formats_give_their_pixels(kind: str, options: dict[str, Any]) -> None:
    data = saved(Image.fromarray(gradient()), kind, **options)
    assert np.array_equal(decode_picture(data), gradient())


def test_a_jpeg_is_near_its_pixels() -> None:
    error = decode_picture(saved(Image.fromarray(gradient()), "JPEG", quality=95)).astype(int) - gradient()
    assert np.abs(error).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "PNG of 16 bits", "TIFF of 16 bits"])
def test_a_turned_picture_stands_upright(kind: str, orientation: int) -> None:
    """Every orientation in every container comes out as Pillow's own reading of the same picture as a PNG."""
    levels = np.kron(gradient()[::10, ::10], np.ones((10, 10, 1), np.uint8))  # flat blocks: JPEG keeps them
    expected = decode_picture(saved(Image.fromarray(levels), "PNG", exif=turned(orientation)))
    assert expected.shape[:2] == ((HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT))
    match kind:
        case "PNG of 16 bits":
            data = with_exif(deep(levels.astype(np.uint16) * 257, ".png"), orientation)
        case "TIFF of 16 bits":
            grey = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
            data, expected = saved(grey, "TIFF", tiffinfo={274: orientation}), np.dstack([expected[..., 0]] * 3)
        case "TIFF":
            data = saved(Image.fromarray(levels), "TIFF", tiffinfo={274: orientation})
        case _:
            data = saved(Image.fromarray(levels), kind, exif=turned(orientation), quality=100, subsampling=0)
    picture = decode_picture(data)
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).max() <= (6 if kind == "JPEG" else 0)


def deep(levels: NDArray[np.uint16], suffix: str) -> bytes:
    """A 16-bit picture, RGB or grey."""
    return cv2.imencode(suffix, levels[..., ::-1] if levels.ndim == 3 else levels)[1].tobytes()


def with_exif(png: bytes, orientation: int) -> bytes:
    body = b"eXIf" + turned(orientation).tobytes()[6:]
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_are_rounded_not_cut(suffix: str) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    assert np.array_equal(decode_picture(deep(levels, suffix)), np.rint(levels / 257))
    grey = decode_picture(deep(np.ascontiguousarray(levels[..., 0]), suffix))
    assert np.array_equal(grey[..., 1], np.rint(levels[..., 0] / 257))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_other_colours_become_rgb(mode: str) -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255)).convert(mode)
    picture = decode_picture(saved(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert (picture == 255).all()


def test_a_print_jpeg_keeps_its_colours() -> None:
    red = Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0))
    assert np.abs(decode_picture(saved(red, "JPEG")).astype(int) - (255, 0, 0)).max() <= 3


def test_an_embedded_profile_is_honoured_and_a_broken_one_has_no_say() -> None:
    image = Image.fromarray(gradient())
    lab = ImageCms.createProfile("LAB")
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode_picture(saved(image, "PNG", icc_profile=other)), gradient())
    for useless in (b"no profile", ImageCms.ImageCmsProfile(lab).tobytes()):
        assert np.array_equal(decode_picture(saved(image, "PNG", icc_profile=useless)), gradient())
    wide = decode_picture(saved(image, "PNG", icc_profile=swapped_primaries(other)))
    assert np.abs(wide.astype(int)[..., [2, 1, 0]] - gradient()).max() <= 2


def swapped_primaries(profile: bytes) -> bytes:
    """The sRGB profile with red's and blue's primaries exchanged, under another name."""
    tags = {profile[i : i + 4]: i for i in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)}
    data = bytearray(profile)
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = profile[blue + 4 : blue + 12], profile[red + 4 : red + 12]
    return bytes(data).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (decode_picture(data) == (255, 0, 0)).all()


def bomb() -> bytes:
    data = bytearray(saved(Image.new("L", (4, 4)), "PNG"))
    data[16:24] = (50_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def faults() -> dict[str, tuple[str, bytes]]:
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(np.uint8)), "JPEG")
    png = saved(Image.fromarray(gradient()), "PNG")
    wide = deep(np.random.default_rng(0).integers(0, 65536, (90, 90, 3)).astype(np.uint16), ".png")
    return {
        "nothing": ("undecodable", b""),
        "text": ("undecodable", b"hello, I am no picture"),
        "a cut JPEG": ("undecodable", whole[: len(whole) // 2]),
        "a cut PNG": ("undecodable", png[: len(png) // 2]),
        "a cut PNG of 16 bits": ("undecodable", wide[: len(wide) // 2]),
        "a video": ("undecodable", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"),
        "a bomb": ("too_large", bomb()),
        "floats": ("depth", saved(Image.new("F", (9, 9)), "TIFF")),
        "32 bits": ("depth", saved(Image.new("I", (9, 9)), "TIFF")),
    }


@pytest.mark.parametrize("name", faults())
def test_what_is_no_picture_says_why(name: str) -> None:
    kind, data = faults()[name]
    with pytest.raises(DataError) as fault:
        decode_picture(data)
    assert fault.value.kind == kind
    assert fault.value.__cause__ is None


def test_broken_files_leave_no_line_of_a_library_s_own_on_stderr(tmp_path: Path) -> None:
    """Such a line names no file; the fault does."""
    levels = np.random.default_rng(0).integers(0, 256, (170, 190, 3)).astype(np.uint8)
    wide = deep(levels.astype(np.uint16) * 257, ".png")
    files = [
        *(saved(Image.fromarray(levels), "TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_adobe_deflate")),
        saved(Image.fromarray(levels), "PNG"),
        wide,
        deep(levels.astype(np.uint16) * 257, ".tiff"),
    ]
    for number, data in enumerate(files):
        (tmp_path / f"{number}.broken").write_bytes(data[:3000] + b"\xff" * 100 + data[3100:])
        (tmp_path / f"{number}.cut").write_bytes(data[: len(data) // 2])
    odd_profile = b"iCCP" + b"x\0\0" + zlib.compress(b"odd" * 60)
    chunk = struct.pack(">I", len(odd_profile) - 4) + odd_profile + struct.pack(">I", zlib.crc32(odd_profile))
    (tmp_path / "sound.png").write_bytes(wide[:33] + chunk + wide[33:])
    palette = Image.fromarray(levels[:64, :64]).convert("P")
    (tmp_path / "palette.png").write_bytes(saved(palette, "PNG", transparency=bytes(range(256))))
    (tmp_path / "bomb.png").write_bytes(bomb())
    code = (
        "import sys, pathlib\nfrom factory.errors import DataError\n"
        "from factory.pictures.picture import decode_picture\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        decode_picture(path.read_bytes())\n        print(path.name)\n"
        "    except DataError:\n        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.split() == ["palette.png", "sound.png"]


def whole_files() -> list[bytes]:
    """A cut-out in every kind of file, with a profile and an orientation where they fit."""
    random = np.random.default_rng(0)
    rgba = random.integers(0, 256, (40, 50, 4)).astype(np.uint8)
    image, profile = Image.fromarray(rgba), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = {"exif": turned(6), "icc_profile": profile}
    files = [saved(image, kind, **told) for kind in ("PNG", "WEBP", *(["AVIF"] if "AVIF" in FORMATS else []))]
    files += [saved(image, "TIFF", compression=way) for way in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")]
    files += [saved(image.convert("RGB"), "JPEG", **told), saved(image.convert("CMYK"), "JPEG")]
    files += [saved(image, kind) for kind in ("GIF", "BMP")] + [saved(image.convert("LA"), "PNG")]
    return [*files, *(deep(rgba.astype(np.uint16) * 257, suffix) for suffix in (".png", ".tiff"))]


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """With some bytes changed, left out, or cut off."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 8)):
        place = int(random.integers(max(1, len(changed) - 4)))
        match int(random.integers(4)):
            case 0:
                changed[place : place + 1] = random.bytes(1)
            case 1:
                changed[place : place + 4] = int(random.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1])).to_bytes(4, "big")
            case 2:
                del changed[place : place + int(random.integers(1, 9))]
            case 3:
                del changed[place + 1 :]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_mutated_file_is_a_picture_or_a_fault_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    files, random = whole_files(), np.random.default_rng(7)
    outcomes = Counter[str]()
    for number in range(2000):
        data = mutated(files[number % len(files)], random)
        for read in (decode_picture, decode_levels, decode):
            try:
                read(data)
                outcomes["read"] += 1
            except DataError as fault:
                outcomes[fault.kind] += 1
    assert outcomes["read"] > 100
    assert outcomes["undecodable"] > 100
    assert capfd.readouterr().err == ""


def test_a_jpeg_tells_whether_its_colours_have_half_its_resolution() -> None:
    image = Image.fromarray(np.zeros((16, 16, 3), np.uint8))
    for kind, traits, halved in (
        ("JPEG", {"subsampling": "4:2:0"}, True),
        ("JPEG", {"subsampling": "4:4:4"}, False),
        ("PNG", {}, False),
    ):
        content = io.BytesIO()
        image.save(content, kind, **traits)
        assert chroma_is_halved(content.getvalue()) is halved, (kind, traits)
