"""The test pictures and their folds: what is tested in which, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from factory.engine.input_files import digest
from factory.errors import DataError, UsageError, some
from factory.experiments.matting.recipe import TestPictures
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES
from factory.quality.evaluation import read_side, read_trimap
from factory.quality.matte_sets import Place
from factory.quality.metrics import unknown


@dataclass(frozen=True, slots=True)
class TestPicture:
    """Three files of one name.  content: a hash of all three."""

    __test__ = False  # for pytest

    name: str
    picture: Path
    trimap: Path
    alpha: Path
    content: str


def find_test_pictures(of: TestPictures) -> list[TestPicture]:
    """Sorted by name.

    Raises UsageError for a folder without pictures, for a name that not all three have, and for a trimap by which
    nothing could be measured: better now than when a network is trained.
    """
    pictures, trimaps, alphas = (_by_name(folder) for folder in (of.pictures, of.trimaps, of.alphas))
    for folder, names in ((of.trimaps, trimaps), (of.alphas, alphas)):
        if absent := sorted(pictures.keys() - names.keys()):
            raise UsageError(f"{folder} has nothing named {some(absent)}: each picture needs both.")
    found = []
    for name, picture in sorted(pictures.items()):
        files = (picture, trimaps[name], alphas[name])
        content = sha256("".join(digest(file)[1] for file in files).encode()).hexdigest()
        found.append(TestPicture(name, *files, content))
        _check_trimap(found[-1])
    return found


def _check_trimap(of: TestPicture) -> None:
    try:
        places = [{of.name: Place(file, 0, file.stat().st_size)} for file in (of.alpha, of.trimap)]
        trimap = read_trimap(of.name, places[1], read_side("truth", of.name, places[0]))
        if not unknown(trimap).any():
            raise DataError("empty_region", "the trimap has no 128, so that nothing is unknown")  # noqa: TRY301
    except DataError as fault:
        raise UsageError(f"{of.picture} cannot be tested on ({fault}): mend its files or take them out.") from fault


def _by_name(folder: Path) -> Mapping[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder.absolute()} is no folder: correct `test` in the recipe.")
    paths: dict[str, Path] = {}
    for file in sorted(files_below(folder, SUFFIXES, 0)):
        path = folder / file
        if path.stem in paths:
            raise UsageError(f"{path} and {paths[path.stem].name} have one name: take one of them away.")
        paths[path.stem] = path
    if not paths:
        raise UsageError(f"{folder.absolute()} holds no picture: correct `test` in the recipe.")
    return paths


def in_folds(pictures: Sequence[TestPicture], count: int) -> list[list[TestPicture]]:
    """Dealt out in the order of a hash of their names: the same for any order, in parts of one size, within one.

    Raises UsageError for more folds than pictures.
    """
    if count > len(pictures):
        raise UsageError(f"folds.count is {count}, but there are {len(pictures)} test pictures: give fewer folds.")
    dealt = sorted(pictures, key=lambda picture: sha256(picture.name.encode()).digest())
    return [sorted(dealt[fold::count], key=lambda picture: picture.name) for fold in range(count)]


def lay_out(pictures: Sequence[TestPicture], folder: Path) -> None:
    """The files of one fold as links in folder/pictures, trimaps and alphas, and nothing else there.

    Raises UsageError where there is what is no link.
    """
    for kind in ("pictures", "trimaps", "alphas"):
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        wanted = {}
        for picture in pictures:
            file = getattr(picture, kind.removesuffix("s"))
            wanted[f"{picture.name}{file.suffix}"] = file.absolute()
        for link in place.iterdir():
            if not link.is_symlink():
                raise UsageError(f"{link} is not of this experiment: take it out.")
            if link.name not in wanted or link.readlink() != wanted[link.name]:
                link.unlink()
        for name, file in wanted.items():
            if not (place / name).is_symlink():
                (place / name).symlink_to(file)
