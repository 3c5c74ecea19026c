"""Unpacks a set's split into plain pictures, for tools that read no tars."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from factory.equation import plate_picture
from factory.errors import DataError, UsageError, quoted, what_failed
from factory.shards.counting import Counting, silent
from factory.shards.durable import appearing
from factory.shards.encoding import encode_png
from factory.shards.layout import Layout
from factory.shards.reader import Stored, decode_as_promised, read_members, shards_of

COLUMNS = (
    "key",
    "class",
    "caption",
    "prompt",
    "kind",
    "source",
    "licence",
    "attribution",
    "ai_generated",
    "soft_alpha",
)

Files = Mapping[str, bytes]  # path in the export → content
Unpack = Callable[[Stored, Mapping[str, bytes]], Files]


def _as_folders(stored: Stored, members: Mapping[str, bytes]) -> Files:
    """Composition-1k's way: fg/, alpha/, merged/ and bg/ with the same names; the pictures' own bytes.

    The screen is the sample's own picture of it where the set has one, else what its JSON says.
    """
    files = {
        f"fg/{stored.key}.png": members["fg.png"],
        f"alpha/{stored.key}.png": members["alpha.png"],
        f"merged/{stored.key}.png": members["rgb.png"],
    }
    if "plate.png" in members:
        files[f"bg/{stored.key}.png"] = members["plate.png"]
    elif stored.meta["plate"]:
        plate = plate_picture(stored.meta["plate"], *stored.alpha.shape)
        files[f"bg/{stored.key}.png"] = encode_png(np.rint(plate).astype(np.uint8))
    return files


def _as_rgba(stored: Stored, members: Mapping[str, bytes]) -> Files:
    """One PNG with the straight foreground and the alpha as its fourth channel."""
    done, data = cv2.imencode(".png", cv2.cvtColor(np.dstack([stored.foreground, stored.alpha]), cv2.COLOR_RGBA2BGRA))
    if not done:
        raise DataError("unencodable", f"sample {stored.key} could not be encoded as PNG")
    return {f"{stored.key}.png": data.tobytes()}


FORMATS: Mapping[str, tuple[Unpack, str]] = {
    "folder": (_as_folders, "captions.csv"),
    "rgba": (_as_rgba, "metadata.csv"),
}


def export(root: Path, to: str, out: Path, split: str = "train", progress: Counting = silent) -> int:
    """Write every accepted sample of one split below `out`; returns how many. progress: (shards done, in all).

    Raises UsageError for an unknown format, an `out` that holds something, a split without shards or a damaged shard.
    """
    if to not in FORMATS:
        raise UsageError(f"--to {to} is unknown: use {' or '.join(FORMATS)}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out} exists and is not an empty folder: give a new one.")
    unpack, table = FORMATS[to]
    tars = shards_of(root, split)
    count = 0
    with _written(out), _rows(out / table) as write_row:
        for done, tar in enumerate(tars, start=1):
            for stored, members in _samples(root, tar):
                files = unpack(stored, members)
                for name, data in files.items():
                    _write(out / name, data)
                write_row({"file_name": next(iter(files)), **{name: stored.meta[name] for name in COLUMNS}})
                count += 1
            progress(done, len(tars))
    return count


@contextmanager
def _written(out: Path) -> Iterator[None]:
    """What the disk refuses, as a sentence."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written ({what_failed(error, out)}): choose another place.") from error


def _samples(root: Path, tar: Path) -> Iterator[tuple[Stored, Mapping[str, bytes]]]:
    try:
        for key, members in read_members(tar):
            yield decode_as_promised(key, members), members
    except (DataError, OSError) as error:
        raise UsageError(
            f"{Layout(root).data / tar.name} is damaged ({error}): `factory verify {quoted(root)}` says where."
        ) from error


def _write(path: Path, data: bytes) -> None:
    """A reader sees all of the file or nothing; lost on a power cut it is exported again."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


@contextmanager
def _rows(path: Path) -> Iterator[Callable[[Mapping[str, Any]], object]]:
    """Takes the table's rows one by one; the file has its name when all are there.

    The column file_name is what Hugging Face's imagefolder loader joins pictures by.
    """
    with appearing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.DictWriter(text, ["file_name", *COLUMNS])
        writer.writeheader()
        yield writer.writerow
        text.detach()  # flushed, and not closed: the file is not ours
