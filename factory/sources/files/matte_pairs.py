"""Photographs with a matte in a file of its own (public matting and segmentation sets) as samples on a screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from factory.engine.input_files import read_as_planned
from factory.errors import DataError
from factory.greenscreen.estimation import estimated_foreground, unmixed_foreground
from factory.greenscreen.framing import bounds, cut_sides
from factory.greenscreen.on_screen import FramingSettings, painted
from factory.pictures.matte import decode_matte, looks_inverted
from factory.pictures.picture import decode_picture
from factory.sample import CAPTURED, Matte, Origin, Picture, Request, Sample

AROUND = 0.05  # of the object's longer side: what an estimate may see of the background
SMALLEST = 16  # pixels of the object's longer side; less is no picture of it
OVERSIZE = 2  # times the finished size: pictures are shrunk to it before the costly steps

How = Literal["given", "estimated", "unmixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MattePairSettings(FramingSettings):
    """How objects are framed, and the name of a row's set where the row has none. Part of the plan."""

    source: str = "matte_pairs"


@dataclass(frozen=True, slots=True)
class MattePairs:
    """A finite source. The request's `item` is a row of strings, but for the flags:

    path, alpha_path: below `root`, with sha256 and alpha_sha256; class_name, caption, licence, attribution.
    Optional: source; foreground_path (straight colour), background_path (a clean plate), each with its hash
    (foreground_sha256 …), "" for none; soft_alpha (True); inverted: False or True as the set is known to be, absent
    or None where nobody knows, and then what looks inverted is refused; error_kind and error, "" unless the row is
    known to be of no use.
    """

    root: Path
    settings: MattePairSettings

    def __call__(self, requests: Sequence[Request]) -> Sequence[Sample | DataError]:
        """One composited sample per request, or the fault of its files. A changed file raises InputChanged."""
        return [self._sample_or_fault(request) for request in requests]

    def _sample_or_fault(self, request: Request) -> Sample | DataError:
        try:
            return self._sample(request)
        except DataError as fault:
            return fault

    def _sample(self, request: Request) -> Sample:
        row = request.item
        if row.get("error_kind"):
            raise DataError(str(row["error_kind"]), str(row["error"]))
        alpha = self._alpha(request)
        soft = bool(row.get("soft_alpha", True)) and bool(((alpha > 0) & (alpha < 255)).any())
        flush = cut_sides(alpha)
        foreground, matte, how = self._foreground(request, alpha)
        origin = Origin(
            kind="composited",
            class_name=str(row["class_name"]),
            caption=str(row["caption"]),
            source=str(row.get("source") or self.settings.source),
            item=str(row["path"]),
            licence=str(row["licence"]),
            attribution=str(row["attribution"]),
            soft_alpha=soft,
            foreground=how,
            digital_source_type=CAPTURED,
        )
        return painted(request, origin, foreground, matte, self.settings, flush=flush)

    def _alpha(self, request: Request) -> Matte:
        alpha = decode_matte(self._read(request, "alpha_path", "alpha_sha256"))
        inverted = request.item.get("inverted")
        if inverted is None and looks_inverted(alpha):
            name = PurePosixPath(str(request.item["alpha_path"])).name
            raise DataError(
                "inverted", f"the matte {name} is white outside and black inside: say `inverted: true` for this source"
            )
        return 255 - alpha if inverted else alpha

    def _foreground(self, request: Request, alpha: Matte) -> tuple[Picture, Matte, How]:
        """Straight colour, its matte at a size near the finished one, and where the colour is from."""
        row, longest = request.item, OVERSIZE * self.settings.size
        rows, columns = _surroundings(alpha)
        if row.get("foreground_path"):
            given = _fitting(decode_picture(self._read(request, "foreground_path", "foreground_sha256")), alpha)
            return given[rows, columns], alpha[rows, columns], "given"
        picture = _fitting(decode_picture(self._read(request, "path", "sha256")), alpha)[rows, columns]
        if not row.get("background_path"):
            return *estimated_foreground(picture, alpha[rows, columns], longest), "estimated"
        background = _fitting(decode_picture(self._read(request, "background_path", "background_sha256")), alpha)
        return *unmixed_foreground(picture, alpha[rows, columns], background[rows, columns], longest), "unmixed"

    def _read(self, request: Request, path: str, sha256: str) -> bytes:
        return read_as_planned(self.root / str(request.item[path]), str(request.item[sha256]))


def _fitting(picture: Picture, alpha: Matte) -> Picture:
    """The picture, if it has its matte's size."""
    if picture.shape[:2] == alpha.shape:
        return picture
    (height, width), (tall, wide) = picture.shape[:2], alpha.shape
    turned = ", as if one of them were turned" if (height, width) == (wide, tall) else ""
    raise DataError("size", f"the picture has {width} × {height} pixels, its matte {wide} × {tall}{turned}")


def _surroundings(alpha: Matte) -> tuple[slice, slice]:
    """Rows and columns of the object with a little of its background."""
    left, top, right, bottom = bounds(alpha)
    longer = max(right - left, bottom - top)
    if longer < SMALLEST:
        raise DataError("too_small", f"the object is {longer} pixels long, asked are at least {SMALLEST}")
    around = max(8, round(AROUND * longer))
    return slice(max(top - around, 0), bottom + around), slice(max(left - around, 0), right + around)
