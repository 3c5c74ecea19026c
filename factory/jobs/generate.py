"""Prompts in, samples out: the job `generate`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from factory.diffusion import model_files
from factory.diffusion.lora.laying import lay_planned, plan_loras, with_loras
from factory.diffusion.lora.settings import Lora
from factory.diffusion.prompt_remarks import cut_off, never_taught, refusal, unknown, unused
from factory.diffusion.routing import Routing, routed, shares
from factory.diffusion.sample.settings import DEFAULTS_FILE, KEYS, SamplerSettings, default_settings, known_keys
from factory.diffusion.vocabulary import Vocabulary, read_vocabulary
from factory.engine.draft import Draft
from factory.engine.inputs import make_table, read_frozen
from factory.engine.line import Line
from factory.engine.plan import Plan, Segment
from factory.engine.survey import Memory
from factory.errors import InputChanged, UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.jobs.base import Job, NewSet
from factory.jobs.line import matting_line
from factory.models.device import best_device
from factory.models.folder import read_json
from factory.quality.gates import OF_THE_KEY, check_limits
from factory.quality.scores import ScoreSettings
from factory.refine.refiners import Refiners, plan_weights, planned
from factory.settings import changed, said, settings
from factory.shards.layout import Layout
from factory.shards.members import MATTING, with_trust
from factory.shipped_files import choose
from factory.sources.prompts import Gone, PromptList, check_template, expand, read_prompts

SMALL_MODEL_TEMPLATE = "{a} {colour} {class}"  # how the embedded model's training captions are formed
SOURCE = "diffumatting"
TABLE = "prompts"
BIG_MODEL_TEMPLATE = "a photo of {a} {class}"
AUTO = "auto"  # as the sampler's key: each prompt's own


class GenerateRecipe(Refiners, NewSet):
    """Prompts in, samples out."""

    job: Literal["generate"] = "generate"
    prompts: str = ""  # a file (txt, csv, json, jsonl, parquet), "-" for stdin, "" for the model's own classes
    strict_words: bool = False  # refuse prompts with words that a small model was never taught
    template: str = ""  # for class names: "{a} {class}", "{a} {colour} {class}"; "" takes the model's
    n: Annotated[int, Field(ge=1)] = 32
    model: str = ""  # a model folder; "" is the embedded one
    loras: tuple[Lora, ...] = ()  # adapters that are laid over it, in any order
    allow_partial: bool = False  # take of an adapter what fits, though some of its keys go unused
    sampler: dict[str, Any] = Field(default_factory=dict)  # what differs from the model's own; `key` may be "auto"
    trust: bool = False  # store beside each matte how far it may be trusted, pixel by pixel


def plan(recipe: GenerateRecipe, _memory: Memory) -> Draft:
    """The model, its sampler, the prompts. Raises UsageError for what of them cannot be used."""
    check_limits(recipe.gates)
    check_template(recipe.template)
    draft = Draft(keep_rejected=recipe.keep_rejected)
    if recipe.trust:
        draft.members = with_trust(MATTING)
    folder = model_files.resolve(recipe.model) if recipe.model else model_files.EMBEDDED
    known = read_vocabulary(folder)
    model_files.check(folder)
    sampler, routing = _sampler(recipe, folder)
    _check_size(folder, sampler)
    prompts = _prompts(recipe, known)
    rows = routed(prompts.rows, routing.keys) if routing else prompts.rows
    draft.remarks += [*prompts.remarks, *cut_off(rows, sampler.key, folder)]
    if known is not None and (strangers := never_taught(rows, sampler.key, known)):
        if recipe.strict_words:
            raise UsageError(refusal(strangers))
        draft.remarks += unknown(strangers, rows, known)
        draft.census[SOURCE] = {"unknown_words": list(strangers)}
    draft.tables[TABLE] = make_table(rows)
    draft.segments.append(
        Segment(
            source=SOURCE,
            split="train",
            slots=recipe.n,
            attempts=recipe.max_attempts,
            table=TABLE,
            rows=len(rows),
        )
    )
    draft.settings = {
        "licence": model_files.licence(folder),
        "sampler": asdict(sampler),
        **planned(recipe),
        "scores": asdict(ScoreSettings()),
        "gates": said(recipe.gates),
        "marking": asdict(recipe.marking),
    }
    plan_weights(recipe, draft)
    if routing:
        draft.settings["routing"] = asdict(routing)
        draft.remarks.append(shares(rows))
    draft.weights[SOURCE] = model_files.fingerprint(folder)
    draft.places[SOURCE] = str(folder.resolve())
    plan_loras(recipe.loras, folder, draft, partial=recipe.allow_partial)
    return draft


def line(plan: Plan, _root: Path) -> Line:
    """The sampler on this worker's device, then the stages of every line."""
    from factory.diffusion import model_folder  # noqa: PLC0415  (torch takes seconds)
    from factory.diffusion.sample.pipeline import DiffuMattingPipeline, working_type  # noqa: PLC0415
    from factory.diffusion.sample.source import DiffuMattingSource  # noqa: PLC0415

    device = best_device()
    folder = Path(plan.places[SOURCE])
    if model_files.fingerprint(folder) != plan.weights[SOURCE]:
        raise InputChanged(f"{folder} is not the model the run was planned with: restore it, or use a new --out.")
    components = model_folder.load(folder, working_type(device.torch), device.torch)
    lay_planned(plan, components)
    sampler = settings(SamplerSettings, plan.settings["sampler"])
    routing = settings(Routing, plan.settings["routing"]) if "routing" in plan.settings else None
    source = DiffuMattingSource(
        DiffuMattingPipeline(components),
        sampler,
        plan.batch_size,
        licence=plan.settings["licence"],
        routing=routing,
        model=with_loras(plan.weights[SOURCE], plan),
    )
    return matting_line(plan, {SOURCE: source}, device)


