"""Folders in which nearly everything is wrong, as folders of years of downloads are; each function says what becomes
of every file: "accepted", or the reason with which its row of the manifest says that it is not.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from small_clips import encode
from small_sources import bomb, coded, colours, film, filmed, pair, photograph, put, rgba, shape, sound_only

QUARTER_TURN = Image.Exif()
QUARTER_TURN[0x0112] = 6


def spoilt_cut_outs(folder: Path) -> dict[str, str]:
    """Pictures that should have an alpha channel."""
    cut_out = np.dstack([colours(30), shape(30)])
    whole = rgba(31)
    files = {
        "sound.png": (whole, "accepted"),
        "deeper down/sound.png": (rgba(32), "accepted"),
        "größe 日本 100%.png": (rgba(33), "accepted"),
        "palette.png": (coded(Image.fromarray(cut_out).quantize(64, method=2)), "accepted"),
        "turned.png": (coded(cut_out, exif=QUARTER_TURN), "accepted"),
        "web.webp": (coded(Image.fromarray(np.dstack([colours(34), shape(34)])), "WEBP", lossless=True), "accepted"),
        "bomb.png": (bomb(), "too_large"),
        "checksum.png": (whole[:300] + bytes([whole[300] ^ 255]) + whole[301:], "undecodable"),
        "clear.png": (coded(np.zeros((9, 9, 4), np.uint8)), "empty"),
        "cut off.png": (whole[: len(whole) // 2], "undecodable"),
        "deep.png": (cv2.imencode(".png", cut_out.astype(np.uint16) * 257)[1].tobytes(), "accepted"),
        "jpeg.png": (coded(photograph(30), "JPEG"), "no_alpha"),
        "opaque.png": (coded(photograph(30)), "no_alpha"),
        "page.webp": (b"<html>404</html>", "undecodable"),
        "zero.png": (b"", "undecodable"),
    }
    for name, (content, _) in files.items():
        put(folder / name, content)
    put(folder / "notes.txt", b"no picture, and not asked to be one")
    return {name: fate for name, (_, fate) in files.items()}


def spoilt_pairs(folder: Path) -> dict[str, str]:
    """Pictures and mattes of the layout picture/, matte/."""
    grey = shape(40)
    deep = cv2.imencode(".png", grey.astype(np.uint16) * 257)[1].tobytes()
    mattes = {
        "of another size": (coded(shape(40, 48)), "size"),
        "16 bits": (deep, "accepted"),
        "inverted": (coded(255 - grey), "inverted"),
        "rgba": (rgba(40), "accepted"),
        "rgb": (coded(np.dstack([grey] * 3)), "accepted"),
        "colours": (coded(photograph(40)), "no_matte"),
        "a bomb": (bomb(), "too_large"),
        "zero": (b"", "undecodable"),
        "black": (coded(np.zeros_like(grey)), "empty"),
    }
    upright = photograph(40)
    pictures = {
        "palette": (coded(Image.fromarray(upright).quantize(64)), "accepted"),
        "turned": (coded(np.rot90(upright).copy(), exif=QUARTER_TURN), "accepted"),
        "bomb": (bomb(), "too_large"),
        "cut off": (coded(upright)[:900], "undecodable"),
    }
    for name, (content, _) in mattes.items():
        pair(folder, name, 40, matte=content)
    for name, (content, _) in pictures.items():
        pair(folder, name, 40, picture=content)
    pair(folder, "cmyk", 40)
    (folder / "picture" / "cmyk.png").unlink()
    put(folder / "picture" / "cmyk.jpg", coded(Image.fromarray(upright).convert("CMYK"), "JPEG"))
    fates = {f"picture/{name}.png": fate for name, (_, fate) in (mattes | pictures).items()}
    return fates | {"picture/cmyk.jpg": "accepted"}


def spoilt_clips(folder: Path) -> dict[str, str]:
    """Clips, every sixth frame of which is to be taken; each broken one is one row."""
    film(folder / "sound.mp4")
    film(folder / "ein Büro, heute.mp4", first=20)
    content = (folder / "sound.mp4").read_bytes()
    put(folder / "cut off.mp4", content[: len(content) // 2])
    put(folder / "zero.mp4", b"")
    put(folder / "picture.mp4", rgba(1))
    put(folder / "text.mov", b"no film")
    sound_only(folder / "music.mp4")
    encode(
        folder / "office.mp4", [np.full((96, 96, 3), 120, np.uint8) + shape(i, 96)[..., None] // 3 for i in range(3)]
    )
    before = film(folder / "before.ts", times=[i * 40 for i in range(12)])
    small = [filmed(i, (80, 112)) for i in range(12)]
    after = encode(
        folder / "after.ts", small, tagged="bt709", times=[i * 40 for i in range(20, 32)], options={"g": "6"}
    )
    put(folder / "resized.ts", before.read_bytes() + after.read_bytes())
    for half in (before, after):
        half.unlink()
    return {
        "sound.mp4@0.000s": "accepted",
        "sound.mp4@0.240s": "accepted",
        "ein Büro, heute.mp4@0.000s": "accepted",
        "ein Büro, heute.mp4@0.240s": "accepted",
        "resized.ts@0.000s": "accepted",
        "resized.ts@0.240s": "accepted",
        "resized.ts@0.840s": "size",
        "resized.ts@1.080s": "size",
        "cut off.mp4": "undecodable",
        "zero.mp4": "undecodable",
        "picture.mp4": "undecodable",
        "text.mov": "undecodable",
        "music.mp4": "no_video",
        "office.mp4": "no_screen",
    }
