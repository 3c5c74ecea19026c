"""The page at the end of a run: OUT/report/index.html, static, with its pictures beside it. Opens offline."""

import errno
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from factory.engine.census import passed_over
from factory.engine.units import duration, size
from factory.errors import DataError, MachineError, UsageError, quoted, what_failed
from factory.jobs.generate import BACKDROPS
from factory.review.adapters import named, screens_by_share
from factory.review.before_after import compared
from factory.review.cards import Card, accepted_card, rejected_card
from factory.review.choice import GROUPS, choose
from factory.review.composites import composites
from factory.review.contact_sheet import contact_sheet
from factory.review.deleted import deleted
from factory.review.digest import Digest, read_digest
from factory.review.examples import failed_items, rejected_pictures
from factory.review.facts import definition, in_words
from factory.review.histogram import histogram
from factory.review.quotas import quotas
from factory.review.refusals import Refused, failures, refusals
from factory.review.sources import are_told_apart, labels, of_the_papers, total
from factory.review.whole_clips import whole_clips
from factory.shards.data_set import DataSet
from factory.shards.durable import write_durably
from factory.shards.keys import shard_of
from factory.shards.layout import Layout
from factory.shards.manifest import SCORES
from factory.shards.reader import Stored

THUMBNAILS = 500  # in all, those of rejected attempts included
ON_THE_SHEET = 24
ON_GROUNDS = 12  # samples that are shown on several grounds
LEAST_TRUSTED = 12  # mattes, the worst first
DRAWERS = 8  # threads at most that draw thumbnails; decoding, scaling and encoding let the others run
CLASSES_LISTED = 300
SEVERAL = "; "
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def write_report(root: Path) -> Path:
    """Write the report and its contact sheet anew from what is committed; returns the page.

    Raises UsageError where the folder holds no run, is damaged or cannot be written, MachineError where a stored sample
    cannot be read.
    """
    layout = Layout(root)
    try:
        return _write(layout)
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        raise UsageError(
            f"the report cannot be written ({what_failed(error, layout.report)}): make {root} writable, or copy it."
        ) from error


def _write(layout: Layout) -> Path:
    digest = read_digest(layout)
    samples, names = DataSet(layout.root), labels(digest.counts)
    thumbs = layout.report / "thumbs"
    _make_folder(thumbs)
    rejected = {
        (source, reason): [rejected_card(picture, names[source], thumbs) for picture in pictures]
        for (source, reason), pictures in rejected_pictures(layout, digest).items()
    }
    refused = refusals(digest.rejected, rejected, names)
    beside = [card for gate in refused for card in gate.cards]
    chosen = choose(digest, THUMBNAILS - len(beside))

    def card_of(key: str) -> Card:
        label = names[digest.source_of_shard(shard_of(key))]
        return accepted_card(_read(samples, key), label, [*chosen[key], label] if label else chosen[key], thumbs)

    with ThreadPoolExecutor(min(DRAWERS, os.cpu_count() or 1)) as pool:
        cards = list(pool.map(card_of, chosen))
    changes = compared(layout, digest, thumbs)
    on_the_sheet = [_read(samples, key) for key in islice(chosen, ON_THE_SHEET)]
    clips = whole_clips(layout, lambda key: _read(samples, key), thumbs)
    drawn = [card.file for card in (*cards, *beside)] + [change.file for change in (changes.changes if changes else ())]
    drawn += [card.file for card in (clips.cards if clips else ())]
    _sweep(thumbs, {Path(file).name for file in drawn})
    if on_the_sheet:
        shown = f"{len(on_the_sheet)} of {digest.accepted:,} samples: picture, alpha, cut-out"
        title = f"{layout.root.resolve().name} · {shown}"
        contact_sheet(on_the_sheet, layout.report / "contact_sheet.png", title)
    grounds = None
    if on_the_sheet:
        on_grounds, backdrops = on_the_sheet[:ON_GROUNDS], digest.plan.places.get(BACKDROPS)
        title = f"{len(on_grounds)} of {digest.accepted:,} samples"
        picture = layout.report / "composites.png"
        grounds = composites(on_grounds, Path(backdrops) if backdrops else None, picture, title)
    examples = layout.report / "deleted.png"
    title = f"{digest.rejected.total():,} of {digest.attempts:,} attempts were turned down: picture and alpha"
    if not deleted(refused, layout.report, examples, title):
        examples.unlink(missing_ok=True)
    page = layout.report / "index.html"
    context = _context(layout, digest, cards, refused) | {
        "has_sheet": bool(on_the_sheet),
        "grounds": grounds,
        "changes": changes,
        "clips": clips,
        "items": [card.item() for card in [*cards, *beside]],
    }
    write_durably(page, _render(context).encode())
    return page


