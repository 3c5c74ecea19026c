"""A folder of pictures to a folder of mattes of their names. What is there is not made again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.errors import DataError, MachineError, UsageError, count_of, what_failed
from factory.greenscreen.compositing import as_levels
from factory.greenscreen.estimation import estimated_foreground
from factory.matting.applying import matte
from factory.matting.networks.folder import load_network, look
from factory.matting.picture_trimaps import Trimaps
from factory.models.device import best_device
from factory.models.folder import read_json
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES, decode_picture
from factory.shards.counting import Counting, silent
from factory.shards.durable import write_durably, write_json
from factory.shards.encoding import encode_png

ABOUT = "matte.json"  # in the folder of mattes: what they are made by
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
    """What to make.  how: what trimaps come from, in words that a resume compares.  foregrounds: a folder, or none."""

    network: Path
    trimaps: Trimaps
    how: str
    out: Path
    tile: int
    foregrounds: Path | None = None


def matte_pictures(pictures: Path, wanted: Mattes, progress: Counting = silent) -> Matted:
    """Write OUT/NAME.png for each picture NAME, 8-bit grey, and its straight foreground beside where it is asked for.

    pictures: a picture, or a folder at any depth.  A picture that is broken, or has no trimap, fails alone.
    Raises UsageError where nothing can begin, or OUT holds mattes of another network or other settings.
    """
    files = _files(pictures, wanted.out)
    found = look(wanted.network)
    _settle(wanted, found.fingerprint)
    left = [(name, file) for name, file in files if not all(place.is_file() for place in _places(wanted, name))]
    kept, faults = len(files) - len(left), list[tuple[str, str]]()
    if left:
        device = best_device().torch
        network = load_network(found.folder, device)
    for done, (name, file) in enumerate(left, start=1):
        try:
            picture = decode_picture(_read(file))
            alpha = as_levels(matte(network, picture, wanted.trimaps(name, picture), device, wanted.tile))
            layers = [alpha]
            if wanted.foregrounds is not None:
                layers.insert(0, estimated_foreground(picture, alpha, max(alpha.shape))[0])
            for place, layer in zip(_places(wanted, name), layers, strict=True):
                _write(place, encode_png(layer))
        except DataError as fault:
            faults.append((name, str(fault)))
        progress(kept + done, len(files))
    return Matted(len(left) - len(faults), kept, tuple(faults))


def _files(pictures: Path, out: Path) -> list[tuple[str, Path]]:
    """Name and file of each picture, in the order of names."""
    if pictures.is_file():
        return [(pictures.stem, pictures)]
    if not pictures.is_dir():
        raise UsageError(f"there is no {pictures}: give a picture or a folder of them.")
    if out.resolve().is_relative_to(pictures.resolve()):
        raise UsageError(f"--out {out} lies in {pictures}, whose pictures are matted: choose a folder elsewhere.")
    named: dict[str, Path] = {}
    for file in sorted(files_below(pictures, SUFFIXES)):
        name = Path(file).with_suffix("").as_posix()
        if name in named:
            raise UsageError(f"{pictures / file} and {named[name].name} have one name: take one of them away.")
        named[name] = pictures / file
    if not named:
        raise UsageError(f"{pictures} holds no picture: give a picture or a folder of them.")
    return sorted(named.items())


def _settle(wanted: Mattes, fingerprint: str) -> None:
    """Begin a folder, or go on with one that is made alike."""
    own = {"network": fingerprint, "trimaps": wanted.how, "tile": wanted.tile}
    place = wanted.out / ABOUT
    if not place.exists():
        write_json(place, own)
        return
    before = read_json(place)
    if before != own:
        differs = [name for name, value in own.items() if not isinstance(before, dict) or before.get(name) != value]
        raise UsageError(f"{wanted.out} holds mattes made otherwise ({', '.join(differs)}): use a new --out.")


def _places(wanted: Mattes, name: str) -> Sequence[Path]:
    """The matte's comes last: where it is, all is."""
    folders = [wanted.out] if wanted.foregrounds is None else [wanted.foregrounds, wanted.out]
    return [folder / f"{name}.png" for folder in folders]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError("unreadable", f"the file cannot be read ({error.strerror})") from None


def _write(place: Path, data: bytes) -> None:
    try:
        write_durably(place, data)
    except OSError as error:
        raise MachineError(f"writing failed ({what_failed(error, place)}): mend that, then run it again.") from error
