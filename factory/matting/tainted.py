"""Models that have seen benchmarks: as teacher, judge or start of a training they make results there mean nothing."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from factory.errors import UsageError
from factory.shards.layout import Layout

# As folders and papers write them, in small letters and figures alone.
BENCHMARKS: Mapping[str, tuple[str, ...]] = {
    "P3M-10k": ("p3m",),
    "AIM-500": ("aim500",),
    "PPM-100": ("ppm100",),
    "AM-2k": ("am2k",),
    "HIM2K": ("him2k",),
    "Distinctions-646": ("d646", "distinctions646"),
    "alphamatting.com": ("alphamatting",),
}


class Teacher(NamedTuple):
    """words: all of them are in its name, written as above.  saw: benchmarks.  source: who says so."""

    words: tuple[str, ...]
    saw: tuple[str, ...]
    source: str


TEACHERS: Mapping[str, Teacher] = {
    "BiRefNet-matting": Teacher(
        ("birefnet", "matting"),
        ("P3M-10k", "AIM-500", "PPM-100", "AM-2k", "HIM2K", "Distinctions-646"),
        "its model card lists them as training data",
    ),
    "ViTMatte (Composition-1k)": Teacher(
        ("vitmatte", "composition1k"),
        ("alphamatting.com",),
        "the training part of Adobe's set holds GT01 to GT27",
    ),
    "ViTMatte (Distinctions-646)": Teacher(
        ("vitmatte", "distinctions646"),
        ("alphamatting.com",),
        "the training part of Distinctions-646 holds GT01 to GT27",
    ),
}


class Taint(NamedTuple):
    """A model that was used, and a benchmark to be tested on that it has seen."""

    model: str
    benchmark: str
    source: str

    def __str__(self) -> str:
        return f"{self.model} has seen {self.benchmark} ({self.source}): results there mean nothing"


def taints(used: Iterable[str], tests: Iterable[Path | str]) -> tuple[Taint, ...]:
    """What of the tests the models that were used have seen, by the names of both.

    used: names or folders of models: of teachers, captioners, judges, or the weights that a training begins with.
    tests: folders or names. Models and benchmarks that are not listed here say nothing.
    """
    names, places = [_plain(name) for name in used], [_plain(str(test)) for test in tests]
    tested = [name for name, words in BENCHMARKS.items() if any(word in place for word in words for place in places)]
    return tuple(
        Taint(model, benchmark, teacher.source)
        for model, teacher in TEACHERS.items()
        if any(all(word in name for word in teacher.words) for name in names)
        for benchmark in tested
        if benchmark in teacher.saw
    )


def models_of(dataset: Path) -> tuple[str, ...]:
    """Every text in a set's plan that may name a model: places of models and inputs, and settings.

    () for a set without a plan. Of a derived set it is the plan of the last step alone. Raises UsageError.
    """
    path = Layout(dataset).plan
    if not path.exists():
        return ()
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): `factory verify` the set to know more.") from error
    held = plan if isinstance(plan, dict) else {}
    return tuple(sorted({text for part in ("places", "settings") for text in _texts(held.get(part))}))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
