"""BuildRecipe → draft: what lies in each source, which of it is used, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

from factory.engine.draft import Draft
from factory.engine.inputs import HOLE, make_table
from factory.engine.plan import Segment
from factory.engine.survey import Surveyor
from factory.errors import UsageError
from factory.jobs.looks import look_at_clips, look_at_cutouts, look_at_files, look_at_pairs
from factory.jobs.recipes import BuildRecipe, FiniteEntry, ProceduralEntry, PublicEntry, RgbaFolderEntry, VideosEntry
from factory.quality.scores import ScoreSettings
from factory.sources.captioning.names import with_article

if TYPE_CHECKING:
    from factory.sources.public import Pair, PublicSet

# Everything below sources/ is imported where it is used: planning a generation needs none of it.

Row: TypeAlias = dict[str, Any]


@dataclass
class _Planner:
    """The recipe, who looks at files, and the draft that is filled."""

    recipe: BuildRecipe
    surveyor: Surveyor
    draft: Draft
    hashes: Mapping[str, str]  # of images to keep out


def plan_sources(recipe: BuildRecipe, surveyor: Surveyor, draft: Draft) -> None:
    """Raises UsageError for a source that is not what the recipe says."""
    from factory.sources.files.benchmark_images import load_hashes  # noqa: PLC0415

    draft.settings = {
        "size": recipe.size,
        "sources": {},
        "census": {},
        "excluded": {},
        "scores": asdict(ScoreSettings()),
        "gates": asdict(recipe.gates),
        "marking": asdict(recipe.marking),
    }
    planner = _Planner(recipe, surveyor, draft, load_hashes(recipe.exclude))
    absent = [str(entry.path) for entry in recipe.sources if isinstance(entry, FiniteEntry) and _is_absent(entry)]
    if absent:
        draft.remarks.append(f"absent or empty, and passed over, as the recipe allows: {', '.join(absent)}.")
    for entry in recipe.sources:
        if isinstance(entry, FiniteEntry) and recipe.out.resolve().is_relative_to(entry.path.resolve()):
            raise UsageError(f"--out {recipe.out} lies in the source {entry.path}: give a folder outside of it.")
    for number, entry in enumerate(recipe.sources):
        name = f"{entry.type}-{number}"
        if isinstance(entry, FiniteEntry) and _is_absent(entry):
            _note_absent(draft, name, entry)
            continue
        match entry:
            case ProceduralEntry():
                _plan_procedural(planner, name, entry)
            case RgbaFolderEntry():
                _plan_rgba_folder(planner, name, entry)
            case PublicEntry():
                _plan_public(planner, name, entry)
            case VideosEntry():
                _plan_videos(planner, name, entry)
    _plan_captioner(recipe, draft)


def _is_absent(entry: FiniteEntry) -> bool:
    if entry.path.is_dir():
        return entry.optional and all(path.name.startswith(".") for path in entry.path.iterdir())
    if entry.path.exists():
        raise UsageError(f"the recipe's {entry.path} is a file: name the folder that it lies in.")
    if not entry.optional:
        raise UsageError(
            f"the recipe's folder {entry.path} does not exist: mend its path, or mark it `optional: true`."
        )
    return True


def _note_absent(draft: Draft, name: str, entry: FiniteEntry) -> None:
    """What is not there stands beside the paper's count as well."""
    title, paper = getattr(entry, "name", "") or entry.path.resolve().name, 0
    if isinstance(entry, PublicEntry):
        from factory.sources.public import public_set  # noqa: PLC0415

        public = _called(public_set(entry.dataset), entry)
        title, paper = public.title, public.paper_count
    _census(draft, name, entry, title=title, found=0, paper=paper)


