"""Any two folders of pictures and mattes with the same file names: an own set without code."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from factory.sources.captions import name_from_path
from factory.sources.public.folders import Part, in_folders
from factory.sources.public.listing import Row, Seen, list_rows
from factory.sources.public.registry import Pair, PublicSet, register


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFolders:
    """Where an own set keeps what, below its folder, at any depth. "" for what it does not have.

    foreground: the object's own colours, where they are known.  background: the picture without the object.
    inverted: whether black is the object; None leaves it to be noticed, and then refused.
    soft_alpha False: mattes are binary masks.
    caption_from: take the name of an object from its file or from the folder it lies in.
    """

    picture: str = "picture"
    matte: str = "matte"
    foreground: str = ""
    background: str = ""
    inverted: bool | None = None
    soft_alpha: bool = True
    caption_from: Literal["file", "folder"] = "file"
    licence: str = ""
    attribution: str = ""


def _class_of(name: str) -> str:
    return name_from_path("", f"{name}.png", "file")


def _list_pairs(root: Path) -> list[Pair]:
    """Of the four usual folders, the last two may be there or not."""
    foregrounds, backgrounds = (folder if (root / folder).is_dir() else "" for folder in ("foreground", "background"))
    return in_folders((Part("picture", "matte", foregrounds, backgrounds),))(root)


PAIRS = register(
    PublicSet(
        name="pairs",
        title="a set of pairs",
        home="",
        archive="",
        layout="picture and matte, foreground and background where known, files matched by name",
        inverted=None,
        class_of=_class_of,
        list_pairs=_list_pairs,
    )
)


def list_pair_rows(root: Path, folders: PairFolders, *, seen: Seen | None = None) -> list[Row]:
    """The rows of an own set, as `list_rows` gives those of a public one."""

    def class_of(name: str) -> str:
        return name_from_path(root.resolve().name, f"{name}.png", folders.caption_from)

    own = replace(
        PAIRS,
        layout=f"{folders.picture} and {folders.matte}, files matched by name",
        licence=folders.licence,
        attribution=folders.attribution,
        soft_alpha=folders.soft_alpha,
        inverted=folders.inverted,
        foreground="given" if folders.foreground else "estimated",
        class_of=class_of,
        list_pairs=in_folders((Part(folders.picture, folders.matte, folders.foreground, folders.background),)),
    )
    return list_rows(own, root, seen=seen)
