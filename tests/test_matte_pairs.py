"""Pictures with a matte of their own: every form of matte, every kind of foreground, every fault."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from factory.equation import residual
from factory.errors import DataError, InputChanged
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.pictures.matte import decode_matte, looks_inverted
from factory.sample import CAPTURED, Matte, Picture, Request, Sample
from factory.sources.files.matte_pairs import MattePairs, MattePairSettings

SIDE = 120
SETTINGS = MattePairSettings(size=96, flip=0.0)


def disc(side: int = SIDE) -> Matte:
    """A disc with an edge of some pixels."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return as_levels(np.clip((0.3 * side - np.hypot(x, y)) / 6 + 0.5, 0, 1))


def png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, options.pop("format", "PNG"), **options)
    return file.getvalue()


def grey(levels: Matte) -> bytes:
    return png(Image.fromarray(levels))


def row(root: Path, **files: bytes) -> dict[str, Any]:
    """A row over files that are written here: picture, alpha, foreground, background."""
    made: dict[str, Any] = {"class_name": "ball", "caption": "a ball", "licence": "CC0-1.0", "attribution": "somebody"}
    names = {"picture": ("path", "sha256")} | {
        name: (f"{name}_path", f"{name}_sha256") for name in ("alpha", "foreground", "background")
    }
    for name, (path, sha256) in names.items():
        made |= {path: "", sha256: ""}
        if name in files:
            (root / name).mkdir(exist_ok=True)
            (root / name / "été 1.png").write_bytes(files[name])
            made |= {path: f"{name}/été 1.png", sha256: hashlib.sha256(files[name]).hexdigest()}
    return made


def made(root: Path, item: dict[str, Any], seed: int = 3, settings: MattePairSettings = SETTINGS) -> Sample | DataError:
    (sample,) = MattePairs(root, settings)([Request(key="0000000000", slot=0, attempt=0, seed=seed, item=item)])
    return sample


def good(sample: Sample | DataError) -> tuple[Sample, Matte, Picture]:
    assert isinstance(sample, Sample), sample
    assert sample.alpha is not None
    assert sample.foreground is not None
    return sample, sample.alpha, sample.foreground


def photograph(alpha: Matte, colour: tuple[int, int, int], background: tuple[int, int, int]) -> Picture:
    plain = np.broadcast_to(as_unit(np.array(colour, np.uint8)), (*alpha.shape, 3))
    return as_levels(composite(np.asarray(plain), as_unit(alpha), as_unit(np.array(background, np.uint8))))


# ---- mattes in all forms


