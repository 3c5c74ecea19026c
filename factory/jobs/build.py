"""A training set, objects with known alpha on a pure screen: the job `build-green100k`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.engine.survey import Memory
from factory.errors import InputChanged, UsageError
from factory.greenscreen.colours import KeyName
from factory.jobs.base import Job, NewSet
from factory.jobs.line import matting_line
from factory.jobs.planned_sources import begun, opened
from factory.models.device import best_device
from factory.quality.gates import check_limits
from factory.refine.keying import keying
from factory.sample import BatchStage, Stage
from factory.settings import Place, settings
from factory.sources.captioning import model as caption_model
from factory.sources.captioning.captioned import Captioned
from factory.sources.captioning.model import CaptionSettings
from factory.sources.entry import FiniteEntry
from factory.sources.files.planning import count
from factory.sources.kinds import KIND_OF, AnyEntry


class BuildRecipe(NewSet):
    """The training set: objects with known alpha on a pure screen."""

    job: Literal["build-green100k"] = "build-green100k"
    size: Annotated[int, Field(ge=16, le=4096)] = 512
    key: KeyName = "green"
    sources: Annotated[tuple[AnyEntry, ...], Field(min_length=1)]
    exclude: tuple[Place, ...] = ()  # lists of file hashes to keep out, beside the list of benchmark images that ships
    captioner: CaptionSettings = CaptionSettings()  # without a model captions come from tables and file names


def plan(recipe: BuildRecipe, memory: Memory) -> Draft:
    """What lies in each source and what of it is used. Raises UsageError for one that is not what the recipe says."""
    check_limits(recipe.gates)
    planning = begun(recipe, memory, size=recipe.size, key=recipe.key, exclude=recipe.exclude)
    draft = planning.draft
    finite = [entry for entry in recipe.sources if isinstance(entry, FiniteEntry)]
    absent = [entry for entry in finite if _is_absent(entry)]
    if absent:
        places = ", ".join(str(entry.path.resolve()) for entry in absent)
        draft.remarks.append(f"absent or empty, and passed over, as the recipe allows: {places}.")
    for files in finite:
        if recipe.out.resolve().is_relative_to(files.path.resolve()):
            raise UsageError(f"--out {recipe.out} lies in the source {files.path}: give a folder outside of it.")
    for number, entry in enumerate(recipe.sources):
        name = f"{entry.type}-{number}"
        if isinstance(entry, FiniteEntry) and _is_absent(entry):
            title, paper = entry.known_as()
            count(draft, name, entry, title=title, found=0, paper=paper)  # it stands beside the paper's count as well
        else:
            KIND_OF[type(entry)].plan(planning, name, entry)
    _plan_captioner(recipe, draft)
    return draft


def _is_absent(entry: FiniteEntry) -> bool:
    if entry.path.is_dir():
        return entry.optional and all(path.name.startswith(".") for path in entry.path.iterdir())
    if entry.path.exists():
        raise UsageError(f"the recipe's {entry.path.resolve()} is a file: name the folder that it lies in.")
    if not entry.optional:
        raise UsageError(
            f"the recipe's folder {entry.path.resolve()} does not exist: mend its path, or mark it `optional: true`."
        )
    return True


def _plan_captioner(recipe: BuildRecipe, draft: Draft) -> None:
    """The captioning model by place and hash; its prompt and beams as they are."""
    if not recipe.captioner.model:
        return
    folder = caption_model.resolve(recipe.captioner.model)
    caption_model.check(folder)
    draft.settings["captioner"] = {**asdict(recipe.captioner), "model": ""}
    draft.weights["captioner"] = caption_model.fingerprint(folder)
    draft.places["captioner"] = str(folder.resolve())


def line(plan: Plan, root: Path) -> Line:
    """The recipe's sources; keyed, and captioned where a model is named; then the stages of every line."""
    first: dict[str, Stage | BatchStage] = {**keying(plan.settings["sources"])}
    if "captioner" in plan.settings:
        first["captions"] = _captioned(plan)
    return matting_line(plan, opened(plan, root), first=first)


def _captioned(plan: Plan) -> Captioned:
    """The model that captions samples once they are cut out."""
    from factory.sources.captioning.captioner import Captioner  # noqa: PLC0415  (torch takes seconds)

    device = best_device()
    folder = Path(plan.places["captioner"])
    captioner = Captioner(folder, settings(CaptionSettings, plan.settings["captioner"]), device.torch)
    if captioner.fingerprint != plan.weights["captioner"]:
        raise InputChanged(f"{folder} is not the model the run was planned with: restore it, or use a new --out.")
    return Captioned(captioner, device.name)


def _runs_a_model(recipe: BuildRecipe) -> bool:
    return bool(recipe.captioner.model)


JOB = Job(BuildRecipe, plan, line, runs_a_model=_runs_a_model)
