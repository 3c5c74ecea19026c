"""A keyer against GreenBench: errors of every scene, by kind of object and by type of screen."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from factory.errors import DataError, UsageError
from factory.quality.evaluation import (
    CONVENTION,
    DECIMALS,
    HEADINGS,
    METRICS,
    REGIONS,
    Fault,
    composite_known,
    trimap_of,
)
from factory.quality.keyed import find_keyed, read_keyed
from factory.quality.metrics import UNITS, Errors, foreground_error, measure, unknown, whole
from factory.sample import Matte
from factory.shards.counting import Counting, silent
from factory.shards.data_set import DataSet
from factory.shards.durable import appearing
from factory.shards.reader import Stored
from factory.sources.greenbench.facts import EXACT, facts_in

FOREGROUND = "fg"
WORST = 0.05  # share of the scenes that "worst 5 %" is the mean of
NAMED = 10  # failures
ALL = "all"
MEASURES: Mapping[str, str] = {
    **dict(zip(METRICS, HEADINGS, strict=True)),
    **{f"{name}_unknown": f"{heading}?" for name, heading in zip(METRICS, HEADINGS, strict=True)},
    FOREGROUND: "Fg",
}
NOTES = (
    f"errors as in {CONVENTION}; over the {REGIONS['whole']}",
    f"with ?: {REGIONS['derived']}",
    *(f"{heading:4} = {unit}" for heading, unit in zip(HEADINGS, UNITS.values(), strict=True)),
    "Fg   = mean of (F − F*)² over α* > 0, weighted by α*, of scenes whose foreground can be told, where one is given",
    f"worst = mean over the worst {WORST:.0%} of the scenes; a scene without a usable matte counts as an empty one",
)


@dataclass(frozen=True, slots=True)
class SceneScore:
    """One scene. errors: by MEASURES, without those that there are not.  failed: whether an empty matte stands in."""

    key: str
    kind: str
    screen: str
    errors: Mapping[str, float]
    failed: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """What some scenes have in common. mean, median, worst: by MEASURES."""

    scenes: int
    failed: int
    mean: Mapping[str, float]
    median: Mapping[str, float]
    worst: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What came out; scenes in the order of their keys."""

    group: str
    scenes: tuple[SceneScore, ...]
    faults: tuple[Fault, ...]

    def by(self, label: Callable[[SceneScore], str]) -> dict[str, Summary]:
        """Summaries of the scenes that share a label, in the order in which labels first come."""
        parts: dict[str, list[SceneScore]] = {}
        for scene in self.scenes:
            parts.setdefault(label(scene), []).append(scene)
        return {name: _summary(part) for name, part in parts.items()}

    def tables(self) -> dict[str, dict[str, Summary]]:
        """Summaries of everything, by screen and by kind."""
        return {
            ALL: self.by(lambda _scene: ALL),
            "screen": self.by(lambda scene: scene.screen),
            "kind": self.by(lambda scene: scene.kind),
        }

    def text(self) -> str:
        """Tables for the terminal."""
        lines = [f"GreenBench, group {self.group}: {len(self.scenes):,} scenes"]
        for name, table in self.tables().items():
            lines += ["", *_table(name, table)]
        return "\n".join([*lines, "", *NOTES, *_failures(self.faults)])

    def as_json(self) -> str:
        """Summaries and scenes."""
        tables = {
            name: {label: asdict(summary) for label, summary in table.items()} for name, table in self.tables().items()
        }
        faults = [asdict(fault) for fault in self.faults]
        content = {"group": self.group, **tables, "failures": faults, "scenes": [asdict(s) for s in self.scenes]}
        return json.dumps(content | {"measures": list(NOTES)}, ensure_ascii=False, indent=1) + "\n"

    def as_csv(self) -> str:
        """A row a scene; cells of what was not measured are empty."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["key", "kind", "screen", "failed", *MEASURES], lineterminator="\n")
        writer.writeheader()
        for scene in self.scenes:
            told = {"key": scene.key, "kind": scene.kind, "screen": scene.screen, "failed": int(scene.failed)}
            writer.writerow(told | dict(scene.errors))
        return text.getvalue()


def score_keyer(predictions: Path, data: Path, progress: Counting = silent) -> BenchResult:
    """Score a folder of mattes against all scenes of a set. progress: (scenes done, in all).

    Raises UsageError where the set is no GreenBench, or no file of the folder is named by one of its keys.
    """
    found, samples = find_keyed(predictions), DataSet(data)
    keys = set(samples.keys)
    if not any(stem.partition(".")[0] in keys for stem in found):
        first = f"{next(iter(found))} … and {min(keys, default='none')} …"
        raise UsageError(f"no file of {predictions} is named by a key of {data} ({first}): name them KEY.png.")
    scenes, faults, group = list[SceneScore](), list[Fault](), ""
    for done, stored in enumerate(samples, start=1):
        facts = _facts(stored, data)
        group = facts["group"]
        try:
            errors, failed = _errors(stored, facts, found), False
        except DataError as fault:
            faults.append(Fault(stored.key, fault.kind, str(fault)))
            errors, failed = errors_of(np.zeros_like(stored.alpha), stored.alpha), True
        scenes.append(SceneScore(stored.key, facts["kind"], facts["screen"], errors, failed))
        progress(done, len(keys))
    return BenchResult(group, tuple(scenes), tuple(faults))


def errors_of(alpha: Matte, truth: Matte) -> dict[str, float]:
    """The errors of a matte by MEASURES, all but the foreground's; of the unknown region where there is one."""
    trimap = trimap_of(truth)
    errors = _named(measure(alpha, truth, whole(truth)), "")
    if (place := unknown(trimap)).any():
        errors |= _named(measure(composite_known(alpha, trimap), truth, place), "_unknown")
    return errors


