"""What a model was trained on, from the manifests of its data sets: for its vocabulary and its card."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from factory.diffusion.train.no_screen import captions_of, content_sha256, is_pictures
from factory.diffusion.train.settings import TrainingFolder
from factory.errors import UsageError
from factory.shards.commit import sha256_of
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest

Origin = tuple[str, str, str]  # source, licence, attribution


@dataclass(frozen=True, kw_only=True)
class SetFacts:
    """One set. classes: those of the largest source first, each source's in the order they appear."""

    name: str
    split: str
    repeat: int
    samples: int
    binary: int  # samples whose mask is not soft
    origins: tuple[tuple[Origin, int], ...]
    classes: tuple[str, ...]
    captions: tuple[tuple[str, str], ...]  # the distinct pairs of class and caption
    manifest_sha256: str


def check_finished(folder: Path) -> None:
    """A set that still grows would train another model at the next run. A folder of pictures is what it is."""
    if not is_pictures(folder) and not Layout(folder).finished.is_file():
        mend = "run the command that makes it again until it is."
        if not folder.exists():
            mend = "there is no such folder. Make it (`factory build-green100k` draws one), or correct train.data."
        raise UsageError(f"{folder} is not a finished data set: {mend}")


def facts(folder: TrainingFolder) -> SetFacts:
    """Read the set's manifest."""
    layout = Layout(Path(folder.folder))
    if is_pictures(layout.root):
        return _of_pictures(layout.root, folder.repeat)
    columns = ("status", "split", "source", "licence", "attribution", "class", "caption", "soft_alpha")
    table = read_manifest(layout, columns)
    table = table.filter((pc.field("status") == "accepted") & (pc.field("split") == folder.split))
    if not table.num_rows:
        raise UsageError(
            f"{folder.folder} has no manifest of {folder.split} samples, from which the model's card is written: "
            "put the data set back where it was, then run the same command again"
        )
    sources = table["source"].to_pylist()
    origins = Counter(zip(sources, table["licence"].to_pylist(), table["attribution"].to_pylist(), strict=True))
    size_of_source = Counter(sources)
    first_seen = dict.fromkeys(zip(sources, table["class"].to_pylist(), strict=True))
    by_source = sorted(first_seen, key=lambda pair: -size_of_source[pair[0]])  # stable: the order inside stays
    return SetFacts(
        name=layout.root.resolve().name,
        split=folder.split,
        repeat=folder.repeat,
        samples=table.num_rows,
        binary=table["soft_alpha"].to_pylist().count(False),
        origins=tuple(origins.most_common()),
        classes=tuple(dict.fromkeys(name for _, name in by_source if name)),
        captions=tuple(dict.fromkeys(zip(table["class"].to_pylist(), table["caption"].to_pylist(), strict=True))),
        manifest_sha256=manifest_sha256(layout),
    )


def manifest_sha256(layout: Layout) -> str:
    """Of the one file; where the manifest stays a folder, over the names and hashes of its parts.

    Of a folder of pictures over these.
    """
    if is_pictures(layout.root):
        return content_sha256(layout.root)
    if layout.manifest.is_file():
        return sha256_of(layout.manifest)
    lines = (f"{part.name}\0{sha256_of(part)}\n" for part in sorted(layout.parts.glob("part-*.parquet")))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _of_pictures(folder: Path, repeat: int) -> SetFacts:
    """Nobody says whose they are."""
    captions = captions_of(folder)
    return SetFacts(
        name=folder.resolve().name,
        split="pictures",
        repeat=repeat,
        samples=len(captions),
        binary=0,
        origins=((("pictures", "unknown", ""), len(captions)),),
        classes=(),
        captions=tuple(dict.fromkeys(("", caption) for caption in captions.values())),
        manifest_sha256=content_sha256(folder),
    )
