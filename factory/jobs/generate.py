"""Prompts in, samples out: the job `generate`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import starmap
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from factory.diffusion import model_files
from factory.diffusion.control.planning import plan_controls
from factory.diffusion.control.settings import Control, Style
from factory.diffusion.control.style_planning import plan_styles
from factory.diffusion.generators.callables import CALLABLE
from factory.diffusion.generators.checkpoint import CHECKPOINT, VOCABULARY, plan_checkpoint
from factory.diffusion.generators.kind import GeneratorKind
from factory.diffusion.generators.kinds import BY_NAME, kind_of
from factory.diffusion.generators.layers import LAYERS, plan_layers
from factory.diffusion.given.pictures import plan_given
from factory.diffusion.given.settings import Given
from factory.diffusion.lora.laying import plan_loras
from factory.diffusion.lora.lowering import plan_lowering, planned_lowering
from factory.diffusion.lora.settings import Lora
from factory.diffusion.new_words import Word, plan_words
from factory.diffusion.prompt_remarks import cut_off, never_taught, refusal, unknown, unused
from factory.diffusion.routing import Routing, routed, shares
from factory.diffusion.row_pictures import check_columns, plan_row_pictures
from factory.diffusion.vocabulary import Vocabulary, read_vocabulary
from factory.engine.draft import Draft
from factory.engine.inputs import make_table, read_frozen
from factory.engine.line import Line
from factory.engine.plan import Plan, Segment
from factory.engine.survey import Memory, Surveyor
from factory.errors import InputChanged, UsageError
from factory.greenscreen.colours import KeyName
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.on_screen import FramingSettings
from factory.jobs.base import Job, NewSet
from factory.jobs.line import matting_line
from factory.jobs.no_screens import NO_SCREEN, tell, watched
from factory.models.device import best_device
from factory.quality.gates import CHECKERED, GSG, OF_THE_KEY, TRUSTED, UNEVEN, GateSettings, check_limits
from factory.quality.scorers.scorers import Scorers, plan_scorers
from factory.quality.scores import ScoreSettings
from factory.refine.greenpost import GreenPostSettings
from factory.refine.keying import keying
from factory.refine.refiners import Refiners, plan_weights, planned
from factory.settings import said
from factory.shards.layout import Layout
from factory.shards.members import MATTING, with_trust
from factory.shipped_files import choose
from factory.sources.prompts import Gone, Listed, PromptList, check_template, expand, read_prompts

SMALL_MODEL_TEMPLATE = "{a} {colour} {class}"  # how the embedded model's training captions are formed
KEYING = "keying"  # of a plan: how pictures without masks are keyed
GREENPOST = "greenpost"
TABLE = "prompts"
BIG_MODEL_TEMPLATE = "a photo of {a} {class}"


class GenerateRecipe(Refiners, NewSet):
    """Prompts in, samples out."""

    job: Literal["generate"] = "generate"
    prompts: str = ""  # a file (txt, csv, json, jsonl, parquet), "-" for stdin, "" for the model's own classes
    strict_words: bool = False  # refuse prompts with words that a small model was never taught
    template: str = ""  # for class names: "{a} {class}", "{a} {colour} {class}"; "" takes the model's
    n: Annotated[int, Field(ge=1)] = 32
    model: str = ""  # a model folder, or a checkpoint in one file; "" is the embedded one
    tokenizer: str = ""  # of a checkpoint: a folder with CLIP's vocabulary; "" is `tokenizer` beside it
    config: str = ""  # of a checkpoint: a folder with its configurations; "" takes those of the family that it is of
    layers: str = ""  # a folder with LayerDiffuse's files, for the model: pictures come with alpha
    painter: str = ""  # "module:function", code of your own that paints pictures with alpha, in the place of a model
    loras: tuple[Lora, ...] = ()  # adapters that are laid over it, in any order
    words: tuple[Word, ...] = ()  # that it learns from files of vectors
    given: Given | None = None  # columns of the prompt list that name the pictures to begin with
    controls: tuple[Control, ...] = ()  # networks that are shown where things are, a picture for each prompt
    styles: tuple[Style, ...] = ()  # and what they look like
    lower_loras: Annotated[float, Field(ge=0, lt=1)] | None = None  # times their weights, where they bend the screen
    allow_partial: bool = False  # take of an adapter what fits, though some of its keys go unused
    sampler: dict[str, Any] = Field(default_factory=dict)  # what differs from the model's own; `key` may be "auto"
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
    if kind.gives == "matte" and (recipe.controls or recipe.styles):
        raise UsageError(
            f"--control and --style are for models that paint on a screen, not for {kind.name}: leave out."
        )
    if kind.gives == "picture":
        draft.remarks.append(f"{folder} has no matting head: its pictures are keyed (docs/models.md).")
    configured = _configured(recipe, folder, kind, draft)
    sampler, keys = kind.sampling(recipe.sampler, configured)
    if recipe.given:
        sampler = _beginning(recipe.given, recipe.sampler, sampler, kind, configured)
    columns = _picture_columns(recipe)
    prompts = _prompts(recipe, known, columns)
    rows = routed(prompts.rows, keys) if keys else prompts.rows
    if columns:
        surveyor = Surveyor(recipe.executor, recipe.workers, memory)
        rows = plan_row_pictures(rows, columns, Path(recipe.prompts).parent, surveyor, draft)
    draft.remarks += prompts.remarks
    draft.remarks += cut_off(
        rows, lambda prompt: kind.written(prompt, sampler, configured), configured, draft.places.get(VOCABULARY)
    )
    if known is not None and (strangers := never_taught(rows, sampler.key, known)):
        if recipe.strict_words:
            raise UsageError(refusal(strangers))
        draft.remarks += unknown(strangers, rows, known)
        draft.census[kind.name] = {"unknown_words": list(strangers)}
    draft.tables[TABLE] = make_table(rows)
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
        "scores": asdict(ScoreSettings()),
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
    draft.places[kind.name] = str(folder if recipe.painter else folder.resolve())
    if recipe.layers:
        plan_layers(Path(recipe.layers), folder, draft)
    if recipe.given and recipe.controls and kind.gives == "picture":
        raise UsageError("--given and --control: plain pipelines take one of them: leave the other out.")
    plan_given(recipe.given, draft)
    plan_words(recipe.words, configured, draft)
    plan_loras(recipe.loras, configured, draft, partial=recipe.allow_partial)
    plan_lowering(recipe.lower_loras, _of_a_bent_screen(kind, keys), draft, there=bool(recipe.loras))
    plan_controls(recipe.controls, configured, draft, plain=kind.gives == "picture")
    plan_styles(recipe.styles, configured, draft, plain=kind.gives == "picture")
    return draft


def line(plan: Plan, _root: Path) -> Line:
    """The generator on this worker's device, then the stages of every line."""
    device = best_device()
    (segment,) = plan.segments
    kind = BY_NAME[segment.source]
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