def _plan_procedural(planner: _Planner, name: str, entry: ProceduralEntry) -> None:
    """Everything that decides a drawing, "all classes" spelled out: a later version may know more."""
    from factory.sources.procedural import CLASSES, ProceduralSettings  # noqa: PLC0415  (draws all meshes)

    recipe, draft = planner.recipe, planner.draft
    settings = ProceduralSettings(size=recipe.size, key=recipe.key, classes=entry.classes or CLASSES)
    draft.settings["sources"][name] = {"type": entry.type, "settings": asdict(settings)}
    draft.settings["census"][name] = {"title": "drawn objects"}
    for split, slots in (("train", entry.n), ("validation", entry.validation)):
        if slots:
            draft.segments.append(Segment(source=name, split=split, slots=slots, attempts=recipe.max_attempts))


def _plan_rgba_folder(planner: _Planner, name: str, entry: RgbaFolderEntry) -> None:
    from factory.sources.files.rgba_folder import RgbaSettings, list_items  # noqa: PLC0415

    rows = list_items(
        entry.path,
        lambda paths: look_at_cutouts(planner.surveyor, entry.path, paths),
        include=entry.include,
        captions=entry.caption_from,
        licence=entry.licence,
        attribution=entry.attribution,
    )
    if not rows:
        wanted = ", ".join(entry.include)
        if not entry.optional:
            raise UsageError(f"{entry.path} holds no PNG or WebP picture that matches {wanted}: mend `include`.")
        planner.draft.remarks.append(f"{entry.path} holds no picture that matches {wanted}: its source is passed over.")
        return
    title = entry.name or entry.path.resolve().name
    settings = RgbaSettings(size=planner.recipe.size, key=planner.recipe.key, source=title)
    source = {"type": entry.type, "settings": asdict(settings)}
    _finite(planner, name, entry, source, [row | {"source": title} for row in rows], title=title)


def _called(public: "PublicSet", entry: PublicEntry) -> "PublicSet":
    """The set under the name that the recipe gives it."""
    return replace(public, name=entry.name, title=entry.name) if entry.name else public


def _plan_public(planner: _Planner, name: str, entry: PublicEntry) -> None:
    from factory.sources.files.matte_pairs import MattePairSettings  # noqa: PLC0415
    from factory.sources.public import list_pairs, public_set, row_of  # noqa: PLC0415

    public = _called(public_set(entry.dataset), entry)
    if public.kind == "videos":
        _plan_video_pairs(planner, name, entry, public)
        return
    pairs = _without_test(planner.draft, entry, public, list_pairs(public, entry.path))
    if not pairs:
        _census(planner.draft, name, entry, title=public.title, found=0, paper=public.paper_count)
        return
    digests = look_at_files(planner.surveyor, entry.path, [path for pair in pairs for path in pair.files])
    rows = [row_of(public, pair, digests) for pair in pairs]
    own = {field: value for field in ("licence", "attribution") if (value := getattr(entry, field))}
    own |= {} if entry.inverted is None else {"inverted": entry.inverted}
    settings = MattePairSettings(size=planner.recipe.size, key=planner.recipe.key, source=public.name)
    source = {"type": entry.type, "settings": asdict(settings)}
    _finite(planner, name, entry, source, [row | own for row in rows], title=public.title, paper=public.paper_count)


def _without_test(draft: Draft, entry: PublicEntry, public: "PublicSet", pairs: Sequence["Pair"]) -> list["Pair"]:
    """The pairs without those of public benchmarks, unless the recipe takes them in; says how many stay out."""
    kept = [pair for pair in pairs if entry.include_test or not pair.test]
    if left_out := len(pairs) - len(kept):
        what = "clips" if public.kind == "videos" else "images"
        draft.remarks.append(f"{public.title}, left out as benchmark {what}: {left_out:,}.")
    return kept


