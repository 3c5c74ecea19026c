"""Some samples on several grounds, on one picture: what the set's card shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.review.backdrops import checkered, gradient, grey, own
from factory.review.contact_sheet import label, sheet
from factory.review.thumbnails import beside, pane, pane_over
from factory.shards.reader import Stored

SIDE = 160  # pixels of a pane


@dataclass(frozen=True, slots=True)
class Composites:
    """grounds: what the panes after α show, in order.  note: a sentence about pictures that are not to be had."""

    grounds: Sequence[str]
    note: str = ""


def composites(samples: Sequence[Stored], backdrops: Path | None, out: Path, title: str) -> Composites:
    """Write one PNG with a cell per sample: α, the object on grey, a checkerboard, a gradient, the user's pictures.

    backdrops: a folder of them, each of which takes its turn; None for none.
    """
    pictures, unreadable = own(backdrops, SIDE) if backdrops else ([], [])
    strips = []
    for number, sample in enumerate(samples):
        grounds = [grey(SIDE), checkered(SIDE), gradient(SIDE, number)]
        grounds += [pictures[number % len(pictures)]] if pictures else []
        cut_outs = [pane_over(sample.foreground, sample.alpha, ground) for ground in grounds]
        strips.append(beside([pane(sample.alpha, SIDE), *cut_outs]))
    names = ("grey", "a checkerboard", "a gradient", *(["a picture"] if pictures else []))
    sheet(strips, [label(sample) for sample in samples], out, f"{title}: alpha, and on {', '.join(names)}", columns=2)
    return Composites(names, _note(backdrops, len(pictures), unreadable))


def _note(backdrops: Path | None, read: int, unreadable: Sequence[str]) -> str:
    if unreadable:
        return f"{len(unreadable)} of the pictures in {backdrops} cannot be read, {unreadable[0]} among them."
    return f"There are no pictures in {backdrops}." if backdrops and not read else ""
