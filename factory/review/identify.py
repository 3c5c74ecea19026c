"""Did this picture come from that data set? By the hash of its pixels, else by looks, else by its own mark.

A copy that kept every pixel (as PNG, in any file) is found by SHA-256. One that was compressed, resized, mirrored or
cut out is looked for by perceptual hash: the object is lifted off its ground, as far as that can be guessed from the
picture alone, and the samples with the nearest hashes are laid beside it; beside a small picture also as JPEG stores
them, for chroma of half resolution leaves nothing of a thin object's colours. Two hashes may be alike by chance; two
objects in 32 × 32 are not. What a lossy copy is not found by: a foreground or an alpha alone, a crop, another
background than one plain colour.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from factory.errors import DataError, UsageError, quoted
from factory.greenscreen.compositing import as_levels, as_unit, composite
from factory.greenscreen.keying import dominance
from factory.greenscreen.plates import open_to_border
from factory.greenscreen.resizing import size_within
from factory.greenscreen.unmixing import straight, unmixed
from factory.pictures.picture import decode_layers, open_picture
from factory.quality.phash import earlier_hash, perceptual_hash
from factory.sample import EARLIER_HASH_BITS, HASH_BITS, Matte, Picture
from factory.shards.data_set import DataSet
from factory.shards.layout import Layout
from factory.shards.manifest import bites, manifest_files
from factory.shards.marking import SOURCE_TYPE, SYSTEM, TOOL, TOOL_NAME, marks_in
from factory.shards.reader import Stored

Floats = NDArray[np.float32]
Bits: TypeAlias = tuple[int, int]  # in which two hashes differ, and that they have

COMPARED = 64  # samples laid beside the picture: the nearest by hash, which two unrelated objects may be too
LEVELS = 12.0  # RMS over the object: a third of the size and JPEG at quality 20 move it by less, another object by more
SHARE = 0.4  # of the object's own contrast with the ground, so that two faint objects are not one
CERTAIN = 3.0  # levels: a copy this close needs no rival
SIDE = 32  # of the pictures that are compared
SMALL = 8 * SIDE  # pixels of the shorter side under which half of chroma's resolution shows in these
LONGEST = 512  # more pixels than that add nothing to a hash of 32 × 32
FAINTEST = 1 / 255  # α of a level: a hash weighs colours by α, so those of faint pixels may be noise
GREY = np.full(3, 0.5, np.float32)
_COLUMNS = ("key", "status", "phash", "rgb_sha256", "alpha_sha256", "fg_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """What was found out about one picture.

    verdict: "exact" (the stored pixels), "near" (a changed copy), "marked" (not of this set, but its XMP says that
    this program made it), "unknown".  key, member: of the sample, for the first two.
    distance: bits between the perceptual hashes, of hash_bits; -1 where they were not asked.
    difference: RMS levels over the object; -1 where it was not compared.
    mirrored: whether it is the sample's mirror image.
    """

    picture: Path
    dataset: Path
    verdict: Literal["exact", "near", "marked", "unknown"]
    key: str = ""
    member: str = ""
    distance: int = -1
    hash_bits: int = HASH_BITS
    difference: float = -1.0
    mirrored: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 the picture came from this set, 1 it did not."""
        return 0 if self.verdict in {"exact", "near"} else 1

    def text(self) -> str:
        """For people."""
        match self.verdict:
            case "exact":
                found = f"it holds {self.key}.{self.member}.png of {self.dataset}, every pixel the same."
            case "near":
                apart = f"{self.difference:.1f} levels apart, {self.distance} of {self.hash_bits} hash bits"
                copy = "changed copy, mirrored," if self.mirrored else "changed copy"
                found = f"it is a {copy} of {self.key}.{self.member}.png of {self.dataset} ({apart})."
            case "marked":
                found = f"it was made by {self.marks[TOOL]}, as its own mark says, and is not of {self.dataset}."
            case _:
                found = f"nothing says that it came from {self.dataset} or was made by this program."
        lines = [f"{self.picture.name}: {found}"]
        if SOURCE_TYPE in self.marks:
            system = f", by {self.marks[SYSTEM]}" if self.marks.get(SYSTEM) else ""
            lines.append(f"  its mark: {self.marks[SOURCE_TYPE].rpartition('/')[2]}{system}")
        if self.verdict in {"exact", "near"}:
            lines.append(f"  more: factory show {quoted(self.dataset)} {self.key}")
        return "\n".join(lines)


class _Near(NamedTuple):
    """The sample that a picture looks like."""

    key: str
    member: str
    bits: Bits
    difference: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class _Shown:
    """A picture as it is compared.  colour: (H, W, 3), straight where there is an alpha.  alpha: (H, W) or None."""

    colour: Picture
    alpha: Matte | None


