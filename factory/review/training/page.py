"""The page of a training: OUT/report.html, one file that opens offline. Made of what lies in its folder alone."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from factory.engine.units import duration
from factory.errors import UsageError, what_failed
from factory.review.report import CLOSED
from factory.review.training.curves import Curve, curve, number
from factory.review.training.differing import rows
from factory.review.training.record import OF_ITS_PACE, SPEED, Told, TrainingRecord, best, read_record
from factory.review.training.strip import strips
from factory.review.training.what_to_see import of_loss, of_measure
from factory.shards.durable import write_durably
from factory.shards.layout import Layout

PAGE = "report.html"
CARDS = ("model/README.md", "model/MODEL_CARD.md")


@dataclass(frozen=True)
class Panel:
    """A curve with what to look for in it."""

    curve: Curve
    sentence: str


@dataclass(frozen=True)
class Chapter:
    """What one phase has to show."""

    name: str
    losses: Sequence[Panel]
    validations: Sequence[Panel]
    pace: Sequence[Panel]


@dataclass(frozen=True)
class LearnedFrom:
    """A set.  link: to its own report; "" where it has none, or lies elsewhere now."""

    folder: str
    link: str


def write_page(out: Path) -> Path:
    """Write the page anew; returns it. Raises UsageError where the folder holds no training or cannot be written."""
    return write_page_of(read_record(out))


def write_page_of(record: TrainingRecord) -> Path:
    """The same of what was read already."""
    out = record.out
    page = out / PAGE
    html = _environment().get_template("page.html.j2").render(_context(record))
    try:
        write_durably(page, html.encode(errors="replace"), Layout(out).scratch)
    except OSError as error:
        if error.errno not in CLOSED:
            raise
        raise UsageError(
            f"the report cannot be written ({what_failed(error, page)}): make {out} writable, or copy it."
        ) from error
    return page


def _context(record: TrainingRecord) -> dict[str, Any]:
    """What the template shows."""
    out, finished = record.out, record.finished or {}
    own = list(rows(record.settings))
    speed = record.now.pace.get(SPEED)
    return {
        "name": out.resolve().name,
        "record": record,
        "tiles": dict(_tiles(record, speed[-1][1] if speed else None)),
        "strips": strips(out, getattr(record.settings, "picture_prompts", ())),
        "chapters": [_chapter(record.job, told) for told in record.told],
        "differing": [row for row in own if row.differs],
        "as_default": [row for row in own if not row.differs],
        "sets": [LearnedFrom(folder, _link(out, folder)) for folder in record.sets],
        "machine": {name: finished[name] for name in ("device", "processes", "bfloat16") if name in finished},
        "software": software if isinstance(software := finished.get("software"), dict) else {},
        "card": next((card for card in CARDS if (out / card).is_file()), ""),
    }


def _tiles(record: TrainingRecord, speed: float | None) -> Iterator[tuple[str, str]]:
    """What is asked first, by its name."""
    told, phase = record.now, record.now.phase
    yield (f"steps of {phase.name}" if phase.name else "steps"), f"{told.step:,} of {phase.steps:,}"
    if (seconds := record.ended_with("seconds")) is not None:
        yield "time of all steps", duration(seconds)
    if speed is not None:
        yield "images/s", number(speed)
    if (waiting := record.ended_with("waiting")) is not None:
        yield "of it waiting for data", f"{waiting:.0%}"
    for measure, points in told.validations.items():
        yield f"best {measure}", number(best(measure, points)[1])


def _chapter(job: str, told: Told) -> Chapter:
    return Chapter(
        name=told.phase.name,
        losses=[Panel(curve(name, points), of_loss(job, name)) for name, points in told.losses.items()],
        validations=[
            Panel(curve(name, points, scales=("linear",), best=best(name, points)), of_measure(name))
            for name, points in told.validations.items()
        ],
        pace=[Panel(curve(OF_ITS_PACE[name], points, scales=("linear",)), "") for name, points in told.pace.items()],
    )


def _link(out: Path, folder: str) -> str:
    """From the page to a set's own report. Quoted: whatever the folder is called, the address is one of a file."""
    report = Layout(Path(folder)).report / "index.html"
    try:
        return quote(os.path.relpath(report.resolve(), out.resolve())) if report.is_file() else ""
    except (OSError, ValueError):  # no name of a file at all
        return ""


@cache
def _environment() -> Environment:
    """Kept: the template is compiled once."""
    here = Path(__file__).parent
    return Environment(
        loader=FileSystemLoader([here, here.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
