"""From a public set and the folder it was unpacked in to the rows that a plan freezes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from factory.errors import UsageError
from factory.sources.captioning.names import with_article
from factory.sources.entry import Row
from factory.sources.public.folders import Missing
from factory.sources.public.registry import REGISTRY, Pair, PublicSet

ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz")


def public_set(name: str) -> PublicSet:
    """The registered set of that name."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise UsageError(f"there is no public set {name!r}: choose one of {', '.join(sorted(REGISTRY))}") from None


def list_pairs(public: PublicSet, root: Path) -> list[Pair]:
    """The set's pairs below `root`, sorted by part and name, benchmark images (`test`) among them.

    Raises UsageError that names the missing folder or archive.
    """
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
    row |= Row(source=public.source_of(pair), soft_alpha=public.soft_alpha, inverted=public.inverted)
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
