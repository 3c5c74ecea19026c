"""Pairs of folders: which official layout lies below a folder, and which files in it belong together."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES as PICTURES
from factory.sources.public.registry import Pair

DEPTH = 2  # archives wrap their content in a folder, and unzip programs wrap that in another


class Missing(Exception):
    """The official layout is not, or not wholly, there. The message says what, relative to the given folder."""


@dataclass(frozen=True, slots=True)
class Part:
    """Folders whose files match by name without suffix. "." is the data set's folder itself, without those in it.

    test: part of a public benchmark; may be absent.
    """

    pictures: str
    mattes: str
    foregrounds: str = ""  # "" is none
    backgrounds: str = ""
    test: bool = False
    picture_suffixes: tuple[str, ...] = PICTURES
    matte_suffixes: tuple[str, ...] = PICTURES


Layout: TypeAlias = tuple[Part, ...]


def in_folders(*layouts: Layout, inside: Sequence[str] = ()) -> Callable[[Path], list[Pair]]:
    """A lister for sets that are pairs of folders.

    layouts: the official one first, then common variants; the first of which anything is there is taken.
    inside: beginnings of the names of folders that archives wrap their content in (case and punctuation aside).
    """

    def list_pairs(root: Path) -> list[Pair]:
        home, layout = _recognised(root, layouts, inside)
        parts = [part for part in layout if not part.test or _folder_holds(home, part.pictures, part.picture_suffixes)]
        for part in parts:
            if not part.test or _all_test(layout):
                _demand(root, home, part)
        return [pair for part in parts for pair in matched(root, home, part)]

    return list_pairs


def homes(root: Path, inside: Sequence[str]) -> Iterator[Path]:
    """The folder itself, then the folders in it, two deep, that archives are known to wrap their content in."""
    beginnings = tuple(_plain(name) for name in inside)
    level = [root]
    for _ in range(DEPTH + 1):
        yield from level
        level = [
            child
            for home in level
            for child in sorted(home.iterdir())
            if beginnings and _plain(child.name).startswith(beginnings) and child.is_dir()
        ]


def matched(root: Path, home: Path, part: Part) -> list[Pair]:
    """The part's files, paired by name and sorted by it. A name without all its files is a pair with a fault."""
    pictures = _by_name(home, part.pictures, part.picture_suffixes)
    mattes = _by_name(home, part.mattes, part.matte_suffixes)
    foregrounds = _by_name(home, part.foregrounds, part.picture_suffixes) if part.foregrounds else {}
    backgrounds = _by_name(home, part.backgrounds, PICTURES) if part.backgrounds else {}
    base = home.relative_to(root).as_posix()

    def path(folder: str, files: dict[str, list[str]], name: str) -> str:
        return str(PurePosixPath(base) / folder / files.get(name, [f"{name}.png"])[0]) if folder else ""

    return [
        Pair(
            picture=path(part.pictures, pictures, name),
            matte=path(part.mattes, mattes, name),
            foreground=path(part.foregrounds, foregrounds, name),
            background=path(part.backgrounds, backgrounds, name),
            name=name,
            test=part.test,
            fault=_fault(
                name,
                ("picture", part.pictures, pictures),
                ("matte", part.mattes, mattes),
                ("foreground", part.foregrounds, foregrounds),
                ("background", part.backgrounds, backgrounds),
            ),
        )
        for name in sorted(pictures.keys() | mattes.keys())
    ]


def _fault(name: str, *files_of: tuple[str, str, dict[str, list[str]]]) -> tuple[str, str]:
    for what, folder, files in files_of:
        if folder and name not in files:
            return f"no_{what}", f"{name} has no {what}: there is no {folder}/{name} with any picture suffix"
        if folder and len(files[name]) > 1:
            return "ambiguous", f"{name} has {len(files[name])} {what}s: {', '.join(files[name])} in {folder}"
    return "", ""


def _recognised(root: Path, layouts: Sequence[Layout], inside: Sequence[str]) -> tuple[Path, Layout]:
    for layout in layouts:
        for home in homes(root, inside):
            if any(_shows(home, part) for part in layout if not part.test or _all_test(layout)):
                return home, layout
    first = layouts[0][0]
    raise Missing(f"has no pictures in {first.pictures}")


def _all_test(layout: Layout) -> bool:
    return all(part.test for part in layout)


def _shows(home: Path, part: Part) -> bool:
    pictures = _folder_holds(home, part.pictures, part.picture_suffixes)
    mattes = _folder_holds(home, part.mattes, part.matte_suffixes)
    if part.pictures == ".":  # any folder has itself: only both kinds of file show the layout
        return pictures and mattes
    return pictures or mattes


def _demand(root: Path, home: Path, part: Part) -> None:
    for folder, suffixes in (
        (part.pictures, part.picture_suffixes),
        (part.mattes, part.matte_suffixes),
        (part.foregrounds, part.picture_suffixes),
        (part.backgrounds, PICTURES),
    ):
        if folder and not _folder_holds(home, folder, suffixes):
            where = (home.relative_to(root) / folder).as_posix()
            kinds = "pictures" if suffixes == PICTURES else f"{' or '.join(suffixes)} files"
            raise Missing(f"has no {kinds} in {where}")


def _folder_holds(home: Path, folder: str, suffixes: tuple[str, ...]) -> bool:
    return any(True for _ in _files(home, folder, suffixes))


def _by_name(home: Path, folder: str, suffixes: tuple[str, ...]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for relative in _files(home, folder, suffixes):
        files.setdefault(os.path.splitext(relative)[0], []).append(relative)  # noqa: PTH122 (a path may hold dots)
    return {name: sorted(paths) for name, paths in files.items()}


def _files(home: Path, folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Paths below the folder, at any depth; hidden files (and the Mac's "._" twins) are skipped.

    Of "." only its own files count: it may be a folder of many data sets.
    """
    return files_below(home / folder, suffixes, 0 if folder == "." else -1)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