def _read(samples: DataSet, key: str) -> Stored:
    try:
        return samples[key]
    except DataError as error:
        raise MachineError(f"{error}: `factory verify {quoted(samples.root)}` names all that is broken.") from error


def _make_folder(folder: Path) -> None:
    """Make it, without links: in a set from elsewhere they could lead out of it."""
    for place in (folder.parent, folder):
        if place.is_symlink():
            place.unlink()
        place.mkdir(exist_ok=True)
        for path in place.iterdir():
            if path.is_symlink():
                path.unlink()


def _sweep(folder: Path, wanted: set[str]) -> None:
    """Remove the pictures of an earlier report."""
    for path in folder.iterdir():
        if path.name not in wanted and path.is_file():
            path.unlink()


def _context(layout: Layout, digest: Digest, cards: Sequence[Card], refused: Sequence[Refused]) -> dict[str, Any]:
    """What the template shows beside the pictures."""
    plan, names = digest.plan, labels(digest.counts)
    drawings = [
        histogram(
            score, digest.values(score, "accepted"), digest.values(score, "rejected"), digest.limits.get(score, [])
        )
        for score in SCORES
    ]
    return {
        "name": layout.root.resolve().name,
        "digest": digest,
        "plan": plan,
        "asked": plan.samples,
        "sources": digest.counts if are_told_apart(digest.counts) else [],
        "total": total(digest.counts),
        "of_the_papers": of_the_papers(digest.counts),
        "groups": {group: count for group in GROUPS if (count := sum(group in card.why for card in cards))},
        "from_sources": {
            label: count for label in names.values() if (count := sum(label in card.why for card in cards))
        },
        "cards": cards,
        "least_trusted": least_trusted(cards),
        "refused": refused,
        "failures": failures(digest.failed, failed_items(layout, digest), names),
        "histograms": [drawing for drawing in drawings if drawing is not None],
        "quotas": quotas(layout, digest),
        "adapters": named(digest),
        "by_share": screens_by_share(digest),
        "classes": list(digest.by_class.items())[:CLASSES_LISTED],
        "devices": SEVERAL.join(sorted({record.device for record in digest.records})),
        "software": _software(digest),
        "recipe": layout.recipe.read_text(encoding="utf-8", errors="replace") if layout.recipe.exists() else "",
    }


def least_trusted(cards: Sequence[Card]) -> list[tuple[int, Card]]:
    """The cards whose mattes are expected to be most wrong, the worst first, and which of all cards each is."""
    told = [(place, card) for place, card in enumerate(cards) if card.label_error >= 0]
    return sorted(told, key=lambda one: -one[1].label_error)[:LEAST_TRUSTED]


def _software(digest: Digest) -> dict[str, str]:
    """Package → the versions that made the shards."""
    versions: dict[str, set[str]] = {}
    for record in digest.records:
        for package, version in record.software.items():
            versions.setdefault(package, set()).add(version)
    return {package: SEVERAL.join(sorted(found)) for package, found in versions.items()}


def _render(context: Mapping[str, Any]) -> str:
    return _environment().get_template("report.html.j2").render(context)


@cache
def _environment() -> Environment:
    """Kept: the template is compiled once."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "size": size, "in_words": in_words, "definition": definition}
    environment.filters |= {"passed_over": passed_over}
    return environment
