"""Many samples on one picture: rgb | alpha | the object over a checkerboard, with the caption underneath."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from factory.review.thumbnails import GAP, strip
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
    cell_width, cell_height = 3 * side + 2 * GAP, side + CAPTION_HEIGHT
    columns = max(1, min(columns, len(samples)))
    rows = -(-len(samples) // columns)
    width = 2 * MARGIN + columns * cell_width + (columns - 1) * GUTTER
    sheet = Image.new("RGB", (width, 2 * MARGIN + TITLE_HEIGHT + rows * (cell_height + GUTTER) - GUTTER), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), _cut(title, 26, width - 2 * MARGIN), INK, _font(26))
    for number, sample in enumerate(samples):
        x = MARGIN + (number % columns) * (cell_width + GUTTER)
        y = MARGIN + TITLE_HEIGHT + (number // columns) * (cell_height + GUTTER)
        cell = Image.fromarray(strip(sample.rgb, sample.alpha, sample.foreground, side))
        sheet.paste(cell, (x, y), _rounded_panes(side))
        draw.text((x + 2, y + side + 7), _cut(_label(sample), 16, cell_width - 4), PALE_INK, _font(16))
    sheet.save(out)


def _pane_side(longest: int) -> int:
    return longest * (PANE // longest) if longest <= PANE else PANE


def _label(sample: Stored) -> str:
    meta = sample.meta
    return str(meta.get("caption") or meta.get("class") or meta.get("prompt") or sample.key)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: no file of this machine is needed."""
    return ImageFont.load_default(size)


def _cut(text: str, size: int, width: int) -> str:
    """The text, shortened with an ellipsis to fit `width` pixels."""
    font, whole = _font(size), " ".join(text.split())
    kept = whole[:300]
    while kept and font.getlength(kept if kept == whole else kept + "…") > width:
        kept = kept[:-1]
    return kept if kept == whole else kept.rstrip() + "…"


def _rounded_panes(side: int) -> Image.Image:
    """Where a strip is painted: three panes with round corners (smoothed by drawing them four times as large)."""
    large = Image.new("L", (4 * (3 * side + 2 * GAP), 4 * side))
    draw = ImageDraw.Draw(large)
    for left in (0, side + GAP, 2 * (side + GAP)):
        draw.rounded_rectangle((4 * left, 0, 4 * (left + side) - 1, 4 * side - 1), 4 * ROUNDED, fill=255)
    mask = np.asarray(large.resize((large.width // 4, large.height // 4), Image.Resampling.BOX))
    return Image.fromarray(mask)
