"""Prompts in, samples out: the job `generate`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from factory.diffusion import model_files
from factory.diffusion.generators.callables import CALLABLE
from factory.diffusion.generators.checkpoint import CHECKPOINT, VOCABULARY, plan_checkpoint
from factory.diffusion.generators.kind import GeneratorKind
from factory.diffusion.generators.kinds import BY_NAME, kind_of
from factory.diffusion.generators.layers import LAYERS, plan_layers
from factory.diffusion.lora.lowering import planned_lowering
from factory.diffusion.new_words import SETTINGS as WORDS
from factory.diffusion.object_words import check_object_words
from factory.diffusion.prompt_remarks import cut_off, never_taught, never_used, refusal, unknown
from factory.diffusion.routing import Routing, routed, shares
from factory.diffusion.row_pictures import plan_row_pictures
from factory.diffusion.vocabulary import read_vocabulary
from factory.engine.draft import Draft
from factory.engine.inputs import make_table
from factory.engine.line import Line
from factory.engine.plan import Plan, Segment
from factory.engine.survey import Memory, Surveyor
from factory.errors import InputChanged, UsageError
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.on_screen import FramingSettings
from factory.jobs.additions import Additions, beginning, check_additions, picture_columns, plan_additions
from factory.jobs.base import Job, NewSet
from factory.jobs.line import matting_line
from factory.jobs.no_screens import NO_SCREEN, tell, watched
from factory.jobs.prompt_list import TABLE, listed_prompts
from factory.models.device import best_device
from factory.pictures.folder import files_below
from factory.pictures.picture import SUFFIXES
from factory.quality.gates import CHECKERED, OF_THE_KEY, TRUSTED, GateSettings, check_limits
from factory.quality.scorers.scorers import Scorers, plan_scorers
from factory.quality.scores import ScoreSettings
from factory.refine.greenpost import GreenPostSettings
from factory.refine.keying import keying
from factory.refine.refiners import Refiners, plan_weights, planned
from factory.settings import Place, said
from factory.shards.members import MATTING, with_trust
from factory.sources.prompts import check_template

BACKDROPS = "backdrops"  # of a plan: where the pictures lie that the report shows objects on
KEYING = "keying"  # of a plan: how pictures without masks are keyed
GREENPOST = "greenpost"


class GenerateRecipe(Additions, Refiners, NewSet):
    """Prompts in, samples out."""

    job: Literal["generate"] = "generate"
    prompts: str = ""  # a file (txt, csv, json, jsonl, parquet; yaml, a grammar), "-" for stdin, "" for the model's own
    strict_words: bool = False  # refuse prompts with words that a small model was never taught
    objects: str = ""  # for coarse masks from attention: column of the prompts with their objects' words
    template: str = ""  # for class names: "{a} {class}", "{a} {colour} {class}"; "" takes the model's
    n: Annotated[int, Field(ge=1)] = 32
    model: str = ""  # a model folder, or a checkpoint in one file; "" is the embedded one
    tokenizer: str = ""  # of a checkpoint: a folder with CLIP's vocabulary; "" is `tokenizer` beside it
    config: str = ""  # of a checkpoint: a folder with its configurations; "" takes those of the family that it is of
    layers: str = ""  # a folder with LayerDiffuse's files, for the model: pictures come with alpha
    painter: str = ""  # "module:function", code of your own that paints pictures with alpha, in the place of a model
    sampler: dict[str, Any] = Field(default_factory=dict)  # what differs from the model's own; `key` may be "auto"
    backdrops: Place | None = None  # a folder of pictures that report and card show some samples on
    keyer: KeyerSettings = KeyerSettings()  # of pictures that a model paints without a mask
    trust: bool = False  # store beside each matte how far it may be trusted, pixel by pixel
    scorers: Scorers = Scorers()  # networks of your own that tell how good a picture is; see docs/models.md


def plan(recipe: GenerateRecipe, memory: Memory) -> Draft:
    """The model, its sampler, the prompts. Raises UsageError for what of them cannot be used."""
    check_limits(recipe.gates)
    check_template(recipe.template)
    draft = Draft(keep_rejected=recipe.keep_rejected)
    if recipe.trust:
        draft.members = with_trust(MATTING)
    folder, kind = _generator(recipe)
    known = read_vocabulary(folder)
    _check_refiners(recipe, kind)
    check_additions(recipe, kind)
    if kind.gives == "picture":
        draft.remarks.append(f"{folder} has no matting head: its pictures are keyed (docs/models.md).")
    configured = _configured(recipe, folder, kind, draft)
    sampling = kind.sampling(recipe.sampler, configured)
    sampler, keys = beginning(recipe.given, recipe.sampler, sampling, kind, configured)
    columns = picture_columns(recipe, recipe.prompts)
    asked = [*columns, *filter(None, [recipe.objects])]
    prompts = listed_prompts(
        recipe.prompts, recipe.template, known, asked, n=recipe.n, seed=recipe.seed, out=recipe.out
    )
    if prompts.negative and "negative_prompt" not in recipe.sampler and not recipe.painter:
        sampler = replace(sampler, negative_prompt=prompts.negative)
    rows = routed(prompts.rows, keys) if keys else prompts.rows
    if columns:
        surveyor = Surveyor(recipe.executor, recipe.workers, memory)
        rows = plan_row_pictures(rows, columns, Path(recipe.prompts).parent, surveyor, draft)
    draft.remarks += prompts.remarks
    draft.remarks += cut_off(
        rows, lambda prompt: kind.written(prompt, sampler, configured), configured, draft.places.get(VOCABULARY)
    )
    draft.tables[TABLE] = make_table(_with_objects(rows, recipe, sampler, configured))
    draft.segments.append(
        Segment(
            source=kind.name,
            split="train",
            slots=recipe.n,
            attempts=recipe.max_attempts,
            table=TABLE,
            rows=len(rows),
        )
    )
    draft.settings = {
        "licence": model_files.licence(folder),
        "sampler": said(sampler),
        **_refining(recipe, kind),
        "scores": said(ScoreSettings(covers=not _attentive(sampler))),
        "gates": said(_gates(recipe, kind)),
        "marking": asdict(recipe.marking),
    }
    plan_weights(recipe, draft)
    plan_scorers(recipe.scorers, draft)
    if keys:
        moves_on = (*OF_THE_KEY, NO_SCREEN) if kind.gives == "picture" else OF_THE_KEY
        draft.settings["routing"] = asdict(Routing(keys=keys, moves_on=moves_on))
        draft.remarks.append(shares(rows))
    draft.weights[kind.name] = kind.fingerprint(folder)
    draft.places[kind.name] = str(folder if recipe.painter else folder.absolute())
    if recipe.backdrops is not None:
        _plan_backdrops(recipe.backdrops, draft)
    if recipe.layers:
        plan_layers(Path(recipe.layers), folder, draft)
    plan_additions(recipe, configured, kind, keys, draft)
    added = draft.settings.get(WORDS, ())
    written = [kind.written(row["prompt"], sampler, configured) for row in rows] if added else []
    draft.remarks += never_used(added, [*written, getattr(sampler, "negative_prompt", "")])
    if known is not None and (strangers := never_taught(rows, sampler.key, known, added)):
        _note_strangers(strangers, recipe, draft, unknown(strangers, rows, known), kind.name)
    return draft


def line(plan: Plan, _root: Path) -> Line:
    """The generator on this worker's device, then the stages of every line."""
    device = best_device()
    kind = BY_NAME[plan.segments[0].source]  # an extended set has several, of the same source
    folder = Path(plan.places[kind.name])
    if kind.fingerprint(folder) != plan.weights[kind.name]:
        raise InputChanged(f"{folder} is not the model the run was planned with: restore it, or use a new --out.")
    first = keying({kind.name: plan.settings[KEYING]}, plan.members) if kind.gives == "picture" else {}
    if planned_lowering(plan) is None:  # else what shows no screen at first may show one later
        first = {name: watched(stage) for name, stage in first.items()}
    return matting_line(plan, {kind.name: kind.open(plan, device)}, device, first=first)


