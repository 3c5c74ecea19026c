"""Input files: which of a folder's are meant, and a first look at a picture."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from wcmatch import glob

from factory.engine.survey import Answer
from factory.errors import DataError, UsageError


def matches(path: str, pattern: str) -> bool:
    """Whether a glob pattern covers a whole relative path: `*` stays in its folder, `**` is any number of folders.

    As PurePosixPath.full_match, which Python has from 3.13 on: a final `**` may be no folder, a backslash is a letter.
    """
    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.CASE
    whole = pattern.replace("\\", "\\\\")
    return glob.globmatch(path, whole, flags=flags) or (whole.endswith("/**") and matches(path, pattern[: -len("/**")]))


def exactly(name: str) -> str:
    """The pattern that covers this path alone."""
    return re.sub(r"[*?[]", r"[\g<0>]", name)


def included(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether one of the patterns covers a path, see `matches`."""
    return lambda path: any(matches(path, pattern) for pattern in patterns)


def look_with(path: Path, probe: Callable[[bytes], tuple[int, int, DataError | None]]) -> Answer:
    """What a plan freezes of a picture: size (bytes), sha256, width, height, and error_kind and error ("" where there
    is nothing wrong). Decodes no pixels.

    probe: the file's bytes → width and height (−1 where unknown), and what is wrong with it.
    """
    try:
        data = path.read_bytes()
    except PermissionError:
        raise UsageError(f"{path} may not be read: change its permissions or take it out of the folder") from None
    width, height, error = probe(data)
    return {
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": width,
        "height": height,
        "error_kind": error.kind if error else "",
        "error": str(error) if error else "",
    }
