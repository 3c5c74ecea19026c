"""An open benchmark for keyers, scenes whose matte, foreground and clean screen are known: the job `greenbench`.

A job of its own, for nothing of it may reach a training set, and nothing that it makes is refused: it has no gates.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from factory.diffusion import model_files
from factory.engine.draft import Draft
from factory.engine.inputs import make_table
from factory.engine.line import Line
from factory.engine.plan import Plan, Segment
from factory.engine.survey import Memory, Surveyor
from factory.errors import UsageError
from factory.jobs.base import Job, RunSettings
from factory.quality.scores import ScoreSettings, score
from factory.sample import Rejection, Sample, Source, Stage
from factory.settings import said, settings
from factory.shards.encoding import encode
from factory.shards.marking import MarkingSettings
from factory.shards.members import MATTING, Member
from factory.sources.greenbench.facts import facts_in
from factory.sources.greenbench.folders import PinnedFolder, is_absent, rows_of
from factory.sources.greenbench.planning import cutout_rows, drawn_rows
from factory.sources.greenbench.registry import KINDS, Kind
from factory.sources.greenbench.scenes import GENERATED, PAINTER, SCREENS, VAE, ScreenType
from factory.sources.greenbench.source import PLATE, CutoutScenes, DrawnScenes
from factory.sources.groups import Group

DRAWN = "drawn"
MEMBERS = (*MATTING, Member(PLATE, 3, "The clean screen B behind the object, before noise and coding: 8-bit sRGB."))


class GreenBenchRecipe(RunSettings):
    """The benchmark of one group of objects."""

    job: Literal["greenbench"] = "greenbench"
    group: Group = "report"  # develop is to look at and to tune with, validate chooses, report is measured
    size: Annotated[int, Field(ge=32, le=2048, multiple_of=16)] = 448
    per_kind: Annotated[int, Field(ge=1, le=10_000)] = 12  # drawn objects of each hard kind
    plain: Annotated[int, Field(ge=1, le=10_000)] = 48  # drawn objects that are not hard
    screens: Annotated[tuple[ScreenType, ...], Field(min_length=1)] = SCREENS
    folders: tuple[PinnedFolder, ...] = ()
    marking: MarkingSettings = MarkingSettings()  # what the pictures say of themselves


def plan(recipe: GreenBenchRecipe, memory: Memory) -> Draft:
    """Every object of the group on every screen, frozen. Raises UsageError for a folder that is not what is pinned."""
    if len(set(recipe.screens)) < len(recipe.screens):
        raise UsageError(f"screens names one twice ({', '.join(recipe.screens)}): name each once.")
    draft = Draft()
    draft.settings = {
        "size": recipe.size,
        "group": recipe.group,
        "sources": {DRAWN: {"type": DRAWN}},
        "scores": said(ScoreSettings()),
        "marking": asdict(recipe.marking),
    }
    counts: dict[Kind, int] = {kind: recipe.plain if kind == "plain" else recipe.per_kind for kind in KINDS}
    rows = drawn_rows(recipe.group, counts, recipe.screens, recipe.seed)
    _add(draft, DRAWN, rows, "drawn objects")
    surveyor = Surveyor(recipe.executor, recipe.workers, memory)
    for number, folder in enumerate(recipe.folders):
        if is_absent(folder):
            draft.remarks.append(f"absent, and passed over, as the recipe allows: {folder.path.resolve()}.")
            continue
        pictures, pin = rows_of(folder, recipe.group, surveyor)
        if not folder.sha256:
            draft.remarks.append(f"{folder.path}: nothing pins it; `sha256: {pin}` in the recipe would.")
        if pictures:
            name = f"folder-{number}"
            told = {"repository": folder.repository, "commit": folder.commit, "sha256": pin}
            draft.settings["sources"][name] = {"type": "folder", "source": folder.repository, **told}
            draft.places[name] = str(folder.path.resolve())
            rows = cutout_rows(pictures, folder.kind, recipe.group, recipe.screens, recipe.seed)
            _add(draft, name, rows, folder.repository)
    if GENERATED in recipe.screens:
        draft.weights["vae"] = model_files.fingerprint(model_files.EMBEDDED)
        draft.places["vae"] = str(model_files.EMBEDDED)
    return draft


def _add(draft: Draft, name: str, rows: list[dict[str, object]], title: str) -> None:
    draft.tables[name] = make_table(rows)
    draft.census[name] = {"title": title}
    draft.segments.append(Segment(source=name, split="test", slots=len(rows), table=name, rows=len(rows)))


def line(plan: Plan, _root: Path) -> Line:
    """Scenes, what is painted through the VAE, scores for whoever wants to look; all are let in."""
    size = int(plan.settings["size"])
    sources: dict[str, Source] = {}
    for name, own in plan.settings["sources"].items():
        sources[name] = (
            DrawnScenes(size) if own["type"] == DRAWN else CutoutScenes(Path(plan.places[name]), size, own["source"])
        )
    scores = settings(ScoreSettings, plan.settings["scores"])
    marking = settings(MarkingSettings, plan.settings["marking"])
    return Line(
        sources=sources,
        # One object on five screens is no duplicate: without a hash none is looked for.
        stages={**_painting(plan), "score": lambda sample: replace(score(sample, scores), phash="")},
        admission=lambda: _let_in,
        encode=lambda sample: encode(sample, marking, plan.members),
    )


def _painting(plan: Plan) -> Mapping[str, Stage]:
    """What pictures by image models have been through."""
    if "vae" not in plan.weights:
        return {}
    from factory.diffusion.round_trip import RoundTrip  # noqa: PLC0415  (torch takes seconds)

    round_trip = RoundTrip(Path(plan.places["vae"]), plan.weights["vae"])

    def painted(sample: Sample) -> Sample:
        if facts_in(sample.origin.prompt).get(PAINTER) != VAE:
            return sample
        return replace(sample, rgb=round_trip(sample.rgb))

    return {"vae": painted}


def _let_in(_sample: Sample) -> Rejection | None:
    return None


JOB = Job(GreenBenchRecipe, plan, line, members=MEMBERS)