def _generator(recipe: GenerateRecipe) -> tuple[Path, GeneratorKind]:
    """What paints, and where it lies. Raises UsageError."""
    if recipe.painter:
        if recipe.model or recipe.layers or recipe.loras or recipe.words:
            raise UsageError("--painter is all that paints: leave --model, --layers, --lora and --word out.")
        CALLABLE.check(Path(recipe.painter))
        return Path(recipe.painter), CALLABLE
    folder = model_files.resolve(recipe.model) if recipe.model else model_files.EMBEDDED
    if recipe.layers:
        LAYERS.check(folder)
        return folder, LAYERS
    return folder, kind_of(folder)


def _configured(recipe: GenerateRecipe, model: Path, kind: GeneratorKind, draft: Draft) -> Path:
    """The folder that says how a model is built: for one in a single file that is another. Raises UsageError."""
    if kind is CHECKPOINT:
        return plan_checkpoint(model, recipe.config, recipe.tokenizer, draft)
    if recipe.config or recipe.tokenizer:
        raise UsageError("--config and --tokenizer are for a --model in a single file: leave them out.")
    return model


def _note_strangers(
    strangers: Mapping[str, set[str]], recipe: GenerateRecipe, draft: Draft, remarks: Sequence[str], source: str
) -> None:
    """Words that the model was never taught. Raises UsageError where there must be none."""
    if recipe.strict_words:
        raise UsageError(refusal(strangers))
    draft.remarks += remarks
    draft.census[source] = {"unknown_words": list(strangers)}


