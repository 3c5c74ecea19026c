"""The dataset card, OUT/README.md: what Hugging Face's hub and loader read at its head, what people read below."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from factory.sample import DRAWN, GENERATED
from factory.shards.commit import CommitRecord
from factory.shards.indexes import MAIN_SPLIT
from factory.shards.manifest import ROWS_IN_ONE_FILE
from factory.shards.markdown import environment
from factory.shards.members import MATTING, Members
from factory.shards.schema import features

# The hub's identifiers are SPDX's in lower case; other licences go by name and link.
_HUB_LICENCES = {"mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_LISTED = 100  # attributions; the manifest has them all


@dataclass(frozen=True, kw_only=True)
class SourceLine:
    """One source beside the paper's table.  found: -1 if it has no end.  paper: 0 if the paper has no such source."""

    title: str
    found: int
    used: int
    paper: int


@dataclass
class SplitCount:
    """One split, in numbers."""

    shards: int = 0
    samples: int = 0
    bytes: int = 0


@dataclass
class Contents:
    """Counts of the accepted samples, taken shard by shard.  asked: which of ASKED_SCORES they have."""

    members: Members = MATTING
    asked: tuple[str, ...] = ()
    splits: dict[str, SplitCount] = field(default_factory=dict)
    origins: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (kind, source, licence)
    source_types: Counter[str] = field(default_factory=Counter)  # IPTC's terms
    attributions: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height)
    attempts: int = 0
    rejected: Counter[str] = field(default_factory=Counter)  # reason → attempts
    hard: int = 0  # samples whose mask is binary
    tars: list[str] = field(default_factory=list)  # name and SHA-256 of each

    def count(self, record: CommitRecord, accepted: pa.Table) -> None:
        """Take in one shard: its record and the accepted rows of its part."""
        split = self.splits.setdefault(record.split, SplitCount())
        split.shards += 1 if record.tar.name else 0
        split.samples += accepted.num_rows
        split.bytes += record.tar.bytes
        self.attempts += record.attempts
        self.rejected.update(record.rejected)
        columns = {
            name: accepted[name].to_pylist()
            for name in (
                *("kind", "source", "licence", "attribution", "class", "width", "height", "soft_alpha"),
                "digital_source_type",
            )
        }
        self.origins.update(zip(columns["kind"], columns["source"], columns["licence"], strict=True))
        self.source_types.update(columns["digital_source_type"])
        self.sizes.update(zip(columns["width"], columns["height"], strict=True))
        self.attributions.update(columns["attribution"])
        self.classes.update(columns["class"])
        self.hard += columns["soft_alpha"].count(False)
        if record.tar.name:
            self.tars.append(f"{record.tar.name} {record.tar.sha256}")

    @property
    def samples(self) -> int:
        return sum(split.samples for split in self.splits.values())

    @property
    def digest(self) -> str:
        """SHA-256 over all tars: another content is another set to readers that keep copies."""
        return hashlib.sha256("\n".join(self.tars).encode()).hexdigest()

    @property
    def generated(self) -> int:
        return sum(count for (kind, _, _), count in self.origins.items() if kind == "generated")

    @property
    def synthetic(self) -> bool:
        """Whether a program made any of the pictures, with or without a model."""
        return self.source_types[GENERATED] + self.source_types[DRAWN] > 0


def dataset_card(contents: Contents, title: str, sources: Sequence[SourceLine], excluded: Mapping[str, int]) -> str:
    """The whole README.md; the same text for the same samples.

    excluded: benchmark → pictures left out because they are its own.
    """
    from huggingface_hub import DatasetCard  # noqa: PLC0415  (only finalisation needs it)

    splits = sorted(contents.splits, key=lambda name: (name != MAIN_SPLIT, name))
    attributions = sorted(contents.attributions - {""})
    body = (
        environment("factory.shards", "templates")
        .get_template("card.md.j2")
        .render(
            title=title,
            contents=contents,
            in_one_file=contents.attempts <= ROWS_IN_ONE_FILE,
            splits=splits,
            first_split=splits[0] if splits else MAIN_SPLIT,
            origins=sorted(contents.origins.items()),
            sources=sources,
            excluded=sorted(excluded.items()),
            source_types=sorted(contents.source_types.items()),
            rejected=contents.rejected.most_common(),
            classes=len(contents.classes - {""}),
            sizes=sorted(contents.sizes.items()),
            attributions=attributions[:_LISTED],
            further_attributions=max(0, len(attributions) - _LISTED),
            further_members=[member for member in contents.members if member not in MATTING],
        )
    )
    return str(DatasetCard(f"---\n{_front_matter(contents, splits, title)}\n---\n{body}"))


def _front_matter(contents: Contents, splits: list[str], title: str) -> str:
    """What the hub and its loader read."""
    from huggingface_hub import DatasetCardData  # noqa: PLC0415  (only finalisation needs it)

    with_samples = [split for split in splits if contents.splits[split].samples]
    data_files = [{"split": split, "path": f"data/{split}-*.tar"} for split in with_samples]
    licence: dict[str, Any] = _licence(contents)
    kinds = {kind for kind, _, _ in contents.origins}
    found = kinds & {"composited"} and set(contents.source_types) - {GENERATED, DRAWN}
    tags = [
        "image-matting",
        "alpha-matte",
        "green-screen",
        *(["synthetic"] if contents.synthetic else []),
        "webdataset",
    ]
    data = DatasetCardData(
        **licence,
        pretty_name=title,
        annotations_creators=[*(["found"] if found else []), "machine-generated"],
        source_datasets=["extended" if found else "original"],
        task_categories=["image-segmentation"],
        tags=tags,
        size_categories=[next((name for bound, name in _SIZES if contents.samples < bound), "n>10M")],
        configs=[{"config_name": "default", "data_files": data_files}] if data_files else None,
        # `datasets` knows a copy that it keeps by what is said here, so the content is said.
        dataset_info={
            "features": features(contents.members, contents.asked),
            "description": f"content sha256:{contents.digest}",
        },
    )
    return str(data.to_yaml())


def _licence(contents: Contents) -> dict[str, str]:
    """The hub's licence fields: a known one if all samples share it, else `other` and a pointer to the table."""
    licences = {licence for _, _, licence in contents.origins}
    only = next(iter(licences)).lower() if len(licences) == 1 else ""
    if only in _HUB_LICENCES:
        return {"license": only}
    return {"license": "other", "license_name": "see-origins", "license_link": "README.md#origins-and-licences"}
