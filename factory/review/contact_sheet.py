"""Many samples on one picture: rgb | alpha | the object over a checkerboard, with the caption underneath."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from factory.review.thumbnails import GAP, strip
from factory.sample import Picture
from factory.shards.reader import Stored

PANE = 192  # pixels; smaller samples are enlarged by a whole factor up to it
MARGIN = 36
GUTTER = 24
ROUNDED = 6  # radius of a cell's corners
CAPTION_HEIGHT = 30
TITLE_HEIGHT = 52
PAPER, INK, PALE_INK = (255, 255, 255), (24, 28, 36), (104, 112, 126)


def contact_sheet(samples: Sequence[Stored], out: Path, title: str, columns: int = 3) -> None:
    """Write one PNG with a cell per sample, row by row.

    All panes are one size: PANE, or for smaller samples the largest whole multiple of the longest side below it.
    """
    side = _pane_side(max((max(sample.alpha.shape) for sample in samples), default=PANE))
    strips = [strip(sample.rgb, sample.alpha, sample.foreground, side) for sample in samples]
    sheet(strips, [label(sample) for sample in samples], out, title, columns)


def sheet(strips: Sequence[Picture], labels: Sequence[str], out: Path, title: str, columns: int) -> None:
    """Write one PNG with a cell for each strip of square panes, its label underneath; all strips are of one size."""
    side, cell_width = strips[0].shape[:2] if strips else (PANE, PANE)
    cell_height = side + CAPTION_HEIGHT
    columns = max(1, min(columns, len(strips)))
    rows = -(-len(strips) // columns)
    width = 2 * MARGIN + columns * cell_width + (columns - 1) * GUTTER
    page = Image.new("RGB", (width, 2 * MARGIN + TITLE_HEIGHT + rows * (cell_height + GUTTER) - GUTTER), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN), cut(title, 26, width - 2 * MARGIN), INK, font_of(26))
    rounded = rounded_panes(side, (cell_width + GAP) // (side + GAP))
    for number, (cell, told) in enumerate(zip(strips, labels, strict=True)):
        x = MARGIN + (number % columns) * (cell_width + GUTTER)
        y = MARGIN + TITLE_HEIGHT + (number // columns) * (cell_height + GUTTER)
        page.paste(Image.fromarray(cell), (x, y), rounded)
        draw.text((x + 2, y + side + 7), cut(told, 16, cell_width - 4), PALE_INK, font_of(16))
    page.save(out)


def _pane_side(longest: int) -> int:
    return longest * (PANE // longest) if longest <= PANE else PANE


def label(sample: Stored) -> str:
    """What a sample is called in a line."""
    meta = sample.meta
    return str(meta.get("caption") or meta.get("class") or meta.get("prompt") or sample.key)


def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: no file of this machine is needed."""
    return ImageFont.load_default(size)


def cut(text: str, size: int, width: int) -> str:
    """The text, shortened with an ellipsis to fit `width` pixels."""
    font, whole = font_of(size), " ".join(text.split())
    kept = whole[:300]
    while kept and font.getlength(kept if kept == whole else kept + "…") > width:
        kept = kept[:-1]
    return kept if kept == whole else kept.rstrip() + "…"


def rounded_panes(side: int, panes: int) -> Image.Image:
    """Where a strip is painted: panes with round corners (smoothed by drawing them four times as large)."""
    large = Image.new("L", (4 * (panes * (side + GAP) - GAP), 4 * side))
    draw = ImageDraw.Draw(large)
    for left in range(0, panes * (side + GAP), side + GAP):
        draw.rounded_rectangle((4 * left, 0, 4 * (left + side) - 1, 4 * side - 1), 4 * ROUNDED, fill=255)
    mask = np.asarray(large.resize((large.width // 4, large.height // 4), Image.Resampling.BOX))
    return Image.fromarray(mask)