def _plan_video_pairs(planner: _Planner, name: str, entry: PublicEntry, public: "PublicSet") -> None:
    """Foreground and matte clips of a public set."""
    from factory.sources.clips.pairs import pair_frame_rows, pair_row  # noqa: PLC0415
    from factory.sources.clips.settings import ClipSettings  # noqa: PLC0415
    from factory.sources.files.on_screen import FramingSettings  # noqa: PLC0415
    from factory.sources.public import list_pairs  # noqa: PLC0415

    pairs = _without_test(planner.draft, entry, public, list_pairs(public, entry.path))
    probes = look_at_pairs(planner.surveyor, entry.path, pairs, ClipSettings(every=entry.every))
    own = {"licence": entry.licence or public.licence, "attribution": entry.attribution or public.attribution}
    clips, stretches = [], []
    for number, (pair, probe) in enumerate(zip(pairs, probes, strict=True)):
        clips.append(pair_row(pair.picture, pair.matte, probe, source=public.source_of(pair), **own))
        caption = with_article(public.class_name)
        stretches += pair_frame_rows(number, pair.picture, probe, public.class_name, caption)
    settings = FramingSettings(size=planner.recipe.size, key=planner.recipe.key)
    source = {"type": "video_pairs", "settings": asdict(settings)}
    _clips(
        planner,
        name,
        entry,
        source,
        clips=clips,
        stretches={"train": stretches},
        title=public.title,
        called=public.name,
        paper=public.paper_count,
    )


def _plan_videos(planner: _Planner, name: str, entry: VideosEntry) -> None:
    """Clips are looked at whole, on workers; a split takes whole clips, never some of a clip's frames."""
    from factory.sources.clips.keyed import clip_row, frame_rows  # noqa: PLC0415
    from factory.sources.clips.probe import assign_split, list_clips  # noqa: PLC0415
    from factory.sources.files.on_screen import FramingSettings  # noqa: PLC0415

    files = list_clips(entry.path, entry.include)
    if not files:
        raise UsageError(f"{entry.path} holds no clip that matches {', '.join(entry.include)}: mend `include`.")
    probes = look_at_clips(planner.surveyor, entry.path, files, entry.select)
    clips = [
        clip_row(path, probe, licence=entry.licence, attribution=entry.attribution)
        for path, probe in zip(files, probes, strict=True)
    ]
    held_out = assign_split(files, entry.validation, planner.recipe.seed)
    if entry.validation and not held_out:
        planner.draft.remarks.append(
            f"{entry.name}: of {len(files):,} clips none fell to the validation split, which takes "
            f"{entry.validation:.1%} of them: raise `validation`, or choose another seed."
        )
    stretches: dict[str, list[list[Row]]] = {"train": [], "validation": []}
    for number, (path, probe) in enumerate(zip(files, probes, strict=True)):
        split = "validation" if path in held_out else "train"
        stretches[split] += frame_rows(number, path, probe, entry.class_name, with_article(entry.class_name))
    settings = FramingSettings(size=planner.recipe.size, key=planner.recipe.key)
    source = {"type": "videos", "settings": asdict(settings), "keyer": asdict(entry.keyer), "name": entry.name}
    _clips(planner, name, entry, source, clips=clips, stretches=stretches, title=entry.name, called=entry.name)


def _clips(
    planner: _Planner,
    name: str,
    entry: FiniteEntry,
    source: Mapping[str, Any],
    *,
    clips: Sequence[Row],
    stretches: Mapping[str, Sequence[Sequence[Row]]],
    title: str,
    called: str,
    paper: int = 0,
) -> None:
    """A source of clips: a table of them, and one of their frames for each split, laid out so that a shard begins
    where decoding can begin.  called: its name in every sample.
    """
    from factory.sources.clips.stretches import pack  # noqa: PLC0415

    draft = planner.draft
    frames = [row["path"] for of_split in stretches.values() for stretch in of_split for row in stretch]
    _census(draft, name, entry, title=title, found=len(frames), paper=paper)
    chosen = _drawn(planner, entry, frames)
    draft.settings["sources"][name] = source
    draft.places[name] = str(entry.path.resolve())
    draft.tables[f"{name}-clips"] = make_table(clips)
    for split, whole in stretches.items():
        thinned = [[row for row in stretch if row["path"] in chosen] for stretch in whole]
        of_split = [stretch for stretch in thinned if stretch]
        if not of_split:
            continue
        flat = iter(_captioned(draft, entry, [{**row, "source": called} for s in of_split for row in s]))
        captioned = [[next(flat) for _ in stretch] for stretch in of_split]
        nothing = {field: -1 if isinstance(value, int) else "" for field, value in captioned[0][0].items()}
        packed = pack(captioned, planner.recipe.shard_size)
        if entry.repeat > 1:  # each round begins a shard, and so has other framings; stretches stay whole
            packed += [None] * (-len(packed) % planner.recipe.shard_size)
        rows = [{HOLE: row is None, **(nothing if row is None else row)} for row in packed]
        table = f"{name}-{split}"
        draft.tables[table] = make_table(rows)
        slots = len(rows) * entry.repeat
        draft.segments.append(Segment(source=name, split=split, slots=slots, table=table, rows=len(rows)))


