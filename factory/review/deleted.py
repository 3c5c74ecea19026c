"""What the limits deleted, on one picture: a row of examples for each reason, with the sentence of the first."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw

from factory.review.contact_sheet import GUTTER, INK, MARGIN, PALE_INK, PAPER, TITLE_HEIGHT, cut, font_of, rounded_panes
from factory.review.refusals import Refused
from factory.review.thumbnails import GAP, REJECTION_SIDE
from factory.shards.encoding import decode_png

REASONS = 12  # the most frequent
EXAMPLES = 4  # of each
CELL = 2 * REJECTION_SIDE + GAP  # pixels: picture and α
HEADING = 52  # pixels above a row


def deleted(refused: Sequence[Refused], folder: Path, out: Path, title: str) -> bool:
    """Write one PNG of attempts that were turned down, each as picture and α; False where there is no example.

    folder: of the page, beside which the thumbnails lie.
    """
    shown = [gate for gate in refused[:REASONS] if gate.cards]
    if not shown:
        return False
    width, row = 2 * MARGIN + EXAMPLES * (CELL + GUTTER) - GUTTER, HEADING + REJECTION_SIDE + GUTTER
    page = Image.new("RGB", (width, 2 * MARGIN + TITLE_HEIGHT + len(shown) * row - GUTTER), PAPER)
    draw, rounded = ImageDraw.Draw(page), rounded_panes(REJECTION_SIDE, 2)
    draw.text((MARGIN, MARGIN), cut(title, 26, width - 2 * MARGIN), INK, font_of(26))
    for number, gate in enumerate(shown):
        y = MARGIN + TITLE_HEIGHT + number * row
        draw.text((MARGIN, y), f"{gate.reason} · {gate.count:,}", INK, font_of(18))
        draw.text((MARGIN, y + 24), cut(gate.cards[0].caption, 16, width - 2 * MARGIN), PALE_INK, font_of(16))
        for place, card in enumerate(islice(gate.cards, EXAMPLES)):
            pair = decode_png((folder / card.file).read_bytes())
            if pair.shape == (REJECTION_SIDE, CELL, 3):  # a set from elsewhere may hold any picture
                page.paste(Image.fromarray(pair), (MARGIN + place * (CELL + GUTTER), y + HEADING), rounded)
    page.save(out)
    return True