def write(path: Path | None, text: Callable[[], str], flag: str) -> None:
    """A file of the result, where one is asked for. Raises UsageError where it cannot be written."""
    if path is None:
        return
    try:
        with appearing(path) as file:
            file.write(text().encode())
    except OSError as error:
        raise UsageError(f"{flag} {path} cannot be written ({error.strerror}): choose another place.") from error


def _facts(stored: Stored, data: Path) -> dict[str, str]:
    facts = facts_in(stored.meta["prompt"])
    if not {"kind", "screen", "group", "foreground"} <= facts.keys():
        raise UsageError(f"{data} is no GreenBench: make one with `factory run greenbench`.")
    return facts


def _errors(stored: Stored, facts: Mapping[str, str], found: Mapping[str, Path]) -> dict[str, float]:
    keyed = read_keyed(found, stored.key)
    if keyed.alpha.shape != stored.alpha.shape:
        (high, wide), (height, width) = keyed.alpha.shape, stored.alpha.shape
        raise DataError("size", f"the matte is {wide}×{high}, the scene {width}×{height}")
    errors = errors_of(keyed.alpha, stored.alpha)
    if keyed.foreground is not None and facts["foreground"] == EXACT:
        errors[FOREGROUND] = foreground_error(keyed.foreground, stored.foreground, stored.alpha)
    return errors


def _named(errors: Errors, ending: str) -> dict[str, float]:
    return {f"{name}{ending}": value for name, value in asdict(errors).items()}


def _summary(scenes: Sequence[SceneScore]) -> Summary:
    columns = {name: [scene.errors[name] for scene in scenes if name in scene.errors] for name in MEASURES}
    there = {name: sorted(values) for name, values in columns.items() if values}
    return Summary(
        scenes=len(scenes),
        failed=sum(scene.failed for scene in scenes),
        mean={name: fmean(values) for name, values in there.items()},
        median={name: median(values) for name, values in there.items()},
        worst={name: fmean(values[-math.ceil(WORST * len(values)) :]) for name, values in there.items()},
    )


def _table(title: str, table: Mapping[str, Summary]) -> Iterator[str]:
    rows = [[title, "", *MEASURES.values(), "scenes", "failed"]]
    for name, summary in table.items():
        for what in ("mean", "median", "worst"):
            values: Mapping[str, float] = getattr(summary, what)
            ends = [f"{summary.scenes:,}", f"{summary.failed:,}"] if what == "mean" else ["", ""]
            rows.append([name if what == "mean" else "", what, *(_cell(values, m) for m in MEASURES), *ends])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*words, *numbers]).rstrip()


def _cell(values: Mapping[str, float], name: str) -> str:
    decimals = DECIMALS.get(name.removesuffix("_unknown"), 6)
    return f"{values[name]:.{decimals}f}" if name in values else "–"


def _failures(faults: Sequence[Fault]) -> list[str]:
    if not faults:
        return []
    lines = ["", f"Failed, and scored as an empty matte: {len(faults):,}"]
    lines += [f"  {fault.name}: {fault.sentence}" for fault in faults[:NAMED]]
    return lines + ([f"  … and {len(faults) - NAMED:,} more"] if len(faults) > NAMED else [])
