"""From a public set and the folder it was unpacked in to the rows that a plan freezes."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from factory.errors import UsageError
from factory.sources.captions import with_article
from factory.sources.public.folders import Missing
from factory.sources.public.registry import REGISTRY, Pair, PublicSet

ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz")
Row: TypeAlias = dict[str, str | int | bool | None]
Seen: TypeAlias = Callable[[int], None]


def public_set(name: str) -> PublicSet:
    """The registered set of that name."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise UsageError(f"there is no public set {name!r}: choose one of {', '.join(sorted(REGISTRY))}") from None


def list_pairs(public: PublicSet, root: Path, *, include_test: bool = False) -> list[Pair]:
    """The set's pairs below `root`, sorted by part and name; benchmark images only where asked for.

    Raises UsageError that names the missing folder or archive.
    """
    return [pair for pair in _all_pairs(public, root) if include_test or not pair.test]


def count_test(public: PublicSet, root: Path) -> int:
    """How many benchmark images lie below `root`: what `list_pairs` leaves out."""
    return sum(pair.test for pair in _all_pairs(public, root))


def list_rows(public: PublicSet, root: Path, *, include_test: bool = False, seen: Seen | None = None) -> list[Row]:
    """One row per pair, as MattePairs reads it, with size and SHA-256 of every file.

    A pair without a counterpart is listed with error_kind and error, and its absent file has size −1 and hash "".
    seen: is told the number of pairs hashed so far.
    """
    if public.kind == "videos":
        raise UsageError(f"{public.name} is a set of videos, not of pictures: list it as video pairs")
    rows = []
    for number, pair in enumerate(list_pairs(public, root, include_test=include_test), 1):
        rows.append(row_of(public, pair, {path: _digest(root, path) for path in pair.files}))
        if seen is not None:
            seen(number)
    return rows


def rows(name: str, root: Path, *, include_test: bool = False, seen: Seen | None = None) -> list[Row]:
    """The rows of a registered set, see `list_rows`."""
    return list_rows(public_set(name), root, include_test=include_test, seen=seen)


def _all_pairs(public: PublicSet, root: Path) -> list[Pair]:
    if not root.is_dir():
        raise UsageError(f"{root} is no folder: {_mend(public)}")
    try:
        found = public.list_pairs(root)
    except Missing as missing:
        packed = sorted(p.name for p in root.iterdir() if p.suffix.lower() in ARCHIVES)
        mend = f"unpack {', '.join(packed)} there" if packed else _mend(public)
        raise UsageError(f"{root} {missing}, so it is not {public.title} ({public.layout}): {mend}") from None
    if not public.test_names:
        return found
    return [replace(pair, test=pair.test or bool(re.fullmatch(public.test_names, pair.name))) for pair in found]


def _mend(public: PublicSet) -> str:
    return f"get {public.archive} from {public.home} and unpack it there" if public.home else "correct the path"


def row_of(public: PublicSet, pair: Pair, digests: Mapping[str, tuple[int, str]]) -> Row:
    """The row of one pair. digests: size and SHA-256 of each of its files, (−1, "") for one that is not there."""
    name = public.class_of(pair.name) or public.class_name
    row = Row(class_name=name, caption=with_article(name), licence=public.licence, attribution=public.attribution)
    row |= Row(source=public.name, soft_alpha=public.soft_alpha, inverted=public.inverted, test=pair.test)
    row |= Row(error_kind=pair.fault[0], error=pair.fault[1])
    for prefix, path in (
        ("", pair.picture),
        ("alpha_", pair.matte),
        ("foreground_", pair.foreground),
        ("background_", pair.background),
    ):
        size, sha256 = digests[path] if path else (-1, "")
        row |= {f"{prefix}path": path, f"{prefix}size": size, f"{prefix}sha256": sha256}
    return row


def _digest(root: Path, relative: str) -> tuple[int, str]:
    """(−1, "") for a file that is not there: the pair's fault says so already."""
    try:
        relative.encode("utf-8")
        with (root / relative).open("rb") as file:
            return (root / relative).stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return -1, ""
    except UnicodeEncodeError:
        raise UsageError(f"the file name {relative!r} is not UTF-8: rename the file") from None
    except PermissionError:
        raise UsageError(f"{root / relative} may not be read: change its permissions or take it out") from None
