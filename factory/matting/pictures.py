"""A folder of pictures to a folder of mattes of their names. What is there, of the same files, is not made again."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from factory.errors import DataError, MachineError, UsageError, count_of, what_failed
from factory.greenscreen.compositing import as_levels
from factory.greenscreen.estimation import estimated_foreground
from factory.matting.applying import matte
from factory.matting.made_of import MadeOf, read_signed, signed
from factory.matting.networks.folder import load_network, look
from factory.matting.picture_trimaps import Trimaps
from factory.models.device import best_device
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, decode_picture
from factory.sample import Matte, Picture
from factory.shards.counting import Counting, silent
from factory.shards.durable import make_folder, write_durably
from factory.shards.encoding import encode_png
from factory.shards.lock import hold

NAMED = 20  # pictures that have no matte


@dataclass(frozen=True, slots=True)
class Matted:
    """What came out. faults: name and sentence of each picture without a matte."""

    made: int
    kept: int
    faults: tuple[tuple[str, str], ...]

    def text(self, out: Path) -> str:
        """For the terminal."""
        there = f"; {self.kept:,} were there" if self.kept else ""
        lines = [f"{count_of(self.made, 'matte', 'mattes')} made in {out}{there}."]
        if self.faults:
            lines.append(f"{count_of(len(self.faults), 'picture has', 'pictures have')} none:")
            lines += [f"  {name}: {sentence}" for name, sentence in self.faults[:NAMED]]
            if len(self.faults) > NAMED:
                lines.append(f"  … and {len(self.faults) - NAMED:,} more")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Mattes:
    """What to make.  foregrounds: a folder, or none."""

    network: Path
    trimaps: Trimaps
    out: Path
    tile: int
    foregrounds: Path | None = None

    def places(self, name: str) -> Sequence[Path]:
        """Of a picture's files; the matte's is the last."""
        folders = [self.out] if self.foregrounds is None else [self.foregrounds, self.out]
        return [folder / f"{name}.png" for folder in folders]


def matte_pictures(pictures: Path, wanted: Mattes, progress: Counting = silent) -> Matted:
    """Write OUT/NAME.png for each picture NAME, 8-bit grey, and its straight foreground beside where it is asked for.

    pictures: a picture, or a folder at any depth.  A picture that is broken, or has no trimap, fails alone.
    Raises UsageError where nothing can begin, or a file is in the way: one that was not made here, or was made by
    another network or with other settings. What was made of a picture or a trimap since changed is made again.
    """
    files = _files(pictures, wanted)
    found = look(wanted.network)
    settings = MadeOf(found.fingerprint, wanted.trimaps.how, wanted.tile, "")
    try:
        make_folder(wanted.out)
        with hold(wanted.out / ".lock", f"matte {pictures}"):
            _check_way(settings, (place for name, _ in files for place in wanted.places(name)))
            return _matted(files, wanted, settings, progress)
    except OSError as error:
        failed = what_failed(error, wanted.out)
        raise MachineError(f"mattes cannot be written ({failed}): mend that, then run it again.") from error


def _matted(files: Sequence[tuple[str, Path]], wanted: Mattes, settings: MadeOf, progress: Counting) -> Matted:
    made, kept, faults = 0, 0, list[tuple[str, str]]()
    matting = cache(lambda: _matting(wanted))  # loaded when the first picture needs it
    for done, (name, file) in enumerate(files, start=1):
        try:
            data, told = _read(file), wanted.trimaps.told(name)
            made_of = replace(settings, inputs=_hash(data, told))
            places = wanted.places(name)
            if all(place.exists() and read_signed(place) == made_of for place in places):
                kept += 1
            else:
                layers = matting()(decode_picture(data), told)
                for place, layer in zip(places, layers, strict=True):
                    write_durably(place, signed(encode_png(layer), made_of))
                made += 1
        except DataError as fault:
            faults.append((name, str(fault)))
        progress(done, len(files))
    return Matted(made, kept, tuple(faults))


def _matting(wanted: Mattes) -> Callable[[Picture, bytes], list[Matte]]:
    """A picture, and what tells its trimap, to what is written of it: the matte comes last."""
    device = best_device().torch
    network = load_network(wanted.network, device)

    def layers(picture: Picture, told: bytes) -> list[Matte]:
        alpha = as_levels(matte(network, picture, wanted.trimaps.of(told, picture), device, wanted.tile))
        if wanted.foregrounds is None:
            return [alpha]
        return [estimated_foreground(picture, alpha, max(alpha.shape))[0], alpha]

    return layers


def _files(pictures: Path, wanted: Mattes) -> list[tuple[str, Path]]:
    """Name and file of each picture, in the order of names."""
    out, foregrounds = wanted.out.resolve(), wanted.foregrounds
    if foregrounds is not None and foregrounds.resolve() == out:
        raise UsageError(f"--foregrounds and --out are both {wanted.out}: give each a folder of its own.")
    if pictures.is_file():
        return [(pictures.stem, pictures)]
    if not pictures.is_dir():
        raise UsageError(f"there is no {pictures}: give a picture or a folder of them.")
    for flag, place in (("--out", wanted.out), ("--foregrounds", foregrounds)):
        if place is not None and place.resolve().is_relative_to(pictures.resolve()):
            raise UsageError(f"{flag} {place} lies in {pictures}, whose pictures are matted: give one elsewhere.")
    named: dict[str, Path] = {}
    for file in sorted(files_below(pictures, SUFFIXES)):
        name = Path(file).with_suffix("").as_posix()
        if name in named:
            raise UsageError(f"{pictures / file} and {named[name].name} have one name: take one of them away.")
        named[name] = pictures / file
    if not named:
        raise UsageError(f"{pictures} holds no picture: give a picture or a folder of them.")
    return sorted(named.items())


def _check_way(settings: MadeOf, places: Iterable[Path]) -> None:
    """Nothing may be written over but what was made here and alike."""
    for place in places:
        if not place.exists():
            continue
        before = read_signed(place)
        if before is None:
            raise UsageError(f"{place} is there and no matte made here: use a new folder.")
        if differs := settings.differs(before):
            raise UsageError(f"{place} was made otherwise ({', '.join(differs)}): use a new folder.")


def _hash(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in contents)).hexdigest()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError("unreadable", f"the file cannot be read ({error.strerror})") from None
