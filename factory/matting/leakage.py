"""Test pictures that are in a training set: by file, by pixels, or by looks.

A set's plan holds the hash of each source file and its manifest those of each sample's pixels, so copies are found
without reading a sample. One that was coded anew, resized, mirrored, or framed is looked for by perceptual hash: the
test picture's object is framed as sets frame theirs, in a few places and both ways round. Where hashes are near, the
sample is read and laid beside the test picture: the nearer they are, the more the two may differ.

Calibrated at 192 pixels on 198 emoji, 200 drawn objects and, of four seeds, the 14 pictures of alphamatting.com with
odd numbers: all 255 copies at two thirds of their size, mirrored and as JPEG, are found. Tried at 128 pixels on 464
other emoji and 300 other objects: 436 of 438 are; the two are of one photograph. Of 49,000 pairs of a photograph with
something else none is called a copy, of 179,000 of a drawn object with an emoji none, of 65,000 of two drawn objects 4,
of 127,000 of two emoji 30, which differ in a hand of a clock, a symbol on a button, or hair. What looks do not find: a
part of the object, it in other colours, or in a set whose hashes have 64 bits.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from factory.engine.input_files import digest
from factory.engine.inputs import read_frozen
from factory.errors import DataError, UsageError, count_of, some
from factory.greenscreen.compositing import as_unit
from factory.greenscreen.framing import bounds, cut_sides, framed, moved_within, resized
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, decode_layers
from factory.quality.matte_sets import find_mattes, read_matte
from factory.quality.phash import perceptual_hash
from factory.sample import HASH_BITS, Matte, Picture
from factory.shards.counting import Counting, silent
from factory.shards.data_set import DataSet
from factory.shards.layout import Layout
from factory.shards.manifest import bites, manifest_files

How: TypeAlias = Literal["file", "pixels", "looks"]
Floats: TypeAlias = NDArray[np.float32]
SAYS: Mapping[How, str] = {"file": "the same file", "pixels": "the same pixels", "looks": "it looks the same"}

NEAR, NEARER = 64, 30  # bits in which hashes may differ
LEVELS, NEARER_LEVELS = 22.0, 42.0  # by how much the object may then: RMS of colours and α
FRAME, SIDE = 128, 32  # pixels of a side: framed for a hash, compared
MARGINS, WAYS, LEAST_MARGIN = (0.07, 0.12), (-0.4, 0.0, 0.4), 0.05  # places in the frame, between those that sets draw
_COLUMNS = ("key", "status", "split", "item", "phash")
_PIXELS = ("rgb_sha256", "fg_sha256", "alpha_sha256")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pictures to test on, at any depth.  mattes: theirs, of the same names; without them nothing is found by looks,
    but for pictures with an alpha of their own.
    """

    pictures: Path
    mattes: Path | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """A test picture, and the sample that shows it."""

    picture: Path
    dataset: Path
    key: str
    how: How


def find_leaks(
    sets: Sequence[Path], tests: Sequence[HeldOut], split: str = "", progress: Counting = silent
) -> tuple[Leak, ...]:
    """Each pair of a test picture and an accepted sample that shows it, in the order of sets, keys and pictures.

    split: of the sets; "" looks at all.  progress: (test pictures read, in all).  Memory grows with the test pictures
    and not with the sets. Raises UsageError for folders without pictures or sets without a manifest.
    """
    paths = [(folder, name) for folder in tests for name in _names(folder)]
    pictures = list[_TestPicture]()
    mattes = {folder: find_mattes(folder.mattes) if folder.mattes else {} for folder in tests}
    for done, (folder, name) in enumerate(paths, start=1):
        place = mattes[folder].get(str(Path(name).with_suffix("")))
        try:
            pictures.append(_test_picture(folder.pictures / name, None if place is None else read_matte(place)))
        except DataError as error:
            raise UsageError(f"{folder.pictures / name} cannot be tested on ({error}): mend or remove it.") from error
        progress(done, len(paths))
    return tuple(leak for root in sets for leak in _leaks(root, pictures, split))


