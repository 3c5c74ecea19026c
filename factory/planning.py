"""Recipe → plan: freeze everything the work depends on, before anything is made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from factory.diffusion import model_files
from factory.diffusion.settings import SamplerSettings, default_settings
from factory.diffusion.vocabulary import Vocabulary, read_vocabulary, screen_prompt, unknown_words, words_of
from factory.engine.inputs import content_hash, make_table
from factory.engine.plan import Plan, Segment
from factory.engine.software import software
from factory.errors import UsageError
from factory.greenscreen.colours import KeyName
from factory.input_set import NO_KEYS, InputSet, duplicates, read_set
from factory.quality.gates import GateSettings
from factory.quality.scores import ScoreSettings
from factory.recipes import (
    BuildRecipe,
    DatasetRecipe,
    FilterRecipe,
    GenerateRecipe,
    ProceduralEntry,
    RefineRecipe,
    RgbaFolderEntry,
)
from factory.sources.prompts import PromptList, expand, read_prompts

SMALL_MODEL_TEMPLATE = "{a} {colour} {class}"  # how the embedded model's training captions are formed
WARNINGS = 5  # of unknown words
BIG_MODEL_TEMPLATE = "a photo of {a} {class}"
EMBEDDED_MODEL = Path(__file__).parent / "embedded" / "model"
S = TypeVar("S", SamplerSettings, GateSettings)


@dataclass
class Prepared:
    """A plan that is not yet on disk, with the tables it names and remarks for the user."""

    plan: Plan
    tables: Mapping[str, pa.Table]
    remarks: list[str] = field(default_factory=list)


@dataclass
class _Draft:
    """A plan in the making."""

    segments: list[Segment] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    shard_size: int = 0  # > 0: taken from an input set


def prepare(recipe: DatasetRecipe) -> Prepared:
    """Read and hash all inputs. Writes nothing. Raises UsageError for whatever is wrong with them."""
    draft = _Draft()
    match recipe:
        case GenerateRecipe():
            _generate(recipe, draft)
        case BuildRecipe():
            _build(recipe, draft)
        case RefineRecipe():
            given = read_set(recipe.data)
            _input_set(recipe.data, given, draft)
            draft.settings |= {
                "greenpost": asdict(recipe.greenpost),
                "scores": asdict(ScoreSettings()),
                "gates": _gates(given, recipe.gates),
            }
        case FilterRecipe():
            given = read_set(recipe.data, duplicates(recipe.data) if recipe.drop_duplicates else NO_KEYS)
            _input_set(recipe.data, given, draft)
            draft.settings |= {"gates": _gates(given, recipe.gates)}  # no scores: those recorded are judged
    if not any(segment.slots for segment in draft.segments):
        raise UsageError("there is nothing to make: every source is empty.")
    shard_size = draft.shard_size or recipe.shard_size
    fullest = min(shard_size, max(segment.slots for segment in draft.segments))
    plan = Plan(
        job=recipe.job,
        seed=recipe.seed,
        shard_size=shard_size,
        batch_size=min(recipe.batch, fullest),  # batches never cross a shard: more would only be padding
        threads=recipe.threads,
        segments=tuple(draft.segments),
        settings=_plain(draft.settings),
        inputs={name: content_hash(table) for name, table in draft.tables.items()},
        weights=draft.weights,
        places=draft.places,
        software=dict(software()),
    )
    return Prepared(plan, draft.tables, draft.remarks)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back, so that a fresh plan equals a stored one."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def _generate(recipe: GenerateRecipe, draft: _Draft) -> None:
    folder = model_files.resolve(recipe.model) if recipe.model else EMBEDDED_MODEL
    known = read_vocabulary(folder)
    model_files.check(folder)
    sampler = _changed("sampler", default_settings(folder), recipe.sampler)
    _check_size(folder, sampler)
    prompts = _prompts(recipe, known)
    draft.remarks += prompts.remarks
    if known is not None:
        draft.remarks += _unknown_words([row["prompt"] for row in prompts.rows], sampler.key, known)
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
        "greenpost": asdict(recipe.greenpost),
        "scores": asdict(ScoreSettings()),
        "gates": asdict(recipe.gates),
    }
    draft.weights["diffumatting"] = model_files.fingerprint(folder)
    draft.places["diffumatting"] = str(folder.resolve())


def _prompts(recipe: GenerateRecipe, known: Vocabulary | None) -> PromptList:
    """The given list, or the model's own classes in all their colours."""
    template = recipe.template or (SMALL_MODEL_TEMPLATE if known else BIG_MODEL_TEMPLATE)
    palette = known.palette if known else {}
    if recipe.prompts:
        return read_prompts(recipe.prompts, template, palette)
    if known is None:
        raise UsageError("--prompts is missing: this model knows no list of classes, so say what to paint.")
    return expand(enumerate(known.classes, 1), "the model's class list", template, palette)


