"""The thumbnails of a report: their files, and the words beside them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from factory.review.choice import RANKING
from factory.review.examples import RejectedPicture
from factory.review.facts import facts, in_words, source_type
from factory.review.thumbnails import SPRITE_MARGIN, sprite
from factory.shards.reader import Stored

SIDE = 320  # pixels of a pane at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A thumbnail on the page.

    origin: where it comes from, "" where all samples come from one place.
    why: the groups it was chosen for, or the reason of its rejection.  zoom: crops a sprite's margin.
    label_error: what its α is expected to be off by; −1 where that was not told.
    """

    file: str
    name: str
    caption: str
    origin: str
    note: str
    why: tuple[str, ...]
    facts: list[tuple[str, str]]
    zoom: float = 1.0
    rejected: bool = False
    label_error: float = -1.0

    def item(self) -> dict[str, Any]:
        """What the page's script needs to show it large."""
        fields = ("file", "name", "facts", "why", "zoom", "rejected")
        return {name: getattr(self, name) for name in fields}


def accepted_card(sample: Stored, source: str, why: Sequence[str], folder: Path) -> Card:
    """Write the sprite of a sample into a folder beside the page. source: its title, "" for the only one."""
    meta = sample.meta
    side = min(SIDE, max(sample.alpha.shape))  # the browser enlarges small ones
    picture = Image.fromarray(sprite(sample.rgb, sample.alpha, sample.foreground, side))
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=85, method=1)  # the default method 4: twice the time, a tenth smaller
    (folder / f"{sample.key}.webp").write_bytes(data.getvalue())
    note = next(
        (f" · {in_words(name)} {meta['scores'][name]:.3g}" for name in RANKING if meta["scores"].get(name, -1) >= 0), ""
    )
    return Card(
        file=f"{folder.name}/{sample.key}.webp",
        name=sample.key,
        caption=str(meta["caption"] or meta["prompt"] or meta["class"] or sample.key),
        origin=_origin(source, meta),
        note=sample.key + note,
        why=tuple(why),
        facts=facts(meta),
        zoom=1 + 2 * SPRITE_MARGIN / side,
        label_error=float(meta["scores"].get("label_error", -1)),
    )


def rejected_card(picture: RejectedPicture, source: str, folder: Path) -> Card:
    """Write what the worker drew of a rejected attempt into a folder beside the page."""
    row = picture.row
    (folder / f"{picture.name}.png").write_bytes(picture.png)
    return Card(
        file=f"{folder.name}/{picture.name}.png",
        name=f"{row['key']}, attempt {row['attempt']}",
        caption=str(row.get("detail") or picture.reason),
        origin=_origin(source, row),
        note=str(row.get("caption") or row.get("prompt") or row["key"]),
        why=(picture.reason,),
        facts=[("rejected by", picture.reason), ("because", row.get("detail", "")), *facts(row)],
        rejected=True,
    )


def _origin(source: str, meta: Mapping[str, Any]) -> str:
    """In one line: source, file, how a video's colours were read, how the foreground came to be, kind of picture."""
    if meta.get("kind") == "generated":
        return source
    how = meta.get("foreground", "")  # a row of the manifest does not say
    parts = (source, meta.get("item"), meta.get("colour"), how and f"foreground {how}", source_type(meta))
    return " · ".join(str(part) for part in parts if part)