def leaks_sentence(leaks: Sequence[Leak]) -> str:
    """For a UsageError: which test pictures are in which sets, and the mend."""
    named = [f"{leak.picture} is sample {leak.key} of {leak.dataset} ({SAYS[leak.how]})" for leak in leaks]
    count = count_of(len({leak.picture for leak in leaks}), "test picture is", "test pictures are")
    return f"{count} in what is trained on: {some(named)}; keep them out of the set (`exclude`) or out of the test."


def leaks_of_backgrounds(folder: Path, tests: Sequence[HeldOut]) -> str:
    """For a UsageError: which backgrounds are the very file of a test picture, and the mend; "" where none is."""
    sizes: dict[int, list[Path]] = {}
    for path in (test.pictures / name for test in tests for name in _names(test)):
        sizes.setdefault(path.stat().st_size, []).append(path)
    same = []
    for name in sorted(files_below(folder, SUFFIXES)):
        path = folder / name
        tested = sizes.get(path.stat().st_size, ())  # most need not be read
        if tested and digest(path) in map(digest, tested):
            same.append(name)
    return f"test pictures lie among the backgrounds {folder}: {some(same)}; take them out." if same else ""


class _TestPicture(NamedTuple):
    """file, pixels: SHA-256 of the file, and of what may be a sample's pixels.  hashes: (V, bytes), of its object in
    places.  looks: of its object as it is and framed, see `_look`.
    """

    path: Path
    file: str
    pixels: frozenset[str]
    hashes: NDArray[np.uint8]
    looks: tuple[Floats, ...]


def _names(folder: HeldOut) -> list[str]:
    names = sorted(files_below(folder.pictures, SUFFIXES)) if folder.pictures.is_dir() else []
    if not names:
        raise UsageError(f"{folder.pictures} holds no pictures: give the folder of pictures that are tested on.")
    return names


def _test_picture(path: Path, matte: Matte | None) -> _TestPicture:
    data = path.read_bytes()
    colour, alpha = decode_layers(data)
    alpha = alpha if matte is None else matte
    pixels, ways = {_digest(colour)}, list[tuple[Picture, Matte]]()
    if alpha is not None and alpha.shape != colour.shape[:2]:
        raise DataError("size", "its matte is of another size")
    if alpha is not None and alpha.min() < alpha.max():
        pixels.add(_digest(alpha))
        ways = [(colour, alpha), (_flipped(colour), _flipped(alpha))]
    frames = [frame for way in ways for frame in _frames(*way)]
    hashes = [bytes.fromhex(perceptual_hash(*place)) for frame in frames for place in _places(*frame)]
    table = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), HASH_BITS // 8)
    looks = tuple(_look(*frame) for frame in frames)
    return _TestPicture(path, hashlib.sha256(data).hexdigest(), frozenset(pixels), table, looks)


def _frames(colour: Picture, alpha: Matte) -> Iterator[tuple[Picture, Matte]]:
    """The object as it is, and framed by several margins; where its picture cuts it, they show more or less of it."""
    yield colour, alpha
    for margin in MARGINS:
        with suppress(DataError):  # no set has it framed so either
            yield framed(colour, alpha, FRAME, margin, cut_sides(alpha))


def _places(colour: Picture, alpha: Matte) -> Iterator[tuple[Picture, Matte]]:
    """A frame, and its object moved in it as sets move it: not from a side that cuts it."""
    yield colour, alpha
    flush = cut_sides(alpha)
    across = WAYS if flush.isdisjoint({"left", "right"}) else (0.0,)
    down = WAYS if flush.isdisjoint({"top", "bottom"}) else (0.0,)
    yield from (moved_within(colour, alpha, x, y, LEAST_MARGIN) for x in across for y in down if x or y)


def _look(colour: Picture, alpha: Matte) -> Floats:
    """(SIDE, SIDE, 4): the object within its bounds before grey, and its α, in levels."""
    left, top, right, bottom = bounds(alpha)
    small, matte = resized(colour[top:bottom, left:right], alpha[top:bottom, left:right], SIDE, SIDE)
    a = as_unit(matte)[..., None]
    return np.asarray(255 * np.concatenate([(as_unit(small) - 0.5) * a, a], axis=2), np.float32)