FORMS: dict[str, Callable[[Matte], bytes]] = {
    "8-bit grey": grey,
    "16-bit grey": lambda a: cv2.imencode(".png", a.astype(np.uint16) * 257)[1].tobytes(),
    "16-bit TIFF": lambda a: cv2.imencode(".tiff", a.astype(np.uint16) * 257)[1].tobytes(),
    "grey in RGB": lambda a: png(Image.fromarray(np.dstack([a, a, a]))),
    "palette": lambda a: png(Image.fromarray(a).convert("P")),
    "grey with full alpha": lambda a: png(Image.fromarray(np.dstack([a, np.full_like(a, 255)]), "LA")),
    "RGBA, white": lambda a: png(Image.fromarray(np.dstack([np.full((*a.shape, 3), 255, np.uint8), a]))),
    "RGBA, black": lambda a: png(Image.fromarray(np.dstack([np.zeros((*a.shape, 3), np.uint8), a]))),
    "RGBA, a picture": lambda a: png(Image.fromarray(np.dstack([photograph(a, (200, 30, 40), (0, 90, 200)), a]))),
    "RGBA, twice": lambda a: png(Image.fromarray(np.dstack([a, a, a, a]))),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_matte_is_read_in_every_form(form: str) -> None:
    assert np.array_equal(decode_matte(FORMS[form](disc())), disc())


def test_a_matte_of_one_bit_and_one_that_went_through_jpeg() -> None:
    binary = np.where(disc() > 127, 255, 0).astype(np.uint8)
    assert np.array_equal(decode_matte(png(Image.fromarray(binary).convert("1"))), binary)
    colours = png(Image.fromarray(np.dstack([disc()] * 3)), format="JPEG", quality=90)
    assert np.abs(decode_matte(colours).astype(int) - disc()).mean() < 1


def test_a_binary_matte_and_one_of_few_levels_are_no_trimaps() -> None:
    for levels in ((0, 255), (0, 64, 128, 255), (0, 90, 255)):
        matte = np.repeat(np.array(levels, np.uint8), 9).reshape(9, -1)
        assert np.array_equal(decode_matte(grey(matte)), matte)


def test_a_flat_drawing_with_a_shadow_is_no_trimap() -> None:
    matte = np.zeros((30, 30), np.uint8)
    matte[5:20, 5:20], matte[18:24, 8:26] = 255, 128
    assert np.array_equal(decode_matte(grey(matte)), matte)


def test_a_turned_matte_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = disc()[:90]
    assert np.array_equal(decode_matte(png(Image.fromarray(alpha), exif=exif)), np.rot90(alpha, -1))


FAULTS: dict[str, tuple[str, bytes]] = {
    "black": ("empty", grey(np.zeros((9, 9), np.uint8))),
    "white": ("opaque", grey(np.full((9, 9), 255, np.uint8))),
    "classes": ("range", grey((disc() > 127).astype(np.uint8))),
    "8 of 16 bits": ("range", cv2.imencode(".png", disc().astype(np.uint16))[1].tobytes()),
    "a photograph": ("no_matte", png(Image.fromarray(photograph(disc(), (200, 30, 40), (0, 90, 200))))),
    "two mattes": ("no_matte", png(Image.fromarray(np.dstack([disc()] * 3 + [np.roll(disc(), 30)])))),
    "a trimap": ("trimap", grey(np.repeat(np.array([0, 128, 255], np.uint8), 30).reshape(9, 10))),
    "floats": ("depth", png(Image.new("F", (9, 9)), format="TIFF")),
    "cut off": ("undecodable", grey(disc())[:200]),
    "text": ("undecodable", b"no picture"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_matte_costs_its_sample_and_says_why(tmp_path: Path, name: str) -> None:
    kind, data = FAULTS[name]
    sample = made(tmp_path, row(tmp_path, picture=grey(disc()), alpha=data))
    assert isinstance(sample, DataError)
    assert sample.kind == kind
    assert str(tmp_path) not in str(sample)


def test_a_matte_of_another_size_is_refused_and_a_turned_one_is_called_so(tmp_path: Path) -> None:
    picture = png(Image.fromarray(photograph(disc(), (200, 30, 40), (0, 90, 200))[:90]))
    other = made(tmp_path, row(tmp_path, picture=picture, alpha=grey(disc(64))))
    turned = made(tmp_path, row(tmp_path, picture=picture, alpha=grey(disc()[:, :90])))
    for sample in (other, turned):
        assert isinstance(sample, DataError)
        assert sample.kind == "size"
    assert "120 × 90 pixels, its matte 64 × 64" in str(other)
    assert "turned" in str(turned)


# ---- inverted ones


def bust() -> Matte:
    """Head and shoulders, cut by the lower side."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(alpha, (60, 45), 22, 255, -1)
    cv2.ellipse(alpha, (60, 120), (50, 55), 0, 0, 360, 255, -1)
    return alpha


def ring() -> Matte:
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(alpha, (60, 60), 45, 255, 20)
    return alpha


def filling() -> Matte:
    """Something that covers the whole picture but for a corner."""
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:30, :60] = 0
    return alpha


@pytest.mark.parametrize("alpha", [disc(), bust(), ring(), filling()], ids=["disc", "bust", "ring", "filling"])
def test_right_mattes_do_not_look_inverted(alpha: Matte) -> None:
    assert not looks_inverted(alpha)


@pytest.mark.parametrize("alpha", [disc(), bust()], ids=["disc", "bust"])
def test_an_inverted_matte_is_noticed_or_turned_as_the_row_says(tmp_path: Path, alpha: Matte) -> None:
    assert looks_inverted(255 - alpha)
    picture = png(Image.fromarray(photograph(alpha, (200, 30, 40), (0, 90, 200))))
    item = row(tmp_path, picture=picture, alpha=grey(255 - alpha))
    noticed = made(tmp_path, item)
    assert isinstance(noticed, DataError)
    assert noticed.kind == "inverted"
    assert "inverted: true" in str(noticed)
    _, mended, _ = good(made(tmp_path, item | {"inverted": True}))
    _, right, _ = good(made(tmp_path, row(tmp_path, picture=picture, alpha=grey(alpha)) | {"inverted": False}))
    assert np.array_equal(mended, right)


# ---- foregrounds


def test_an_estimated_foreground_does_not_drag_its_old_background_along(tmp_path: Path) -> None:
    """A grey ball before red, set on green: its fringe is grey, not reddish as pasting would leave it."""
    alpha = disc()
    picture = photograph(alpha, (128, 130, 126), (230, 20, 20))
    sample, matte, foreground = good(
        made(tmp_path, row(tmp_path, picture=png(Image.fromarray(picture)), alpha=grey(alpha)))
    )
    pasted_item = row(tmp_path, picture=b"", alpha=grey(alpha), foreground=png(Image.fromarray(picture)))
    _, _, pasted = good(made(tmp_path, pasted_item))
    fringe = (matte > 12) & (matte < 243)
    wrong = [np.abs(f[fringe].astype(int) - (128, 130, 126)).mean() for f in (foreground, pasted)]
    assert wrong[0] < 2
    assert wrong[1] > 15
    assert sample.origin.foreground == "estimated"
    assert residual(sample.rgb, matte, foreground, sample.plate) <= 0.51


def test_a_known_background_is_taken_out_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    alpha, colours = disc(400), rng.integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    front, behind = (np.asarray(cv2.resize(c, (400, 400), interpolation=cv2.INTER_CUBIC), np.uint8) for c in colours)
    picture = as_levels(composite(as_unit(front), as_unit(alpha), as_unit(behind)))
    files = {"picture": png(Image.fromarray(picture)), "alpha": grey(alpha), "background": png(Image.fromarray(behind))}
    truth = row(tmp_path, picture=b"", alpha=grey(alpha), foreground=png(Image.fromarray(front)))
    _, _, known = good(made(tmp_path, truth))
    sample, matte, foreground = good(made(tmp_path, row(tmp_path, **files)))
    assert sample.origin.foreground == "unmixed"
    files.pop("background")
    _, _, estimated = good(made(tmp_path, row(tmp_path, **files)))
    fringe = (matte > 12) & (matte < 243)
    errors = [np.abs(f[fringe].astype(int) - known[fringe]).mean() for f in (foreground, estimated)]
    assert errors[0] < 1.5
    assert errors[0] < errors[1] / 2


def test_a_large_picture_keeps_its_thin_strands(tmp_path: Path) -> None:
    """Strands of one pixel at 2000 px: the coverage on the small frame is the same as of the whole matte."""
    alpha = np.zeros((2000, 2000), np.uint8)
    alpha[900:1100, 100:1900] = 255
    alpha[200:1800, 150:1850:40] = 255
    picture = photograph(alpha, (30, 40, 200), (240, 230, 20))
    item = row(tmp_path, picture=png(Image.fromarray(picture)), alpha=grey(alpha))
    sample, matte, foreground = good(made(tmp_path, item, settings=replace(SETTINGS, margin=(0.1, 0.1))))
    scale = round(96 * 0.8) / 1800
    assert matte.sum() / 255 == pytest.approx(alpha.sum() / 255 * scale**2, rel=0.02)
    strands = (matte > 5) & (matte < 120)
    assert np.abs(foreground[strands].astype(int) - (30, 40, 200)).mean() < 12
    assert sample.origin.soft_alpha is False


# ---- what a sample says of itself, and what stops a run


def test_a_sample_names_its_origin_and_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    item = row(tmp_path, picture=png(Image.fromarray(photograph(disc(), (9, 9, 90), (200, 9, 9)))), alpha=grey(disc()))
    sample, _, _ = good(made(tmp_path, item | {"source": "my-set"}))
    again, _, _ = good(made(tmp_path, item | {"source": "my-set"}))
    assert sample.rgb.tobytes() == again.rgb.tobytes()
    assert (sample.origin.source, sample.origin.item) == ("my-set", "picture/été 1.png")
    assert (sample.origin.licence, sample.origin.attribution) == ("CC0-1.0", "somebody")
    assert sample.origin.digital_source_type == CAPTURED
    assert sample.origin.soft_alpha
    assert not good(made(tmp_path, item | {"soft_alpha": False}))[0].origin.soft_alpha


def test_a_bust_stays_on_the_lower_side(tmp_path: Path) -> None:
    picture = png(Image.fromarray(photograph(bust(), (9, 9, 90), (200, 9, 9))))
    for seed in range(5):
        _, matte, _ = good(made(tmp_path, row(tmp_path, picture=picture, alpha=grey(bust())), seed))
        assert matte[-1].max() == 255
        assert not matte[:4].any()


def test_a_row_with_a_fault_and_an_object_of_some_pixels_are_refused(tmp_path: Path) -> None:
    item = row(tmp_path, picture=grey(disc()), alpha=grey(disc()))
    lost = made(tmp_path, item | {"error_kind": "no_alpha", "error": "its matte is missing"})
    assert isinstance(lost, DataError)
    assert (lost.kind, str(lost)) == ("no_alpha", "its matte is missing")
    dot = np.zeros((SIDE, SIDE), np.uint8)
    dot[60:65, 60:65] = 255
    small = made(tmp_path, row(tmp_path, picture=grey(disc()), alpha=grey(dot)))
    assert isinstance(small, DataError)
    assert small.kind == "too_small"


def test_a_changed_or_lost_matte_stops_the_run_and_is_named(tmp_path: Path) -> None:
    item = row(tmp_path, picture=grey(disc()), alpha=grey(disc()))
    (tmp_path / "alpha" / "été 1.png").write_bytes(grey(bust()))
    with pytest.raises(InputChanged, match=r"alpha/été 1\.png"):
        made(tmp_path, item)
    (tmp_path / "alpha" / "été 1.png").unlink()
    with pytest.raises(InputChanged, match=r"alpha/été 1\.png"):
        made(tmp_path, item)


def test_real_mattes_are_set_on_green(shared_data: Path) -> None:
    folder = shared_data / "pymatting_lemur"
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("lemur.png", "lemur_alpha.png")]
    item = {"path": "lemur.png", "sha256": hashes[0], "alpha_path": "lemur_alpha.png", "alpha_sha256": hashes[1]}
    words = dict.fromkeys(("class_name", "caption", "licence", "attribution"), "")
    sample, matte, foreground = good(made(folder, item | words, settings=replace(SETTINGS, size=256)))
    assert residual(sample.rgb, matte, foreground, sample.plate) <= 0.51
    assert matte[-1].max() == 255  # the branch it sits on is cut by the picture
    green = foreground[..., 1].astype(int) - np.maximum(foreground[..., 0], foreground[..., 2])
    assert np.quantile(green[matte > 0], 0.99) < 25  # a black and white animal