def _finite(
    planner: _Planner,
    name: str,
    entry: FiniteEntry,
    source: Mapping[str, Any],
    rows: Sequence[Row],
    *,
    title: str,
    paper: int = 0,
) -> None:
    """A source of single pictures: excluded ones go, captions come in, one segment."""
    from factory.sources.files.benchmark_images import excluded  # noqa: PLC0415

    draft = planner.draft
    allowed, dropped = excluded(rows, planner.hashes)
    _note_excluded(draft, dropped)
    _census(draft, name, entry, title=title, found=len(rows), left_out=len(rows) - len(allowed), paper=paper)
    if not allowed:
        draft.remarks.append(f"{title}: all of its {len(rows):,} pictures are on a list of images to keep out.")
        return
    chosen = _drawn(planner, entry, [row["path"] for row in allowed])
    kept = [row for row in allowed if row["path"] in chosen]
    draft.settings["sources"][name] = source
    draft.places[name] = str(entry.path.resolve())
    draft.tables[name] = make_table(_captioned(draft, entry, kept))
    slots = len(kept) * entry.repeat
    draft.segments.append(Segment(source=name, split="train", slots=slots, table=name, rows=len(kept)))


def _drawn(planner: _Planner, entry: FiniteEntry, paths: Sequence[str]) -> set[str]:
    """Those of a source's items that are taken: by a hash, so that others hardly change the choice."""
    if not 0 < entry.at_most < len(paths):
        return set(paths)
    seed = planner.recipe.seed
    return set(sorted(paths, key=lambda path: sha256(f"{seed}:{path}".encode()).digest())[: entry.at_most])


def _captioned(draft: Draft, entry: FiniteEntry, rows: Sequence[Row]) -> list[Row]:
    from factory.sources.captioning.table import read_caption_table, with_captions  # noqa: PLC0415

    if entry.captions is None:
        return list(rows)
    told = with_captions(rows, read_caption_table(entry.captions))
    draft.remarks += told.remarks
    return told.rows


def _note_excluded(draft: Draft, dropped: Mapping[str, int]) -> None:
    excluded = draft.settings["excluded"]
    for benchmark, count in dropped.items():
        excluded[benchmark] = excluded.get(benchmark, 0) + count
        draft.remarks.append(f"kept out: {count:,} image{'s' if count > 1 else ''} of the benchmark {benchmark}.")


def _census(
    draft: Draft, name: str, entry: FiniteEntry, *, title: str, found: int, left_out: int = 0, paper: int = 0
) -> None:
    draft.settings["census"][name] = {
        "title": title,
        "found": found,
        "excluded": left_out,
        "paper": entry.paper or paper,
        "allowed": entry.allowed_failures,
    }


def _plan_captioner(recipe: BuildRecipe, draft: Draft) -> None:
    """The captioning model by place and hash; its prompt and beams as they are."""
    if not recipe.captioner.model:
        return
    from factory.sources.captioning import model as caption_model  # noqa: PLC0415

    folder = caption_model.resolve(recipe.captioner.model)
    caption_model.check(folder)
    draft.settings["captioner"] = {**asdict(recipe.captioner), "model": ""}
    draft.weights["captioner"] = caption_model.fingerprint(folder)
    draft.places["captioner"] = str(folder.resolve())
