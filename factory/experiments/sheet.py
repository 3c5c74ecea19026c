"""A white sheet to draw plots on: lines, boxes, dots and words."""

from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from factory.shards.durable import appearing

TWICE = 2  # drawn at twice the size, then averaged: Pillow draws no smooth lines
INK = (45, 45, 45)
Colour: TypeAlias = tuple[int, int, int]


class Sheet:
    """A white sheet to draw on, in pixels of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * TWICE, height * TWICE), "white")
        self._draw = ImageDraw.Draw(self._image)

    def line(self, *points: tuple[float, float], colour: Colour, width: float = 1.0) -> None:
        scaled = [(x * TWICE, y * TWICE) for x, y in points]
        self._draw.line(scaled, fill=colour, width=round(width * TWICE), joint="curve")

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self._draw.rectangle([left * TWICE, top * TWICE, right * TWICE, bottom * TWICE], fill=colour)

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        sides = [(x - radius) * TWICE, (y - radius) * TWICE, (x + radius) * TWICE, (y + radius) * TWICE]
        self._draw.ellipse(sides, fill=colour)

    def text(self, x: float, y: float, words: str, anchor: str, size: float = 13) -> None:
        """anchor: as Pillow has it: "lm" begins at x, "rm" ends there, "mm" is centred on it."""
        font = ImageFont.load_default(size * TWICE)
        written = words.replace("×", "x").replace(" ↓", "").replace(" ↑", "")  # which Pillow's own font has not
        self._draw.text((x * TWICE, y * TWICE), written, fill=INK, font=font, anchor=anchor)

    def save(self, path: Path) -> None:
        finished = self._image.reduce(TWICE)
        with appearing(path) as file:
            finished.save(file, "PNG")
