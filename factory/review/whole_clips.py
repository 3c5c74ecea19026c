"""Whole clips in a report: of each some frames, and how much its matte flickers from frame to frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factory.review.thumbnails import beside, pane_over_checkerboard
from factory.shards.encoding import encode_png
from factory.shards.layout import Layout
from factory.shards.reader import Stored
from factory.shards.sequence import ClipRecord, clip_records

SHOWN = 24  # clips, refused ones first, then those that flicker most
SIDE = 160  # pixels of a frame's pane
WIDTH, HEIGHT = 320.0, 40.0  # of a curve, in SVG units


@dataclass(frozen=True, slots=True)
class ClipCard:
    """A clip on the page.  file: frames of it beside each other, "" where it has none.  curve: points of a polyline."""

    record: ClipRecord
    file: str
    width: int
    height: int
    curve: str


@dataclass(frozen=True, slots=True)
class WholeClips:
    """written, refused: how many.  most: the largest step of those shown, the top of each curve."""

    written: int
    refused: int
    cards: Sequence[ClipCard]
    most: float


def whole_clips(layout: Layout, read: Callable[[str], Stored], folder: Path) -> WholeClips | None:
    """None of a set without clips.  read: a sample by its key.  folder: of the thumbnails, beside the page."""
    records = list(clip_records(layout).values())
    if not records:
        return None
    records.sort(key=lambda record: (record.status == "written", -record.flicker, record.clip))
    shown = records[:SHOWN]
    most = max((step for record in shown for step in record.steps), default=0.0)
    cards = [_card(number, record, most, read, folder) for number, record in enumerate(shown)]
    written = sum(record.status == "written" for record in records)
    return WholeClips(written, len(records) - written, cards, most)


def _card(number: int, record: ClipRecord, most: float, read: Callable[[str], Stored], folder: Path) -> ClipCard:
    file, width, height = "", 0, 0
    if record.shown:
        frames = [read(key) for key in record.shown]
        panes = [pane_over_checkerboard(frame.foreground, frame.alpha, SIDE) for frame in frames]
        strip = beside(panes)
        name = f"{number:02d}-clip.png"
        (folder / name).write_bytes(encode_png(strip))
        file, (height, width) = f"{folder.name}/{name}", strip.shape[:2]
    return ClipCard(record, file, width, height, curve(record.steps, most))


def curve(steps: Sequence[float], most: float) -> str:
    """The steps as "x,y x,y …" in WIDTH × HEIGHT, y downwards, `most` at the top."""
    across = np.linspace(0, WIDTH, len(steps)) if len(steps) > 1 else [WIDTH / 2] * len(steps)
    return " ".join(f"{x:.1f},{HEIGHT * (1 - step / (most or 1)):.1f}" for x, step in zip(across, steps, strict=True))