def _runs_a_model(_recipe: GenerateRecipe) -> bool:
    return True


JOB = Job(GenerateRecipe, plan, line, runs_a_model=_runs_a_model)


def _sampler(recipe: GenerateRecipe, folder: Path) -> tuple[SamplerSettings, Routing | None]:
    """How to sample, and where each prompt gets its own screen, among which. Raises UsageError for one it knows not."""
    own, keys = default_settings(folder), known_keys(folder)
    asked = recipe.sampler.get("key", own.key)
    if asked not in [*KEY_COLOURS, AUTO]:
        raise UsageError(f"--key {asked} is unknown: take one of {', '.join([*KEY_COLOURS, AUTO])}.")
    if asked != AUTO:
        sampler = changed("sampler", own, recipe.sampler)
        if keys and sampler.key not in keys:
            raise UsageError(
                f"--key {sampler.key}: the model knows {_screens(keys)} only: leave --key out, or name one with "
                f"--model that was trained on {_screens([sampler.key])}."
            )
        return sampler, None
    if len(keys) < 2:
        found = f"the model knows {_screens(keys)} only" if keys else "the model does not say which screens it knows"
        raise UsageError(
            f"--key {AUTO}: {found}, so there is no choice: leave --key out, or name one with --model whose "
            f"{DEFAULTS_FILE} lists several under `{KEYS}`."
        )
    sampler = changed("sampler", own, {name: value for name, value in recipe.sampler.items() if name != "key"})
    return sampler, Routing(keys=keys, moves_on=OF_THE_KEY)


def _screens(keys: Sequence[KeyName]) -> str:
    return f"{' and '.join(keys)} screens"


def _prompts(recipe: GenerateRecipe, known: Vocabulary | None) -> PromptList:
    """The given list, or the model's own classes in all their colours.

    A set that was begun goes on with the prompts it was begun with where their list is no longer there.
    """
    template = recipe.template or (SMALL_MODEL_TEMPLATE if known else BIG_MODEL_TEMPLATE)
    palette = known.palette if known else {}
    if not recipe.prompts:
        if known is None:
            raise UsageError("--prompts is missing: this model knows no list of classes, so say what to paint.")
        return expand(enumerate(known.classes, 1), "the model's class list", template, palette)
    begun = Layout(recipe.out).plan.exists()
    told: list[str] = []
    source = "-" if recipe.prompts == "-" else str(choose("prompts", recipe.prompts, told.append))
    try:
        listed = read_prompts(source, template, palette, from_a_terminal=not begun)
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


def _check_size(folder: Path, sampler: SamplerSettings) -> None:
    """Refuse a size that the networks cannot halve evenly, before a worker loads them. 0 is the model's own size."""
    configs = {part: read_json(folder / part / "config.json") for part in ("vae", "unet")}
    try:
        halvings = sum(len(config["block_out_channels"]) - 1 for config in configs.values())
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{folder}: the config.json of vae and unet must list block_out_channels: copy the model again, whole."
        ) from error
    if sampler.size % 2**halvings:
        raise UsageError(f"sampler.size {sampler.size} does not fit this model: take a multiple of {2**halvings}.")
