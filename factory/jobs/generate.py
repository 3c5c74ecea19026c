"""Prompts in, samples out: the job `generate`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from factory.diffusion import model_files
from factory.diffusion.sample.settings import SamplerSettings, default_settings
from factory.diffusion.vocabulary import Vocabulary, read_vocabulary, screen_prompt, unknown_words, words_of
from factory.engine.draft import Draft
from factory.engine.inputs import make_table
from factory.engine.line import Line
from factory.engine.plan import Plan, Segment
from factory.engine.survey import Memory
from factory.errors import InputChanged, UsageError
from factory.greenscreen.colours import KeyName
from factory.jobs.base import Job, NewSet
from factory.jobs.line import matting_line
from factory.models.device import best_device
from factory.models.folder import read_json
from factory.quality.scores import ScoreSettings
from factory.refine.refiners import Refiners, planned
from factory.settings import changed, settings
from factory.shipped_files import choose
from factory.sources.prompts import PromptList, expand, read_prompts

SMALL_MODEL_TEMPLATE = "{a} {colour} {class}"  # how the embedded model's training captions are formed
WARNINGS = 5  # of unknown words; for more of them one remark about the whole list
NAMED = 3  # prompts and words that it names
BIG_MODEL_TEMPLATE = "a photo of {a} {class}"


class GenerateRecipe(Refiners, NewSet):
    """Prompts in, samples out."""

    job: Literal["generate"] = "generate"
    prompts: str = ""  # a file (txt, csv, jsonl, parquet), "-" for stdin, "" for the model's own classes
    template: str = ""  # for class names: "{a} {class}", "{a} {colour} {class}"; "" takes the model's
    n: Annotated[int, Field(ge=1)] = 32
    model: str = ""  # a model folder; "" is the embedded one
    sampler: dict[str, Any] = Field(default_factory=dict)  # what differs from the model's own sampler settings


def plan(recipe: GenerateRecipe, _memory: Memory) -> Draft:
    """The model, its sampler, the prompts. Raises UsageError for what of them cannot be used."""
    draft = Draft()
    folder = model_files.resolve(recipe.model) if recipe.model else model_files.EMBEDDED
    known = read_vocabulary(folder)
    model_files.check(folder)
    sampler = changed("sampler", default_settings(folder), recipe.sampler)
    _check_size(folder, sampler)
    prompts = _prompts(recipe, known)
    draft.remarks += prompts.remarks
    if known is not None:
        draft.remarks += _unknown_words(prompts.rows, sampler.key, known)
    draft.tables["prompts"] = make_table(prompts.rows)
    draft.segments.append(
        Segment(
            source="diffumatting",
            split="train",
            slots=recipe.n,
            attempts=recipe.max_attempts,
            table="prompts",
            rows=len(prompts.rows),
        )
    )
    draft.settings = {
        "licence": model_files.licence(folder),
        "sampler": asdict(sampler),
        **planned(recipe),
        "scores": asdict(ScoreSettings()),
        "gates": asdict(recipe.gates),
        "marking": asdict(recipe.marking),
    }
    draft.weights["diffumatting"] = model_files.fingerprint(folder)
    draft.places["diffumatting"] = str(folder.resolve())
    return draft


def line(plan: Plan, _root: Path) -> Line:
    """The sampler on this worker's device, then the stages of every line."""
    from factory.diffusion.sample.source import DiffuMattingSource  # noqa: PLC0415  (torch takes seconds)

    device = best_device()
    sampler = settings(SamplerSettings, plan.settings["sampler"])
    folder = Path(plan.places["diffumatting"])
    model = DiffuMattingSource(folder, sampler, plan.batch_size, device.torch, licence=plan.settings["licence"])
    if model.model != plan.weights["diffumatting"]:
        raise InputChanged(f"{folder} is not the model the run was planned with: restore it, or use a new --out.")
    return matting_line(plan, {"diffumatting": model}, device)


def _runs_a_model(_recipe: GenerateRecipe) -> bool:
    return True


JOB = Job(GenerateRecipe, plan, line, runs_a_model=_runs_a_model)


def _prompts(recipe: GenerateRecipe, known: Vocabulary | None) -> PromptList:
    """The given list, or the model's own classes in all their colours."""
    template = recipe.template or (SMALL_MODEL_TEMPLATE if known else BIG_MODEL_TEMPLATE)
    palette = known.palette if known else {}
    if recipe.prompts == "-":
        return read_prompts("-", template, palette)
    if recipe.prompts:
        told: list[str] = []
        listed = read_prompts(str(choose("prompts", recipe.prompts, told.append)), template, palette)
        return replace(listed, remarks=[*(f"--prompts {recipe.prompts}: {remark}" for remark in told), *listed.remarks])
    if known is None:
        raise UsageError("--prompts is missing: this model knows no list of classes, so say what to paint.")
    return expand(enumerate(known.classes, 1), "the model's class list", template, palette)


def _unknown_words(rows: Iterable[Mapping[str, str]], key: KeyName, known: Vocabulary) -> list[str]:
    """A warning for each word that the model has never seen; if there are many, what it knows of the list.

    The screen's prefix is no word of a prompt, typed or not.
    """
    prefix, words = screen_prompt("", key), set(known.words)
    strangers: dict[str, None] = {}  # in the list's order
    taught: dict[str, bool] = {}  # line of the list → every word is known; a class in ten colours is one line
    for row in rows:
        body = screen_prompt(row["prompt"], key).removeprefix(prefix)
        strange = [word for word in words_of(body) if word not in words]
        strangers.update(dict.fromkeys(strange))
        line = row["class"] or row["prompt"]
        taught[line] = taught.get(line, True) and not strange
    if len(strangers) > WARNINGS:
        return [_share(taught, list(strangers))]
    return [
        f"the model does not know the word {word!r}" + (f"; the nearest it knows: {', '.join(near)}." if near else ".")
        for word, near in unknown_words(" ".join(sorted(strangers)), known)
    ]


def _share(taught: Mapping[str, bool], strangers: Sequence[str]) -> str:
    """One sentence for a list with many unknown words: how much of it the model knows, and what to do."""
    known = [line for line, whole in taught.items() if whole]
    words = ", ".join(repr(word) for word in strangers[:NAMED])
    mend = "train a bigger model for them, or name one with --model."
    if not known:
        return f"the model knows none of these prompts: it was never taught {words}, …, and paints them poorly: {mend}"
    named = ", ".join(known[:NAMED]) + (", …" if len(known) > NAMED else "")
    return (
        f"the model knows the words of {len(known):,} of these {len(taught):,} prompts ({named}); it was never taught "
        f"those of the other {len(taught) - len(known):,}, for example {words}, and paints these poorly: {mend}"
    )


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