def _apart(one: Floats, other: Floats) -> float:
    """RMS levels of colour and α where either shows an object."""
    shown = np.maximum(one[..., 3], other[..., 3]) > 0.05 * 255
    return float(np.sqrt(np.square((one - other)[shown]).mean())) if shown.any() else np.inf


def _leaks(root: Path, pictures: Sequence[_TestPicture], split: str) -> Iterator[Leak]:
    layout = Layout(root)
    if not (files := manifest_files(layout)):
        raise UsageError(f"{root} holds no manifest: is it a data set folder made by factory?")
    sources, samples = _items(layout, {picture.file for picture in pictures}), DataSet(root)
    for rows in (rows for file in files for rows in bites(file, [*_COLUMNS, *_PIXELS])):
        chosen = rows.filter(pc.equal(rows["status"], "accepted"))
        if split:
            chosen = chosen.filter(pc.equal(chosen["split"], split))
        yield from _of_rows(root, chosen, pictures, sources, samples)


def _items(layout: Layout, wanted: set[str]) -> dict[str, str]:
    """Item of a planned source → the hash of a test picture's file that belongs to it, as picture, matte or ground."""
    found: dict[str, str] = {}
    for file in sorted(layout.inputs.glob("*.arrow")):
        table = read_frozen(file)
        if table is None or "path" not in table.column_names:
            continue
        for name in (name for name in table.column_names if name.endswith("sha256")):
            here = table.filter(pc.is_in(table[name], pa.array(sorted(wanted), pa.string())))
            found |= dict(zip(here["path"].to_pylist(), here[name].to_pylist(), strict=True))
    return found


def _of_rows(
    root: Path, rows: pa.Table, pictures: Sequence[_TestPicture], sources: Mapping[str, str], samples: DataSet
) -> Iterator[Leak]:
    """Leaks among some rows of a manifest, in their order."""
    keys, found = rows["key"].to_pylist(), dict[tuple[int, int], How]()
    by_file = {picture.file: index for index, picture in enumerate(pictures)}
    for row, item in enumerate(rows["item"].to_pylist()):
        if item in sources:
            found[row, by_file[sources[item]]] = "file"
    by_pixels = {digest: index for index, picture in enumerate(pictures) for digest in picture.pixels}
    for column in _PIXELS:
        for row in np.flatnonzero(pc.is_in(rows[column], pa.array(list(by_pixels), pa.string())).to_numpy()).tolist():
            found.setdefault((row, by_pixels[rows[column][row].as_py()]), "pixels")
    for pair in _alike(rows, keys, pictures, samples):
        found.setdefault(pair, "looks")
    for (row, picture), how in sorted(found.items()):
        yield Leak(pictures[picture].path, root, keys[row], how)


def _alike(
    rows: pa.Table, keys: Sequence[str], pictures: Sequence[_TestPicture], samples: DataSet
) -> Iterator[tuple[int, int]]:
    """(row, picture) that look the same."""
    comparable = pc.match_substring_regex(rows["phash"], f"^[0-9a-f]{{{HASH_BITS // 4}}}$").to_numpy()
    places = np.flatnonzero(comparable)
    digits = "".join(rows["phash"].filter(pa.array(comparable)).to_pylist())
    there = np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, HASH_BITS // 8)
    for index, picture in enumerate(pictures):
        if not len(picture.hashes) or not len(there):
            continue
        bits = np.min([np.bitwise_count(there ^ own).sum(axis=1) for own in picture.hashes], axis=0)
        for at in np.flatnonzero(bits <= NEAR).tolist():
            row = int(places[at])
            if _apart_from(samples, keys[row], picture.looks) <= (NEARER_LEVELS if bits[at] <= NEARER else LEVELS):
                yield row, index


def _apart_from(samples: DataSet, key: str, looks: Sequence[Floats]) -> float:
    try:
        stored = samples[key]
    except DataError as error:
        raise UsageError(f"sample {key} is damaged ({error}): `factory verify` its set.") from error
    shown = _look(stored.foreground, stored.alpha)
    return min(_apart(look, shown) for look in looks)


def _flipped(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[:, ::-1])


def _digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
