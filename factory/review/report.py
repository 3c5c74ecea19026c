"""The page at the end of a run: OUT/report/index.html, static, with its pictures beside it. Opens offline."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from factory.errors import DataError, MachineError
from factory.review.cards import Card, accepted_card, rejected_card
from factory.review.choice import GROUPS, choose
from factory.review.contact_sheet import contact_sheet
from factory.review.digest import Digest, gate_limits, read_digest
from factory.review.examples import PICTURES, failed_items, rejected_pictures
from factory.review.facts import definition, score_name
from factory.review.histogram import histogram
from factory.shards.layout import Layout
from factory.shards.lookup import find, read_row
from factory.shards.manifest import SCORES
from factory.shards.reader import Stored

THUMBNAILS = 500  # in all, those of rejected attempts included
ON_THE_SHEET = 24
CLASSES_LISTED = 300
SEVERAL = "; "


def write_report(root: Path) -> Path:
    """Write the report and its contact sheet anew from what is committed; returns the page.

    Raises UsageError where the folder holds no run, MachineError where a stored sample cannot be read.
    """
    layout = Layout(root)
    digest = read_digest(layout)
    limits = gate_limits(digest.plan.settings)
    thumbs = layout.report / "thumbs"
    thumbs.mkdir(parents=True, exist_ok=True)
    chosen = choose(digest, limits, THUMBNAILS - PICTURES)
    cards: list[Card] = []
    on_the_sheet: list[Stored] = []
    for key, why in chosen.items():
        sample = _read(root, key)
        cards.append(accepted_card(sample, why, thumbs))
        if len(on_the_sheet) < ON_THE_SHEET:
            on_the_sheet.append(sample)
    rejected = [
        rejected_card(picture, thumbs) for picture in rejected_pictures(layout, digest.records, digest.plan.seed)
    ]
    _sweep(thumbs, {Path(card.file).name for card in [*cards, *rejected]})
    if on_the_sheet:
        title = f"{root.resolve().name} · {len(on_the_sheet)} of {digest.accepted:,} samples: picture, alpha, cut-out"
        contact_sheet(on_the_sheet, layout.report / "contact_sheet.png", title)
    page = layout.report / "index.html"
    unfinished = page.with_suffix(".html.tmp")
    unfinished.write_text(_render(_context(layout, digest, cards, rejected, bool(on_the_sheet))), encoding="utf-8")
    unfinished.replace(page)
    return page


def _read(root: Path, key: str) -> Stored:
    try:
        return read_row(root, find(root, key))
    except DataError as error:
        raise MachineError(f"{error}: `factory verify {root}` names all that is broken.") from error


def _sweep(folder: Path, wanted: set[str]) -> None:
    """Remove the pictures of an earlier report."""
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def _context(
    layout: Layout, digest: Digest, cards: Sequence[Card], rejected: Sequence[Card], has_sheet: bool
) -> dict[str, Any]:
    """All that the template shows."""
    plan, limits = digest.plan, gate_limits(digest.plan.settings)
    drawings = [
        histogram(score, digest.values(score, "accepted"), digest.values(score, "rejected"), limits.get(score, []))
        for score in SCORES
    ]
    return {
        "name": layout.root.resolve().name,
        "digest": digest,
        "plan": plan,
        "asked": plan.slots,
        "groups": {group: count for group in GROUPS if (count := sum(group in card.why for card in cards))},
        "cards": cards,
        "rejected": {reason: [card for card in rejected if reason in card.why] for reason in digest.rejected},
        "failures": failed_items(layout, digest.records) if digest.failed else {},
        "histograms": [drawing for drawing in drawings if drawing is not None],
        "classes": list(digest.by_class.items())[:CLASSES_LISTED],
        "devices": SEVERAL.join(sorted({record.device for record in digest.records})),
        "software": _software(digest),
        "recipe": layout.recipe.read_text(encoding="utf-8") if layout.recipe.exists() else "",
        "has_sheet": has_sheet,
        "items": [card.item() for card in [*cards, *rejected]],
    }


def _software(digest: Digest) -> dict[str, str]:
    """Package → the versions that made the shards."""
    versions: dict[str, set[str]] = {}
    for record in digest.records:
        for package, version in record.software.items():
            versions.setdefault(package, set()).add(version)
    return {package: SEVERAL.join(sorted(found)) for package, found in versions.items()}


def _render(context: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "size": size, "score_name": score_name, "definition": definition}
    return environment.get_template("report.html.j2").render(context)


def duration(seconds: float) -> str:
    """Seconds in the two largest fitting units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: float) -> str:
    """Bytes in decimal units."""
    unit = "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if count < 1000:
            break
        count, unit = count / 1000, larger
    return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