def _with_objects(
    rows: Sequence[Mapping[str, Any]], recipe: GenerateRecipe, sampler: Any, folder: Path
) -> list[dict[str, Any]]:
    """The rows, where attention is read with the words that it is read of as their class. Raises UsageError."""
    if not _attentive(sampler):
        if recipe.objects:
            raise UsageError("--objects says what --coarse attention looks at: give both or neither.")
        return [dict(row) for row in rows]
    if recipe.styles:
        raise UsageError("--coarse attention and --style both take the U-Net's attention: leave one of them out.")
    found = [{**row, "class": row[recipe.objects or "class"]} for row in rows]
    check_object_words(found, folder)
    return found


def _attentive(sampler: Any) -> bool:
    """Whether coarse masks come from attention, which looks at parts of an object."""
    return getattr(sampler, "coarse", "head") == "attention"


def _plan_backdrops(folder: Path, draft: Draft) -> None:
    """Say where they lie; they decide no pixel of a sample."""
    if not any(files_below(folder, SUFFIXES)):
        raise UsageError(f"--backdrops {folder} holds no picture: name a folder that does.")
    draft.places[BACKDROPS] = str(folder.absolute())


def _gates(recipe: GenerateRecipe, kind: GeneratorKind) -> GateSettings:
    """What is keyed is judged by how far its matte may be trusted, too, and what is told by how real it is.

    A recipe that says something else is followed; 1 lets all pass.
    """
    own = recipe.gates
    if kind.gives == "picture" and own.label_error_max is None:
        return replace(own, label_error_max=TRUSTED)
    if kind.gives == "matte" and own.checkerboard_max is None:
        return replace(own, checkerboard_max=CHECKERED)
    return own


def _check_refiners(recipe: GenerateRecipe, kind: GeneratorKind) -> None:
    if kind.gives == "matte" and recipe.trust:
        raise UsageError("--trust: what paints tells its own alpha, and not how far it may be trusted: leave it out.")
    if kind.gives != "mask" and recipe.greenpost != GreenPostSettings():
        mend = "set `keyer`, which keys its pictures" if kind.gives == "picture" else "leave it out"
        raise UsageError(f"greenpost refines coarse masks, and this model paints none: {mend}.")


def _refining(recipe: GenerateRecipe, kind: GeneratorKind) -> dict[str, Any]:
    """The refiners in the plan. What comes without a mask is keyed instead, at its own size, onto a pure screen."""
    refiners = planned(recipe)
    if kind.gives == "mask":
        return refiners
    others = {name: own for name, own in refiners.items() if name != GREENPOST}
    if kind.gives == "matte":
        return others
    framing = FramingSettings(size=0, key="nearest")
    return {KEYING: {"keyer": asdict(recipe.keyer), "settings": asdict(framing)}, **others}


def _runs_a_model(_recipe: GenerateRecipe) -> bool:
    return True


def _tell(recipe: GenerateRecipe) -> Sequence[str]:
    return tell(recipe.out)


JOB = Job(GenerateRecipe, plan, line, runs_a_model=_runs_a_model, tell=_tell)
