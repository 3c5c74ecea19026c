"""Small sources as users have them on disk: cut-outs, pairs of picture and matte, clips; sound ones and broken ones."""

import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from small_clips import encode

from factory.jobs.build import BuildRecipe
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import parse
from factory.review.verify import verify_set
from factory.run.execute import execute
from factory.run.result import Result
from factory.shards.layout import Layout

SIDE = 64
GREEN = (0, 177, 64)
CODED: dict[str, Any] = {"tagged": "bt709", "options": {"g": "6"}}
Pixels = NDArray[np.uint8]


def shape(number: int, side: int = SIDE) -> Pixels:
    """(side, side) coverage with soft edges, another one for each number: two discs, joined."""
    random = np.random.default_rng(number)
    down, across = np.mgrid[:side, :side] + 0.5
    centres, radii = random.uniform(0.38, 0.62, (2, 2)) * side, random.uniform(0.14, 0.26, 2) * side
    apart = [np.hypot(down - y, across - x) for y, x in centres]
    covered = [np.clip(radius - distance + 0.5, 0, 1) for radius, distance in zip(radii, apart, strict=True)]
    return np.asarray(np.rint(np.maximum(*covered) * 255), np.uint8)


def colours(number: int, side: int = SIDE) -> Pixels:
    """(side, side, 3) without green in it, another one for each number."""
    few = np.random.default_rng(1000 + number).integers(60, 256, (4, 4, 3), np.uint8)
    few[..., 1] //= 3
    return np.asarray(cv2.resize(few, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def photograph(number: int, side: int = SIDE) -> Pixels:
    """The object of that number before a plain wall."""
    alpha = shape(number, side)[..., None] / 255
    return np.rint(alpha * colours(number, side) + (1 - alpha) * (90, 110, 140)).astype(np.uint8)


def coded(picture: Pixels | Image.Image, kind: str = "PNG", **traits: Any) -> bytes:
    """The picture as a file's content."""
    content = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(content, kind, **traits)
    return content.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def rgba(number: int, side: int = SIDE) -> bytes:
    """A cut-out as PNG."""
    return coded(np.dstack([colours(number, side), shape(number, side)]))


def cut_outs(folder: Path, count: int, first: int = 0) -> Path:
    """A folder of cut-outs red_thing_000.png …"""
    for number in range(first, first + count):
        put(folder / f"red_thing_{number:03d}.png", rgba(number))
    return folder


def pair(folder: Path, name: str, number: int, matte: bytes | None = None, picture: bytes | None = None) -> None:
    """One pair of the layout picture/, matte/: sound but for what is given."""
    put(folder / "picture" / f"{name}.png", coded(photograph(number)) if picture is None else picture)
    put(folder / "matte" / f"{name}.png", coded(shape(number)) if matte is None else matte)


def film(path: Path, count: int = 12, first: int = 0, size: tuple[int, int] = (96, 128), **traits: Any) -> Path:
    """A clip of a thing that travels, turns and grows before a green screen, with a key frame every 6 frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode(path, [filmed(first + number, size) for number in range(count)], **CODED | traits)


def filmed(number: int, size: tuple[int, int], screen: Sequence[int] = GREEN) -> Pixels:
    """(H, W, 3): frame `number` of such a clip."""
    picture = np.empty((*size, 3), np.uint8)
    picture[:] = screen
    top, left = (size[0] - SIDE) // 2, number * 3 % (size[1] - SIDE)
    window = picture[top : top + SIDE, left : left + SIDE]
    alpha = shape(number)[..., None] / 255
    window[:] = np.rint(alpha * colours(number) + (1 - alpha) * np.array(screen))
    return picture


def sound_only(path: Path) -> Path:
    """A file that is named like a clip and holds half a second of silence."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return path


def bomb(side: int = 30_000) -> bytes:
    """A PNG of side × side pixels in some kilobytes of header and nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + chunk(b"IEND", b"")


def recipe(path: Path, *sources: Mapping[str, Any], **fields: Any) -> Path:
    """A recipe of these sources: small pictures, four to a shard, and no gate in the way."""
    gates = {"coverage_max": 1.0, "border_max": 1.0, "duplicate_distance": -1}
    whole = {"job": "build-green100k", "size": 64, "shard_size": 4, "seed": 3, "gates": gates} | fields
    path.write_text(json.dumps(whole | {"sources": sources}, default=str), encoding="utf-8")  # JSON is YAML
    return path


def mixed_recipe(home: Path) -> Path:
    """Two clips, three pairs and five cut-outs, all sound, and their recipe."""
    film(home / "clips" / "a.mp4")
    film(home / "clips" / "b.mkv", first=30)
    for number in range(3):
        pair(home / "pairs", f"blue pot {number}", number)
    cut_outs(home / "things", 5)
    return recipe(
        home / "recipe.yaml",
        {"type": "videos", "path": home / "clips", "select": {"every": 3}},
        {"type": "public", "dataset": "pairs", "path": home / "pairs"},
        {"type": "rgba_folder", "path": home / "things"},
    )


def asked(path: Path, out: Path, **fields: Any) -> BuildRecipe:
    """The recipe in a file, for a run in this process."""
    read = parse(read_yaml(path) | {"out": str(out), "executor": "local"} | fields)
    assert isinstance(read, BuildRecipe)
    return read


def made(path: Path, out: Path, **fields: Any) -> Result:
    """Run a recipe in this process; the set is whole afterwards."""
    result = execute(asked(path, out, **fields), lambda sentence: None)
    assert verify_set(out, 1) == []
    return result


def manifest(root: Path) -> list[dict[str, Any]]:
    """The rows of a finished set."""
    columns = ["key", "status", "source", "item", "reason", "detail", "caption", "split"]
    rows: list[dict[str, Any]] = pq.read_table(Layout(root).manifest, columns=columns).to_pylist()
    return rows


def fates(root: Path) -> dict[str, str]:
    """Item → "accepted", or why not."""
    return {row["item"]: row["reason"] or row["status"] for row in manifest(root)}