def identify(picture: Path, dataset: Path) -> Identification:
    """Whether the picture came from the data set, finished or still being made. Raises UsageError."""
    try:
        data = picture.read_bytes()
        shown = _decode(data)
    except OSError as error:
        raise UsageError(f"{picture} cannot be read ({error.strerror}): give a picture file.") from error
    except DataError as error:
        raise UsageError(f"{picture} cannot be looked at: {error}.") from error
    marks = _marks(data)
    exact = _find_exact(shown, dataset)
    if exact is not None:
        return Identification(
            picture=picture, dataset=dataset, verdict="exact", key=exact[0], member=exact[1], marks=marks
        )
    near = _find_near(shown, dataset)
    if near is not None:
        distance, hash_bits = near.bits
        return Identification(
            picture=picture,
            dataset=dataset,
            verdict="near",
            key=near.key,
            member=near.member,
            distance=distance,
            hash_bits=hash_bits,
            difference=near.difference,
            mirrored=near.mirrored,
            marks=marks,
        )
    ours = marks.get(TOOL, "").startswith(TOOL_NAME)
    return Identification(picture=picture, dataset=dataset, verdict="marked" if ours else "unknown", marks=marks)


def _decode(data: bytes) -> _Shown:
    colour, alpha = decode_layers(data)
    return _Shown(colour, None if alpha is None or alpha.min() == 255 else alpha)


def _marks(data: bytes) -> dict[str, str]:
    """The XMP in a picture file of any kind that is read."""
    packet = open_picture(data).info.get("xmp", b"")
    return marks_in(packet.encode() if isinstance(packet, str) else packet)


# --- by pixels ----------------------------------------------------------------------------------------------------


def _find_exact(shown: _Shown, dataset: Path) -> tuple[str, str] | None:
    """(key, member) of the first sample with just these pixels."""
    red, green, blue = (shown.colour[..., channel] for channel in range(3))
    wanted = {"rgb": _digest(shown.colour), "fg": _digest(shown.colour)}
    if shown.alpha is not None:
        wanted["alpha"] = _digest(shown.alpha)
    elif np.array_equal(red, green) and np.array_equal(red, blue):
        wanted["alpha"] = _digest(red)
    for rows in _accepted(dataset):
        for member, digest in wanted.items():
            place = pc.index(rows[f"{member}_sha256"], digest).as_py()
            if place >= 0:
                return rows["key"][place].as_py(), member
    return None


def _digest(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _accepted(dataset: Path) -> Iterator[pa.Table]:
    """The accepted rows of the set's manifest, in bites."""
    files = manifest_files(Layout(dataset))
    if not files:
        raise UsageError(f"{dataset} holds no manifest: is it a data set folder made by factory?")
    for path in files:
        for rows in bites(path, _COLUMNS):
            yield rows.filter(pc.equal(rows["status"], "accepted"))


# --- by looks -----------------------------------------------------------------------------------------------------


def _find_near(shown: _Shown, dataset: Path) -> _Near | None:
    """The sample that looks most like the picture or its mirror image, if one does."""
    shown = _shrunk(shown)
    ground, guesses = _lifted(shown)
    best: _Near | None = None
    samples = DataSet(dataset)
    ways = (shown, guesses[0][1]), (_mirrored(shown), _flipped(guesses[0][1]))
    for key, distance in _candidates([*guesses, *((_flipped(f), _flipped(a)) for f, a in guesses)], dataset):
        try:
            stored = samples[key]
        except DataError as error:
            more = f"`factory verify {quoted(dataset)}` tells more"
            raise UsageError(f"sample {key} is damaged ({error}): {more}.") from error
        for mirrored, (look, guess) in enumerate(ways):
            member, difference, contrast = _difference(look, stored, ground, guess)
            if difference <= min(LEVELS, SHARE * contrast) and (best is None or difference < best.difference):
                best = _Near(key, member, distance, difference, bool(mirrored))
        if best is not None and best.difference <= CERTAIN:
            break
    return best


def _mirrored(shown: _Shown) -> _Shown:
    return _Shown(_flipped(shown.colour), None if shown.alpha is None else _flipped(shown.alpha))


def _flipped(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[:, ::-1])


def _shrunk(shown: _Shown) -> _Shown:
    if max(shown.colour.shape[:2]) <= LONGEST:
        return shown
    size = size_within(shown.colour.shape, LONGEST)
    if shown.alpha is None:
        return _Shown(cv2.resize(shown.colour, size, interpolation=cv2.INTER_AREA).astype(np.uint8), None)
    a = as_unit(shown.alpha)[..., None]
    alpha = np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_AREA), np.float32)
    colour = np.asarray(cv2.resize(as_unit(shown.colour) * a, size, interpolation=cv2.INTER_AREA), np.float32)
    return _Shown(as_levels(straight(colour, alpha, least=FAINTEST)), as_levels(alpha))


