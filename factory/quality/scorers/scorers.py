"""The scorers that a recipe may name, in a plan and at work.

A new one is a file (scorer.py says of what), and a line here.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, cast

from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.models.device import CPU, Device
from factory.models.folder import files_fingerprint
from factory.models.planned_file import changed
from factory.quality.scorers.aesthetic import Aesthetic
from factory.quality.scorers.clip_folder import files_of
from factory.quality.scorers.safety import Safety
from factory.quality.scorers.scorer import SCREEN, Judge, Scorer
from factory.quality.scorers.stage import ScorerStage
from factory.quality.scorers.text_agreement import TextAgreement
from factory.sample import ASKED_SCORES
from factory.settings import Strict
from factory.shards.commit import sha256_of

SCORERS = "scorers"  # of a plan's settings: their names
ASKED = "asked_scores"  # of a plan's settings: see `Plan.asked_scores`


class Scorers(Strict):
    """By name. None is at work unless it is named."""

    aesthetic: Aesthetic | None = None
    agreement: TextAgreement | None = None
    safety: Safety | None = None

    def named(self) -> dict[str, Scorer]:
        """Those that are named."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: scorer for name, scorer in own.items() if scorer is not None}


def plan_scorers(recipe: Scorers, draft: Draft, kept: Sequence[str] = ()) -> None:
    """Freeze the scorers, by the content of their files.

    kept: scores that samples bring along; those of a named scorer are measured anew.
    Raises UsageError for files of no use.
    """
    named = recipe.named()
    hashed = cache(_hash)
    for name, scorer in named.items():
        scorer.check()
        for part, path in _files(scorer).items():
            draft.weights[f"{name}_{part}"] = hashed(path)
            draft.places[f"{name}_{part}"] = str(path)
    if named:
        draft.settings[SCORERS] = list(named)
    measured = {score for scorer in named.values() for score in (scorer.score, scorer.score + SCREEN)}
    if asked := [score for score in ASKED_SCORES if score in measured or score in kept]:
        draft.settings[ASKED] = asked


def opened(plan: Plan, device: Device) -> ScorerStage:
    """The scorers of a plan at work, in a worker; a CLIP that several of them name is loaded once.

    Raises InputChanged where a file is not the planned one.
    """
    from factory.quality.scorers.clip import Clip  # noqa: PLC0415  (torch takes seconds)

    hashed = cache(_hash)
    clip_of = cache(lambda folder: Clip(folder, device))
    judges: dict[str, Judge] = {}
    for name in plan.settings[SCORERS]:
        kind = _kind(name)
        files = {part.name: Path(plan.places[f"{name}_{part.name}"]) for part in fields(kind)}
        for part, path in files.items():
            if not path.exists() or hashed(path) != plan.weights[f"{name}_{part}"]:
                raise changed(path)
        judges[kind.score] = kind(**files).open(clip_of, device)
    least = 1 if device.torch == CPU.torch else plan.batch_size  # on a GPU networks see one shape
    return ScorerStage(judges, least, device.name)


def _kind(name: str) -> Any:
    """The dataclass of a scorer."""
    kinds = {one: cast(Any, field.annotation).__args__[0] for one, field in Scorers.model_fields.items()}
    return kinds[name]


def _files(scorer: Scorer) -> dict[str, Path]:
    return {part.name: getattr(scorer, part.name).absolute() for part in fields(cast(Any, scorer))}


def _hash(path: Path) -> str:
    return files_fingerprint(path, files_of(path)) if path.is_dir() else sha256_of(path)
