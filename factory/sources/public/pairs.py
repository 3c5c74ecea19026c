"""Any two folders of pictures and mattes with the same file names: an own set without code."""

from pathlib import Path

from factory.sources.captioning.names import name_from_path
from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import Pair, PublicSet, register


def _class_of(name: str) -> str:
    return name_from_path("", f"{name}.png", "file")


def _list_pairs(root: Path) -> list[Pair]:
    """Of the four usual folders, the last two may be there or not."""
    foregrounds, backgrounds = (folder if (root / folder).is_dir() else "" for folder in ("foreground", "background"))
    return in_folders((Part("picture", "matte", foregrounds, backgrounds),))(root)


register(
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