def _lifted(shown: _Shown) -> tuple[Floats, list[tuple[Picture, Matte]]]:
    """The ground's colour (3,) in 0..1, and guesses of the object on it: straight colour and alpha.

    An opaque picture has as ground the median of its rim. Its α is guessed from the distance to that colour, which
    sees objects that share the screen's hue; the same with all that the object encloses, where it has the ground's
    colour itself; and, on a screen, from the screen's dominance, which sees soft edges and glass.
    """
    if shown.alpha is not None:
        return GREY, [(shown.colour, shown.alpha)]
    picture = as_unit(shown.colour)
    rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    ground = np.asarray(np.median(rim, axis=0), np.float32)
    apart = np.clip((np.abs(picture - ground).max(axis=-1) - 0.03) / 0.3, 0, 1)
    alphas = [apart, np.where(open_to_border(apart < 0.5), apart, 1)]
    if np.ptp(ground) > 0.15:
        alphas.insert(0, 1 - np.clip(dominance(picture, ground) / dominance(ground, ground), 0, 1))
    return ground, [(as_levels(unmixed(picture, a, ground, least=FAINTEST)), as_levels(a)) for a in alphas]


def _candidates(guesses: Sequence[tuple[Picture, Matte]], dataset: Path) -> list[tuple[str, Bits]]:
    """The keys of the samples whose hash is nearest to that of one of the guesses, and how near that is.

    Each sample has one of two kinds of hash, by the version that made it; of both a share of the bits is counted.
    """
    kinds = ((HASH_BITS, perceptual_hash), (EARLIER_HASH_BITS, earlier_hash))
    wanted = {width: _unpacked([hashed(*guess) for guess in guesses]) for width, hashed in kinds}
    nearest: list[tuple[float, str, Bits]] = []
    for table in _accepted(dataset):
        for width, own in wanted.items():
            rows = table.filter(pc.match_substring_regex(table["phash"], f"^[0-9a-f]{{{width // 4}}}$"))
            there = _unpacked(rows["phash"].to_pylist()).reshape(-1, width // 8)
            bits = np.min([np.bitwise_count(there ^ value).sum(axis=1) for value in own], axis=0)
            chosen = np.argsort(bits, kind="stable")[:COMPARED]
            keys = rows["key"].take(pa.array(chosen)).to_pylist()
            found = [(n / width, key, (n, width)) for n, key in zip(bits[chosen].tolist(), keys, strict=True)]
            nearest = sorted([*nearest, *found])[:COMPARED]
    return [(key, distance) for _, key, distance in nearest]


def _unpacked(phashes: Sequence[str]) -> NDArray[np.uint8]:
    """(N, bytes) of hashes of one width."""
    return np.frombuffer(bytes.fromhex("".join(phashes)), np.uint8).reshape(len(phashes), -1 if phashes else 1)


def _difference(shown: _Shown, stored: Stored, ground: Floats, guess: Matte) -> tuple[str, float, float]:
    """Which member the picture shows, by how much it differs where either shows an object, and how much there is to
    see there: RMS levels between picture and sample, and between sample and bare ground.
    """
    alpha = as_unit(stored.alpha)
    laid = _thumb(composite(as_unit(stored.foreground), alpha, ground))
    alphas = _thumb(alpha), _thumb(as_unit(guess))
    object_here = np.maximum(*alphas) > 0.05
    if shown.alpha is not None:
        picture = _thumb(composite(as_unit(shown.colour), as_unit(shown.alpha), ground))
        difference = max(_rms(laid, picture, object_here), _rms(*alphas, object_here))
        return "fg", difference, max(_rms(laid, ground, object_here), _rms(alphas[0], np.float32(0), object_here))
    picture, as_stored = _thumb(as_unit(shown.colour)), _thumb(as_unit(stored.rgb))
    near, far = _rms(as_stored, picture, object_here), _rms(laid, picture, object_here)
    if min(shown.colour.shape[:2]) < SMALL:
        near = min(near, _rms(_thumb(as_unit(_coded(stored.rgb, shown.colour.shape))), picture, object_here))
    if near <= far + 1:
        return "rgb", near, _rms(as_stored, ground, object_here)
    return "fg", far, _rms(laid, ground, object_here)


def _coded(picture: Picture, shape: tuple[int, ...]) -> Picture:
    """The picture at another's size as a JPEG with chroma of half resolution holds it."""
    resized = cv2.resize(picture, shape[1::-1], interpolation=cv2.INTER_AREA)
    halved = [cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(resized, cv2.COLOR_RGB2BGR), halved)
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _thumb(picture: Floats) -> Floats:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _rms(one: Floats, other: Floats | np.float32, where: NDArray[np.bool_]) -> float:
    """In levels; infinite where there is nothing to compare."""
    return float(np.sqrt(np.mean((one - other)[where] ** 2))) * 255 if where.any() else np.inf
