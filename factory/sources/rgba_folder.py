"""Folders of pictures with an alpha channel (PNG, WebP) as a source of samples on a screen."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeAlias

from numpy.random import Generator, default_rng

from factory.errors import DataError, InputChanged, UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.greenscreen.compositing import paint_on_screen
from factory.sample import Matte, Origin, Picture, Request, Sample
from factory.shards.equation import constant_plate
from factory.sources.captions import name_from_path, with_article
from factory.sources.framing import framed, moved_within
from factory.sources.rgba_file import decode, probe

SUFFIXES = {".png", ".webp"}
Row: TypeAlias = dict[str, str | int]


def list_items(
    folder: Path,
    *,
    include: Sequence[str] = ("**/*",),
    captions: Literal["file", "folder"] = "file",
    licence: str = "",
    attribution: str = "",
) -> list[Row]:
    """Plan the folder: one row per included picture at any depth, sorted by its relative path (POSIX separators).

    Every row has path, size (bytes), sha256, width, height, class_name, caption, licence, attribution, and
    error_kind and error of a first look ("" where there is nothing wrong). A picture that cannot be used is
    listed as well: the worker finds the same fault and it becomes a row of the manifest. Hidden files are skipped.
    include: glob patterns for the whole relative path, see `matches`.
    captions: take the name of an object from its file or from the folder it lies in.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give a folder of PNG or WebP pictures with alpha")
    found = [
        p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]
    if not found:
        raise UsageError(f"{folder} holds no PNG or WebP file: give a folder of pictures with alpha")
    rows = []
    for path in sorted(found, key=lambda p: p.relative_to(folder).as_posix()):
        relative = path.relative_to(folder).as_posix()
        if not any(matches(relative, pattern) for pattern in include):
            continue
        data = _read_for_planning(path, relative)
        width, height, error = probe(data)
        name = name_from_path(folder.resolve().name, relative, captions)
        rows.append(
            Row(
                path=relative,
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                width=width,
                height=height,
                class_name=name,
                caption=with_article(name),
                licence=licence,
                attribution=attribution,
                error_kind=error.kind if error else "",
                error=str(error) if error else "",
            )
        )
    return rows


def matches(path: str, pattern: str) -> bool:
    """Whether a glob pattern covers a whole relative path: `*` stays in its folder, `**` is any number of folders.

    As PurePosixPath.full_match, which Python has from 3.13 on.
    """
    return _parts_match(path.split("/"), pattern.split("/"))


def _parts_match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _parts_match(parts, pattern[1:]) or (bool(parts) and _parts_match(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _parts_match(parts[1:], pattern[1:])


def _read_for_planning(path: Path, relative: str) -> bytes:
    try:
        relative.encode("utf-8")
        return path.read_bytes()
    except UnicodeEncodeError:
        raise UsageError(f"the file name {relative!r} is not UTF-8: rename the file") from None
    except PermissionError:
        raise UsageError(f"{path} may not be read: change its permissions or take it out of the folder") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class RgbaSettings:
    """How objects are framed. Part of the plan.

    margin: smallest and largest share of the frame left free beside the object's longer side, drawn per sample.
    wander: 0 keeps objects centred, 1 lets them go as far as the smallest margin.
    flip: probability of a mirrored object.
    """

    size: int = 128
    key: KeyName = "green"
    margin: tuple[float, float] = (0.05, 0.14)
    wander: float = 0.6
    flip: float = 0.5
    source: str = "rgba_folder"

    def __post_init__(self) -> None:
        """Refuse what no plan should hold."""
        if self.size < 16 or self.size > 4096:
            raise UsageError(f"size is {self.size}: choose 16 to 4096 pixels")
        if not 0 <= self.margin[0] <= self.margin[1] < 0.5:
            raise UsageError(f"margin is {self.margin}: give two shares of the frame, rising, from 0 to below 0.5")


@dataclass(frozen=True, slots=True)
class RgbaFolder:
    """A finite source: the request's `item` is a row of `list_items(folder)`."""

    folder: Path
    settings: RgbaSettings

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        """One composited sample per request, or the fault of its picture. A changed file raises InputChanged."""
        return [self._sample_or_fault(request) for request in requests]

    def _sample_or_fault(self, request: Request) -> Sample | DataError:
        data = _read_as_planned(self.folder / str(request.item["path"]), str(request.item["sha256"]))
        try:
            foreground, alpha = decode(data)
        except DataError as fault:
            return fault
        return self._sample(request, foreground, alpha)

    def _sample(self, request: Request, foreground: Picture, alpha: Matte) -> Sample:
        row, s = request.item, self.settings
        soft = bool(((alpha > 0) & (alpha < 255)).any())
        foreground, alpha = _posed(foreground, alpha, s, default_rng(request.seed))
        screen = KEY_COLOURS[s.key]
        return Sample(
            request=request,
            origin=Origin(
                kind="composited",
                class_name=str(row["class_name"]),
                caption=str(row["caption"]),
                source=s.source,
                licence=str(row["licence"]),
                attribution=str(row["attribution"]),
                soft_alpha=soft,
                key_rgb=screen,
            ),
            rgb=paint_on_screen(foreground, alpha, screen),
            alpha=alpha,
            foreground=foreground,
            plate=constant_plate(screen),
        )


def _posed(foreground: Picture, alpha: Matte, s: RgbaSettings, rng: Generator) -> tuple[Picture, Matte]:
    margin, flip = rng.uniform(*s.margin), rng.random() < s.flip
    across, down = rng.uniform(-1, 1, 2) * s.wander
    if flip:
        foreground, alpha = foreground[:, ::-1], alpha[:, ::-1]
    foreground, alpha = framed(foreground, alpha, s.size, margin)
    return moved_within(foreground, alpha, float(across), float(down), s.margin[0])


def _read_as_planned(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputChanged(
            f"{path} was there when the run was planned and is gone: put it back or start a new run"
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputChanged(f"{path} has changed since the run was planned: restore the file or start a new run")
    return data
