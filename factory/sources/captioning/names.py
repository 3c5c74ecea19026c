"""What a picture shows, from the name of its file or folder; the article that a name takes."""

import re
from pathlib import PurePosixPath
from typing import Literal

VOWEL = re.compile(r"[aeiou]|hour|honest|honou?r|heir|[fhlmnrsx]\b", re.IGNORECASE)
SPOKEN_YOU_OR_WON = re.compile(r"eu|ewe|on(e|ce)\b|u(\b|ni(?![mn])|sb|fo\b|[bkrst][aeiou])", re.IGNORECASE)
VIEWS = {"N", "NE", "E", "SE", "S", "SW", "W", "NW"}  # rendered sets name the camera's side at the end of a file
# What cameras begin a picture's name with:
CAMERAS = {"cimg", "dji", "dsc", "dscf", "dscn", "gopr", "img", "imgp", "mvi", "pxl", "vid"}


def name_from_path(root: str, relative: str, captions: Literal["file", "folder"]) -> str:
    """Turn "redApple_07.png" into "red apple". Where a name holds no letters, the next folder up is asked.

    root: name of the folder that was listed.  relative: the picture's path below it.
    """
    path = PurePosixPath(root) / relative
    names = [path.stem, *reversed(path.parent.parts)] if captions == "file" else list(reversed(path.parent.parts))
    return next((words for name in names if (words := _words(name))), "object")


def with_article(name: str) -> str:
    """The caption "a red apple", "an owl"."""
    return f"{article(name)} {name}"


def article(words: str) -> str:
    """What stands before these words: "an" before a vowel that is heard, as in "an owl", "an hour" but "a unicorn"."""
    return "an" if VOWEL.match(words.lstrip()) and not SPOKEN_YOU_OR_WON.match(words.lstrip()) else "a"


def _words(name: str) -> str:
    """Split at separators and camelCase; running numbers, what cameras write and a trailing view go."""
    apart = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = [re.sub(r"(?<=[^\W\d])\d+$", "", w) for w in re.split(r"[\W_]+", apart)]
    words = [w for w in words if re.search(r"[^\W\d]", w) and w.lower() not in CAMERAS]
    if len(words) > 1 and words[-1] in VIEWS:
        words.pop()
    return " ".join(words).lower()
