"""What a training's folder tells of it, read from its files alone: settings, log, and how it ended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from factory.diffusion.train.settings import TrainSettings
from factory.errors import UsageError
from factory.jobs.base import Training, name_of
from factory.jobs.registry import ALL
from factory.matting.train.settings import MattingTraining
from factory.refine.train.settings import KeyerTraining
from factory.shards.foreign_text import parse_json
from factory.training.advice import advice, is_better_high
from factory.training.folder import FINISHED_FILE, LOG_FILE, SETTINGS_FILE
from factory.training.log import VALIDATION
from factory.training.time_left import Stretch

Settings: TypeAlias = TrainSettings | MattingTraining | KeyerTraining
Points: TypeAlias = list[tuple[int, float]]
"""(step of its phase, value), in the order of the steps."""

LARGEST = 1e100  # of a number on a curve: what is larger, differences overflow of
SPEED, WAITING = "images_per_second", "waiting"
MOST_STEPS = 2**53  # which a float still tells apart
OF_ITS_PACE = {SPEED: "images per second", WAITING: "share of the time that it waited for data"}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the log tells of a phase, by name."""

    phase: Stretch
    losses: Mapping[str, Points]
    validations: Mapping[str, Points]
    pace: Mapping[str, Points]  # by the names of OF_ITS_PACE

    @property
    def step(self) -> int:
        """The last that was told of; 0 before the first."""
        return max((points[-1][0] for points in self.losses.values()), default=0)


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """All of it.  finished: what finished.json holds; None while it is not.  advice: what should be changed, or ""."""

    out: Path
    job: str
    settings: Settings
    told: tuple[Told, ...]  # of each phase
    finished: Mapping[str, Any] | None
    advice: str

    def ended_with(self, name: str) -> float | None:
        """A number of finished.json; None where there is none of that name."""
        value = (self.finished or {}).get(name)
        return float(value) if isinstance(value, int | float) and abs(value) < LARGEST else None

    @property
    def now(self) -> Told:
        """Of the phase that it is in, or ended with."""
        return next((one for one in reversed(self.told) if one.step), self.told[0])

    @property
    def place(self) -> str:
        """Where it stands: "joint, step 120 of 600"."""
        phase = self.now.phase
        name = f"{phase.name}, " if phase.name else ""
        return f"{name}step {self.now.step:,} of {phase.steps:,}"

    @property
    def sets(self) -> list[str]:
        """The folders that it learns from."""
        match self.settings:
            case TrainSettings():
                return [one.folder for one in self.settings.data]
            case MattingTraining():
                return [one.path for one in self.settings.loader.sets]
            case KeyerTraining():
                return list(self.settings.data)


def read_record(out: Path) -> TrainingRecord:
    """Raises UsageError where the folder holds no training, or one of its files is damaged."""
    job, settings = _settings(out / SETTINGS_FILE)
    lines = list(_lines(out / LOG_FILE))
    finished = _json(out / FINISHED_FILE) if (out / FINISHED_FILE).is_file() else None
    told = [
        Told(
            phase=phase,
            losses=_series(lines, number, is_validation=False),
            validations=_series(lines, number, is_validation=True),
            pace=_pace(lines, number),
        )
        for number, phase in enumerate(phases_of(settings))
    ]
    return TrainingRecord(
        out=out,
        job=job,
        settings=settings,
        told=tuple(told),
        finished=finished,
        advice=advice(lines),
    )


def phases_of(settings: Settings) -> list[Stretch]:
    """Those of a training, in their order; the only one of others has no name."""
    if isinstance(settings, TrainSettings):
        return [Stretch(phase.name, phase.steps, phase.batch) for phase in settings.phases]
    return [Stretch("", settings.steps, settings.batch)]


def best(measure: str, points: Points) -> tuple[int, float]:
    """The best of a validation's values, and its step."""
    return (max if is_better_high(measure) else min)(points, key=lambda point: point[1])


def _settings(file: Path) -> tuple[str, Settings]:
    """The name of the job whose settings these are, and they; unknown fields, of other versions, are passed over."""
    for job in ALL:
        if isinstance(job, Training):
            kind: Any = job.recipe.model_fields["train"].annotation
            try:
                return name_of(job), TypeAdapter(kind).validate_json(file.read_bytes())
            except FileNotFoundError as error:
                raise UsageError(f"{file.parent} holds no training: {file.name} is missing there.") from error
            except (ValueError, UsageError):
                continue
    raise UsageError(f"{file} holds no settings of a training: bring back the file that was written there.")


def _json(file: Path) -> dict[str, Any]:
    try:
        content = parse_json(file.read_bytes())
    except ValueError as error:
        raise UsageError(f"{file} is damaged ({error}): bring back the file that was written there.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file} is damaged: bring back the file that was written there.")
    return content


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of the log; a torn last one is left out."""
    if not log.is_file():
        return
    for number, line in enumerate(log.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = parse_json(line)
            assert isinstance(record["losses"], dict)
            assert 0 <= int(record["step"]) <= MOST_STEPS
            yield {"phase": int(record["phase"]), "step": int(record["step"]), "name": printable(record["name"])} | {
                "losses": {printable(name): float(value) for name, value in record["losses"].items()},
                **{name: float(record[name]) for name in OF_ITS_PACE if name in record},
            }
        except (ValueError, TypeError, KeyError, AssertionError, OverflowError) as error:
            raise UsageError(f"{log}, line {number}, is none of a training: remove it.") from error


def printable(name: Any) -> str:
    """A name as a terminal may show it: a log may come from anybody."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(name))


def _series(lines: list[dict[str, Any]], phase: int, *, is_validation: bool) -> dict[str, Points]:
    """By loss, or by measure; numbers that are none have no place on a curve."""
    found: dict[str, Points] = {}
    for line in lines:
        if line["phase"] == phase and (line["name"] == VALIDATION) == is_validation:
            for name, value in line["losses"].items():
                if _is_drawn(value):
                    found.setdefault(name, []).append((line["step"], value))
    return found


def _pace(lines: list[dict[str, Any]], phase: int) -> dict[str, Points]:
    found: dict[str, Points] = {}
    for line in lines:
        for name in OF_ITS_PACE.keys() & line.keys():
            if line["phase"] == phase and _is_drawn(line[name]):
                found.setdefault(name, []).append((line["step"], line[name]))
    return found


def _is_drawn(value: float) -> bool:
    return isfinite(value) and abs(value) < LARGEST