def _unknown_words(prompts: Sequence[str], key: KeyName, known: Vocabulary) -> list[str]:
    """A warning for the first words that the model has never seen, and how many more there are.

    The screen's prefix is no word of a prompt, typed or not.
    """
    bodies = (screen_prompt(prompt, key).removeprefix(screen_prompt("", key)) for prompt in prompts)
    strangers = sorted({word for body in bodies for word in words_of(body)} - set(known.words))
    remarks = [
        f"the model does not know the word {word!r}" + (f"; the nearest it knows: {', '.join(near)}." if near else ".")
        for word, near in unknown_words(" ".join(strangers[:WARNINGS]), known)
    ]
    if len(strangers) > WARNINGS:
        remarks.append(f"the model does not know {len(strangers) - WARNINGS:,} more words of these prompts.")
    return remarks


def _changed(name: str, own: S, changes: Mapping[str, Any]) -> S:
    """The settings with the recipe's group `name` laid over them. Raises UsageError naming each wrong field."""
    known = asdict(own)
    if unknown := sorted(changes.keys() - known.keys()):
        raise UsageError(f"{name} has no field {', '.join(unknown)}: take {', '.join(known)}.")
    try:
        return TypeAdapter(type(own)).validate_python(known | dict(changes))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"wrong {name} settings: {faults}.") from error


def _check_size(folder: Path, sampler: SamplerSettings) -> None:
    """Refuse a size that the networks cannot halve evenly, before a worker loads them. 0 is the model's own size."""
    configs = {part: model_files.read_json(folder / part / "config.json") for part in ("vae", "unet")}
    try:
        halvings = sum(len(config["block_out_channels"]) - 1 for config in configs.values())
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{folder}: the config.json of vae and unet must list block_out_channels: copy the model again, whole."
        ) from error
    if sampler.size % 2**halvings:
        raise UsageError(f"sampler.size {sampler.size} does not fit this model: take a multiple of {2**halvings}.")


def _build(recipe: BuildRecipe, draft: _Draft) -> None:
    sources: dict[str, Any] = {}
    for number, entry in enumerate(recipe.sources):
        name = f"{entry.type}-{number}"
        match entry:
            case ProceduralEntry():
                sources[name] = {"type": entry.type, "settings": _procedural(recipe, entry)}
                for split, slots in (("train", entry.n), ("validation", entry.validation)):
                    if slots:
                        segment = Segment(source=name, split=split, slots=slots, attempts=recipe.max_attempts)
                        draft.segments.append(segment)
            case RgbaFolderEntry():
                rows = _folder_rows(entry, draft)
                if not rows:
                    continue
                sources[name] = {"type": entry.type, "settings": _rgba(recipe)}
                draft.places[name] = str(entry.path.resolve())
                draft.tables[name] = make_table(rows)
                slots = len(rows) * entry.repeat
                draft.segments.append(Segment(source=name, split="train", slots=slots, table=name, rows=len(rows)))
    draft.settings = {
        "size": recipe.size,
        "sources": sources,
        "scores": asdict(ScoreSettings()),
        "gates": asdict(recipe.gates),
    }


def _procedural(recipe: BuildRecipe, entry: ProceduralEntry) -> dict[str, Any]:
    """Everything that decides a drawing, "all classes" spelled out: a later version may know more."""
    from factory.sources.procedural import CLASSES, ProceduralSettings  # noqa: PLC0415  (draws all meshes)

    return asdict(ProceduralSettings(size=recipe.size, key=recipe.key, classes=entry.classes or CLASSES))


def _rgba(recipe: BuildRecipe) -> dict[str, Any]:
    from factory.sources.rgba_folder import RgbaSettings  # noqa: PLC0415

    return asdict(RgbaSettings(size=recipe.size, key=recipe.key))


def _folder_rows(entry: RgbaFolderEntry, draft: _Draft) -> list[dict[str, Any]]:
    from factory.sources.rgba_folder import list_items  # noqa: PLC0415  (pillow, only needed here)

    if not entry.path.is_dir():
        if entry.optional:
            draft.remarks.append(f"{entry.path} is absent: its source is passed over, as the recipe allows.")
            return []
        raise UsageError(
            f"the recipe's folder {entry.path} does not exist: mend its path, or mark it `optional: true`."
        )
    rows = list_items(
        entry.path,
        include=entry.include,
        captions=entry.caption_from,
        licence=entry.licence,
        attribution=entry.attribution,
    )
    if not rows and not entry.optional:
        raise UsageError(f"{entry.path} holds no PNG or WebP picture that matches {', '.join(entry.include)}.")
    return rows


def _input_set(data: Path, given: InputSet, draft: _Draft) -> None:
    """Shard k maps to shard k and keys are kept: one table row per slot, holes where the set has none."""
    draft.shard_size = given.plan.shard_size
    draft.settings["input"] = {"fingerprint": given.plan.fingerprint}
    draft.places["input"] = str(data.resolve())
    draft.remarks += given.remarks
    draft.tables["tars"] = given.tars
    for number, (old, table) in enumerate(zip(given.plan.segments, given.samples, strict=True)):
        name = f"samples-{number}"
        draft.tables[name] = table
        draft.segments.append(Segment(source="dataset", split=old.split, slots=old.slots, table=name, rows=old.slots))


def _gates(given: InputSet, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The set's own gates and what the recipe changes of them."""
    own = TypeAdapter(GateSettings).validate_python(given.plan.settings.get("gates", {}))
    return asdict(_changed("gates", own, changes))
