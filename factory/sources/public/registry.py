"""What is known of each public data set, and the register they enter when their file is imported."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A picture and its matte, as paths below the folder the user gave, with POSIX separators.

    foreground, background: "" where the set has none.  name: the picture's path in its own folder, without suffix.
    test: part of a public benchmark.  fault: (kind, sentence) where a counterpart is missing, else ("", "").
    """

    picture: str
    matte: str
    foreground: str = ""
    background: str = ""
    name: str = ""
    test: bool = False
    fault: tuple[str, str] = ("", "")

    @property
    def files(self) -> set[str]:
        """The paths, each once: one file may be picture and foreground."""
        return {self.picture, self.matte, self.foreground, self.background} - {""}


def _not_told(_name: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSet:
    """A data set of picture and matte pairs, or of foreground and matte videos (kind "videos").

    paper_count: images the paper took.  training, whole: what the official archive holds (0 where it varies).
    foreground "given": the set has the object's own colours, not a photograph with its background.
    soft_alpha False: masks are binary.  inverted: whether black is the object; None where nobody knows.
    layout: the folders as its archive unpacks, for documentation and errors.
    list_pairs: reads the layout below a folder; raises `folders.Missing`.
    class_of: what a picture's name tells of its content; "" takes `class_name`.
    test_names: a regular expression of names that are benchmark images, wherever they lie.
    """

    name: str
    title: str
    home: str
    archive: str
    layout: str
    list_pairs: Callable[[Path], list[Pair]]
    paper_count: int = 0
    training: int = 0
    whole: int = 0
    licence: str = ""
    attribution: str = ""
    kind: Literal["pictures", "videos"] = "pictures"
    foreground: Literal["given", "estimated"] = "estimated"
    soft_alpha: bool = True
    inverted: bool | None = False
    class_name: str = "object"
    class_of: Callable[[str], str] = _not_told
    test_names: str = ""

    def source_of(self, pair: Pair) -> str:
        """What a sample says of where it comes from: benchmark images are told from training images."""
        return f"{self.name}-test" if pair.test else self.name


REGISTRY: dict[str, PublicSet] = {}


def register(public: PublicSet) -> PublicSet:
    """Enter a set under its name."""
    if public.name in REGISTRY:
        raise ValueError(f"two public sets are named {public.name!r}")
    REGISTRY[public.name] = public
    return public
