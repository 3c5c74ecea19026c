"""Recipe → plan: freeze everything the work depends on, before anything is made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from factory.diffusion import model_files
from factory.diffusion.settings import SamplerSettings, default_settings
from factory.diffusion.vocabulary import Vocabulary, read_vocabulary, unknown_words, words_of
from factory.engine.inputs import HOLE, content_hash, make_table
from factory.engine.plan import Plan, Segment, read_plan
from factory.engine.software import software
from factory.errors import UsageError
from factory.recipes import (
    BuildRecipe,
    DatasetRecipe,
    FilterRecipe,
    GenerateRecipe,
    ProceduralEntry,
    RefineRecipe,
    RgbaFolderEntry,
)
from factory.shards.commit import CommitRecord, FileRecord, valid_commits
from factory.shards.finalise import content_digest, read_finished
from factory.shards.layout import Layout
from factory.sources.prompts import PromptList, expand, read_prompts

SMALL_MODEL_TEMPLATE = "{a} {colour} {class}"  # how the embedded model's training captions are formed
WARNINGS = 5  # of unknown words
BIG_MODEL_TEMPLATE = "a photo of {a} {class}"
EMBEDDED_MODEL = Path(__file__).parent / "embedded" / "model"


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
            _existing_set(recipe.data, draft)
            draft.settings |= {"greenpost": asdict(recipe.greenpost), "gates": asdict(recipe.gates)}
        case FilterRecipe():
            _existing_set(recipe.data, draft)
            if recipe.drop_duplicates:
                _drop_duplicates(recipe.data, draft)
            draft.settings |= {"gates": asdict(recipe.gates)}
    if not any(segment.slots for segment in draft.segments):
        raise UsageError("there is nothing to make: every source is empty.")
    plan = Plan(
        job=recipe.job,
        seed=recipe.seed,
        shard_size=draft.shard_size or recipe.shard_size,
        batch_size=recipe.batch,
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
    sampler = _sampler(default_settings(folder), recipe.sampler)
    prompts = _prompts(recipe, known)
    draft.remarks += prompts.remarks
    if known is not None:
        draft.remarks += _unknown_words([row["prompt"] for row in prompts.rows], known)
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
        "sampler": asdict(sampler),
        "greenpost": asdict(recipe.greenpost),
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


def _unknown_words(prompts: Sequence[str], known: Vocabulary) -> list[str]:
    """A warning for the first words that the model has never seen, and how many more there are."""
    strangers = sorted({word for prompt in prompts for word in words_of(prompt)} - set(known.words))
    remarks = [
        f"the model does not know the word {word!r}" + (f"; the nearest it knows: {', '.join(near)}." if near else ".")
        for word, near in unknown_words(" ".join(strangers[:WARNINGS]), known)
    ]
    if len(strangers) > WARNINGS:
        remarks.append(f"the model does not know {len(strangers) - WARNINGS:,} more words of these prompts.")
    return remarks


def _sampler(defaults: SamplerSettings, overrides: Mapping[str, Any]) -> SamplerSettings:
    known = [entry.name for entry in fields(SamplerSettings)]
    if unknown := sorted(overrides.keys() - set(known)):
        raise UsageError(f"sampler has no field {', '.join(unknown)}: take {', '.join(known)}.")
    try:
        return TypeAdapter(SamplerSettings).validate_python(asdict(defaults) | dict(overrides))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"wrong sampler settings: {faults}.") from error


def _build(recipe: BuildRecipe, draft: _Draft) -> None:
    sources: dict[str, Any] = {}
    for number, entry in enumerate(recipe.sources):
        name = f"{entry.type}-{number}"
        match entry:
            case ProceduralEntry():
                sources[name] = {"type": entry.type, "classes": entry.classes}
                for split, slots in (("train", entry.n), ("validation", entry.validation)):
                    if slots:
                        segment = Segment(source=name, split=split, slots=slots, attempts=recipe.max_attempts)
                        draft.segments.append(segment)
            case RgbaFolderEntry():
                rows = _folder_rows(entry, draft)
                if not rows:
                    continue
                sources[name] = {"type": entry.type}
                draft.places[name] = str(entry.path.resolve())
                draft.tables[name] = make_table(rows)
                slots = len(rows) * entry.repeat
                draft.segments.append(Segment(source=name, split="train", slots=slots, table=name, rows=len(rows)))
    draft.settings = {"size": recipe.size, "key": recipe.key, "sources": sources, "gates": asdict(recipe.gates)}


def _folder_rows(entry: RgbaFolderEntry, draft: _Draft) -> list[dict[str, Any]]:
    from factory.sources.rgba_folder import list_items  # noqa: PLC0415  (pillow, only needed here)

    if not entry.path.is_dir():
        if entry.optional:
            draft.remarks.append(f"{entry.path} is absent: its source is passed over, as the recipe allows.")
            return []
        raise UsageError(
            f"the recipe's folder {entry.path} does not exist: mend its path, or mark it `optional: true`."
        )
    patterns = [pattern.removeprefix("**/") for pattern in entry.include]
    items = list_items(entry.path, captions=entry.caption_from, licence=entry.licence, attribution=entry.attribution)
    rows = [row for row in items if any(fnmatch(str(row["path"]), pattern) for pattern in patterns)]
    if not rows and not entry.optional:
        raise UsageError(f"{entry.path} holds no PNG or WebP picture that matches {', '.join(entry.include)}.")
    return rows


def _existing_set(data: Path, draft: _Draft) -> None:
    """Shard k maps to shard k and keys are kept: one table row per slot, holes where the set has none."""
    layout = Layout(data)
    if not layout.plan.exists():
        raise UsageError(f"{data} is not a data set made by factory: it has no plan.json.")
    old = read_plan(layout.plan)
    records = list(valid_commits(layout, old.fingerprint))
    if not records:
        raise UsageError(f"{data} has no finished shard yet: run its command first.")
    if len(records) < old.shards:
        draft.remarks.append(f"{data} is not finished: only its {len(records):,} of {old.shards:,} shards are taken.")
    accepted = _accepted(layout, records)
    tars = {record.shard: record.tar for record in records}
    draft.shard_size = old.shard_size
    draft.settings["input"] = {"fingerprint": old.fingerprint}
    draft.places["input"] = str(data.resolve())
    first = 0
    for number, segment in enumerate(old.segments):
        name = f"samples-{number}"
        mask = pc.and_(
            pc.greater_equal(accepted["slot"], first),
            pc.less(accepted["slot"], first + segment.slots),
        )
        draft.tables[name] = _slot_table(accepted.filter(mask), first, segment.slots, tars)
        new = Segment(source="dataset", split=segment.split, slots=segment.slots, table=name, rows=segment.slots)
        draft.segments.append(new)
        first += segment.slots


def _accepted(layout: Layout, records: Sequence[CommitRecord]) -> pa.Table:
    """Rows of the accepted samples of these shards, from the one manifest if it is of just these."""
    parts = [str(layout.parts / record.part.name) for record in records]
    files = [str(layout.manifest)] if _is_finalised(layout, records) and layout.manifest.exists() else parts
    return pq.read_table(files, columns=["key", "slot", "shard"], filters=pc.field("status") == "accepted")


def _is_finalised(layout: Layout, records: Sequence[CommitRecord]) -> bool:
    finished = read_finished(layout)
    return finished is not None and finished.shards == content_digest(records)


def _slot_table(accepted: pa.Table, first: int, slots: int, tars: Mapping[int, FileRecord]) -> pa.Table:
    rows: list[dict[str, Any]] = [{HOLE: True, "key": "", "tar": "", "tar_sha256": ""} for _ in range(slots)]
    for key, slot, shard in zip(*(accepted[name].to_pylist() for name in ("key", "slot", "shard")), strict=True):
        rows[slot - first] = {HOLE: False, "key": key, "tar": tars[shard].name, "tar_sha256": tars[shard].sha256}
    return make_table(rows)


def _drop_duplicates(data: Path, draft: _Draft) -> None:
    """Turn the rows that finalisation marked as duplicates of another shard's sample into holes."""
    layout = Layout(data)
    records = list(valid_commits(layout, read_plan(layout.plan).fingerprint))
    if not _is_finalised(layout, records):
        raise UsageError(f"--drop-duplicates: {data} is not finished, so its duplicates are unknown: finish it first.")
    if not layout.manifest.exists():
        raise UsageError(
            f"--drop-duplicates: {data} is too large for one manifest, so its duplicates were not searched for."
        )
    marked = pq.read_table(layout.manifest, columns=["key"], filters=pc.field("duplicate_of") != "")
    duplicates = set(marked["key"].to_pylist())
    for name, table in draft.tables.items():
        rows = table.to_pylist()
        draft.tables[name] = make_table([row | {HOLE: row[HOLE] or row["key"] in duplicates} for row in rows])
