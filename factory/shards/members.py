"""The members of a sample, declared once for each job: its tars, manifest, indexes and card are written from the
declaration, and verified against it.

A reader needs no declaration: a tar's names and the manifest's columns say what lies there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.sample import Sample
from factory.trust import TRUST

JSON = "json"  # every sample has its metadata beside its pictures
# No folder, no dot in front, no ".." and nothing that a shell or another system reads otherwise.
_NAME = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_-]*)\.([A-Za-z0-9_][A-Za-z0-9_ -]*(?:\.[A-Za-z0-9_-]+)*)")
OWN = ("rgb", "alpha", "fg")  # members that are fields of a Sample; any other is one of its layers
Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Member:
    """One 8-bit picture of a sample: KEY.NAME.png.

    name: lower-case letters and digits; of a field of the Sample (OWN), or of one of its layers.
    channels: 1 grey, 3 RGB.  contents: one sentence, for the set's card.
    """

    name: str
    channels: Literal[1, 3]
    contents: str

    def __post_init__(self) -> None:
        """A plan may come from elsewhere, and the name becomes one of files and columns."""
        if not re.fullmatch(r"[a-z0-9]{1,32}", self.name) or self.name == JSON:
            raise ValueError(f"a member is named {self.name!r}: take lower-case letters and digits, not {JSON}")
        if self.channels not in (1, 3):
            raise ValueError(f"the member {self.name} has {self.channels} channels: 1 is grey, 3 is RGB")

    @property
    def kind(self) -> tuple[str, int]:
        """What of it decides bytes."""
        return self.name, self.channels

    @property
    def extension(self) -> str:
        """What follows the key in a tar."""
        return f"{self.name}.png"

    def pixels(self, sample: Sample) -> Pixels | None:
        """(H, W) or (H, W, 3); None where the sample has no such picture."""
        own = dict(zip(OWN, (sample.rgb, sample.alpha, sample.foreground), strict=True))
        return own[self.name] if self.name in own else sample.layers.get(self.name)


Members: TypeAlias = tuple[Member, ...]

MATTING: Members = (
    Member("rgb", 3, "The picture I on its screen: 8-bit sRGB."),
    Member("alpha", 1, "The alpha matte: 8-bit grey, linear coverage; 0 and 255 mean exactly 0 and 1."),
    Member("fg", 3, "The foreground's straight colour F: 8-bit sRGB, despilled, defined everywhere."),
)

SHADOW = Member(
    "shadow", 1, "The object's shadow: 8-bit grey s, the share of the screen's light that is missing; 0 where α is 1."
)

TRUST_MAP = Member(
    TRUST, 1, "How far α may be trusted: 8-bit grey t, the expected error of α is (1 − t/255)²; 255 is not in doubt."
)


def with_trust(members: Members) -> Members:
    """The members and the trust map, once."""
    return members if TRUST_MAP.kind in {member.kind for member in members} else (*members, TRUST_MAP)


def are_there(members: Sequence[Member], sample: Sample) -> bool:
    """Whether the sample has all of these pictures, so that it can be stored."""
    return all(member.pixels(sample) is not None for member in members)


def member_name(key: str, extension: str) -> str:
    """The name of a member in its tar. Raises ValueError where it would not be safe as that of a file."""
    name = f"{key}.{extension}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a member: take letters, digits, - and _")
    return name


def name_parts(name: str) -> tuple[str, str]:
    """Key and extension of a member's name. Raises DataError("member_name") where `member_name` would not make it.

    Both become parts of paths and of file names, and a tar may come from anybody.
    """
    if not (parts := _NAME.fullmatch(name)):
        raise DataError("member_name", f"{name!r} is no name of a member: it could lead out of a folder")
    return parts[1], parts[2]


def extensions(members: Sequence[Member]) -> tuple[str, ...]:
    """Of all members, the JSON among them, in the order in which they lie in a tar."""
    return tuple(sorted([*(member.extension for member in members), JSON]))


def column(extension: str, what: Literal["offset", "size"]) -> str:
    """The manifest's column for where a member's bytes lie: "rgb_png_offset"."""
    return f"{extension.replace('.', '_')}_{what}"


def is_place(name: str) -> bool:
    """Whether a column of the manifest is one of these."""
    return name.endswith(("_offset", "_size"))


def places(row: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Extension → offset and size, as a manifest's row has them; None where it lacks one."""
    names = [name.removesuffix("_offset").replace("_", ".") for name in row if name.endswith("_offset")]
    return {name: (row[column(name, "offset")], row.get(column(name, "size"))) for name in names}


def from_json(data: Sequence[Mapping[str, Any]]) -> Members:
    """The members that a plan declares."""
    return tuple(Member(**member) for member in data)