def _beginning(given: Given, asked: dict[str, Any], sampler: Any, kind: GeneratorKind, folder: Path) -> Any:
    """The sampler's settings where sampling begins with given pictures. Raises UsageError."""
    if kind.given is None:
        raise UsageError(f"--given: {kind.says}, and begins with no picture: take a DiffuMatting or a plain model.")
    if "start" in asked:
        raise UsageError("sampler.start: with --given it is the pictures that sampling starts from: leave it out.")
    kind.given(given, sampler, folder)
    return replace(sampler, start="noise")


def _of_a_bent_screen(kind: GeneratorKind, keys: Sequence[KeyName]) -> tuple[str, ...]:
    """The reasons that speak against adapters. An object of the screen's colour first tries the other screens."""
    if kind.gives == "matte":
        return ()
    return (GSG.reason, UNEVEN.reason, NO_SCREEN, *(() if keys else OF_THE_KEY))


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


def _picture_columns(recipe: GenerateRecipe) -> tuple[str, ...]:
    """The columns of the prompt list that name pictures. Raises UsageError."""
    shown = [*(own.column for own in recipe.controls), *(own.column for own in recipe.styles)]
    columns = tuple(dict.fromkeys([*(recipe.given.columns if recipe.given else ()), *shown]))
    check_columns(columns, recipe.prompts)
    return columns


def _prompts(recipe: GenerateRecipe, known: Vocabulary | None, columns: Sequence[str]) -> PromptList:
    """The given list, or the model's own classes in all their colours.

    A set that was begun goes on with the prompts it was begun with where their list is no longer there.
    """
    template = recipe.template or (SMALL_MODEL_TEMPLATE if known else BIG_MODEL_TEMPLATE)
    palette = known.palette if known else {}
    if not recipe.prompts:
        if known is None:
            raise UsageError("--prompts is missing: this model knows no list of classes, so say what to paint.")
        return expand(starmap(Listed, enumerate(known.classes, 1)), "the model's class list", template, palette)
    begun = Layout(recipe.out).plan.exists()
    told: list[str] = []
    source = "-" if recipe.prompts == "-" else str(choose("prompts", recipe.prompts, told.append))
    try:
        listed = read_prompts(source, template, palette, from_a_terminal=not begun, columns=columns)
    except Gone:
        frozen = read_frozen(Layout(recipe.out).inputs / f"{TABLE}.arrow") if begun else None
        if frozen is None:
            raise
        what = "nothing comes from standard input" if source == "-" else "it is not there"
        return PromptList(
            frozen.to_pylist(),
            [f"--prompts {recipe.prompts}: {what}; going on with the prompts that {recipe.out} was begun with."],
        )
    told = [f"--prompts {recipe.prompts}: {remark}" for remark in told]
    return replace(listed, remarks=[*told, *listed.remarks, *unused(listed.rows, recipe.n)])
