"""Pictures and clips before a screen of any colour → the same on a pure screen, with mattes: the job `key`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from factory.engine.draft import Draft
from factory.engine.line import Line
from factory.engine.plan import Plan, read_plan
from factory.engine.survey import Memory
from factory.errors import UsageError, count_of
from factory.greenscreen.colours import KeyChoice
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.jobs.base import Job, NewSet
from factory.jobs.line import matting_line
from factory.jobs.planned_sources import begun, opened
from factory.jobs.sequences import SequenceSettings, hand_over, tell
from factory.models.planned_file import bytes_as_planned, plan_file
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES
from factory.quality.gates import TRUSTED, GateSettings, check_limits
from factory.refine.keying import keying
from factory.refine.shape_weights import shape_weights
from factory.settings import Place
from factory.shards.layout import Layout
from factory.shards.members import MATTING, SHADOW, with_trust
from factory.sources.clips import videos
from factory.sources.clips.settings import ClipSettings
from factory.sources.files import stills
from factory.sources.files.planned import exactly, included
from factory.sources.files.planning import note_passed_over

# Pictures stay whole and where they were taken, so an object may fill them and lie along most of their border: not all,
# for then it is the room about a screen. And somebody who has a sequence keyed wants each of its frames.
# Mattes that are expected to be spoilt are turned down: no mask vouches for them, as it does for what is painted.
GATES = GateSettings(coverage_max=0.98, flush_max=0.94, label_error_max=TRUSTED, duplicate_distance=-1)
FRAMES = ClipSettings(every=1, keyed_at=0)


CLIPS = "videos"  # what the source of clips is named in the plan
SHAPES = "shapes"  # … and the weights of the user's own shape network


def _over(own: Any, value: Any) -> Any:
    """A recipe's group laid over the job's own defaults."""
    return asdict(own) | dict(value) if isinstance(value, Mapping) else value


def _framed_or_own(size: int) -> int:
    if size != 0 and not 16 <= size <= 4096:
        raise ValueError(f"it is {size}: choose 16 to 4096 pixels, or 0 for each picture's own size")
    return size


class KeyRecipe(NewSet):
    """Stills and clips before a screen."""

    job: Literal["key"] = "key"
    pictures: Place  # a file, or a folder of stills and clips at any depth
    include: Annotated[tuple[str, ...], Field(min_length=1)] = ("**/*",)  # glob patterns below the folder
    size: Annotated[int, AfterValidator(_framed_or_own)] = 0  # pixels of framed squares; 0: each picture's own size
    key: KeyChoice = "nearest"  # the pure screen's colour: the one nearest to the picture's own screen
    select: Annotated[ClipSettings, BeforeValidator(partial(_over, FRAMES))] = FRAMES
    sequences: SequenceSettings | None = None  # whole clips beside the shards; stills are passed over
    class_name: str = ""  # of all; "" takes the names of files, or of their folders
    caption_from: Literal["file", "folder"] = "file"
    keyer: KeyerSettings = KeyerSettings()
    shape_weights: Place | None = None  # what `factory train-keyer` made of your own objects; none: what ships
    shadows: bool = False  # store the shadow on the screen beside each matte, as a picture of its own
    trust: bool = False  # store beside each matte how far it may be trusted, pixel by pixel
    name: str = ""  # what it goes by in every sample; "" is the folder's name
    painted_by: str = ""  # the model that made the pictures; "" for what a camera saw
    licence: str = ""
    attribution: str = ""
    allowed_failures: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of pictures with bad data that is no failure
    gates: Annotated[GateSettings, BeforeValidator(partial(_over, GATES))] = GATES


def plan(recipe: KeyRecipe, memory: Memory) -> Draft:
    """Stills and clips are two sources of one folder. Raises UsageError where there is neither."""
    from factory.sources.clips.probe import SUFFIXES as OF_CLIPS  # noqa: PLC0415  (loads a decoder)

    recipe = _as_begun(recipe)
    check_limits(recipe.gates)
    folder, include = _folder_of(recipe)
    if recipe.sequences is not None:
        recipe = _of_whole_clips(recipe)
    planning = begun(recipe, memory, size=recipe.size, key=recipe.key)
    if recipe.shape_weights is not None:
        plan_file(SHAPES, shape_weights(recipe.shape_weights, "shape_weights"), planning.draft)
    members = (*MATTING, SHADOW) if recipe.shadows else MATTING
    planning.draft.members = with_trust(members) if recipe.trust else members
    name = recipe.name or folder.resolve().name
    shared = recipe.model_dump(
        include={"class_name", "caption_from", "keyer", "painted_by", "licence", "attribution", "allowed_failures"}
    )
    shared |= {"path": folder, "include": include, "name": name}
    pictures = stills.list_stills(folder, include)
    clips = sorted(filter(included(include), files_below(folder, OF_CLIPS)))
    if recipe.sequences is not None:
        if pictures and clips:
            many = count_of(len(pictures), "still is", "stills are")
            planning.draft.remarks.append(f"{many} passed over, for whole clips are asked for: key them by themselves.")
        pictures = []
        if not clips:
            raise UsageError(f"{recipe.pictures} holds no clip, and whole clips are asked for: leave --sequences out.")
    if not pictures and not clips:
        kinds = " ".join(sorted({*SUFFIXES, *OF_CLIPS}))
        raise UsageError(f"{recipe.pictures} holds no picture and no clip ({kinds}): name another, or mend `include`.")
    if pictures:
        entry = stills.StillsEntry(**shared, keyed_at=recipe.select.keyed_at)
        stills.plan_files(planning, "stills", entry, pictures)
    if clips:
        whole = recipe.sequences
        held_out, steady = (whole.test, whole.steady) if whole is not None else (0.0, None)
        entry_of_clips = videos.VideosEntry(**shared, select=recipe.select, validation=held_out)
        videos.plan_files(planning, CLIPS, entry_of_clips, clips, steady=steady)
    first = "stills" if pictures else CLIPS
    note_passed_over(planning.draft, first, stills.StillsEntry(**shared), {*SUFFIXES, *OF_CLIPS}, included(include))
    return planning.draft


def _as_begun(recipe: KeyRecipe) -> KeyRecipe:
    """A set that was begun before `label_error` was a gate goes on without that one."""
    begun_with = Layout(recipe.out).plan
    if recipe.gates.label_error_max != GATES.label_error_max or not begun_with.exists():
        return recipe
    if "label_error_max" in read_plan(begun_with).settings.get("gates", {}):
        return recipe
    return recipe.model_copy(update={"gates": replace(recipe.gates, label_error_max=None)})


def _of_whole_clips(recipe: KeyRecipe) -> KeyRecipe:
    """The same with gates that judge no frame by how much of it its object fills: objects enter, pass close by, leave.

    Whether mattes are to be trusted is asked of the clip as a whole: it is not worth what its worst frame is.
    Raises UsageError where frames would be framed one by one.
    """
    if recipe.size:
        raise UsageError(f"size is {recipe.size}, but frames of whole clips stay as they were filmed: leave it at 0.")
    gates = replace(recipe.gates, coverage_min=None, coverage_max=None, flush_max=None, label_error_max=None)
    return recipe.model_copy(update={"gates": gates})


def _folder_of(recipe: KeyRecipe) -> tuple[Path, tuple[str, ...]]:
    """Where the pictures lie, and the patterns of those that are meant. Raises UsageError."""
    pictures = recipe.pictures
    if pictures.is_file():
        return pictures.parent, (exactly(pictures.name),)
    if not pictures.is_dir():
        raise UsageError(f"{pictures} does not exist: name a picture, a clip, or a folder of them.")
    if recipe.out.resolve().is_relative_to(pictures.resolve()):
        raise UsageError(f"--out {recipe.out} lies in {pictures}, which is keyed: give a folder outside of it.")
    return pictures, recipe.include


def line(plan: Plan, root: Path) -> Line:
    """Keyed, scored, gated."""
    shapes = bytes_as_planned(plan, SHAPES) if SHAPES in plan.weights else None
    return matting_line(plan, opened(plan, root), first=keying(plan.settings["sources"], plan.members, shapes))


def _hand_over(recipe: KeyRecipe) -> bool:
    own = recipe.sequences
    return own is not None and hand_over(recipe.out, CLIPS, own, recipe.gates.label_error_max)


def _tell(recipe: KeyRecipe) -> Sequence[str]:
    return tell(recipe.out) if recipe.sequences is not None else ()


JOB = Job(KeyRecipe, plan, line, hand_over=_hand_over, tell=_tell)
