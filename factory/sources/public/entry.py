"""Public matting and segmentation sets in a recipe: pictures with mattes, or clips with matte clips."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from factory.engine.draft import Draft
from factory.engine.input_files import look_at_files
from factory.greenscreen.on_screen import FramingSettings
from factory.sample import Source
from factory.settings import settings
from factory.sources.captioning.names import with_article
from factory.sources.clips.planning import plan_clips
from factory.sources.clips.settings import ClipSettings
from factory.sources.entry import FiniteEntry, PlannedSource, Planning, SourceKind
from factory.sources.files.benchmark_images import load_hashes
from factory.sources.files.planning import count, note_passed_over, plan_pictures
from factory.sources.public.listing import list_pairs, public_set, row_of
from factory.sources.public.registry import Pair, PublicSet

# Readers are imported where they are used: planning other things needs no decoder and no estimator.


class PublicEntry(FiniteEntry):
    """A public matting or segmentation set as its users unpack it; sources/public/ has the list."""

    type: Literal["public"] = "public"
    dataset: str  # am-2k, p3m-10k …; "pairs" is any two folders matched by name
    include_test: bool = False  # also images of public benchmarks, but for those that the recipe's own lists name
    every: Annotated[int, Field(ge=1)] = 5  # of a set of videos each n-th frame; 5 comes nearest to the paper's count
    inverted: bool | None = None  # whether the mattes' black is the object; None is as the set is known to be
    licence: str = ""  # "" is the set's own
    attribution: str = ""

    def the_set(self) -> PublicSet:
        """What is known of the set, under the name that the recipe gives it."""
        public = public_set(self.dataset)
        return replace(public, name=self.name, title=self.name) if self.name else public

    def known_as(self) -> tuple[str, int]:
        """As the set is known."""
        public = self.the_set()
        return public.title, public.paper_count


def plan(planning: Planning, name: str, entry: PublicEntry) -> None:
    """List the set's pairs, leave benchmark images out, hash the files."""
    public = entry.the_set()
    pairs = _without_test(planning.draft, entry, public, list_pairs(public, entry.path))
    if public.kind == "videos":
        _plan_videos(planning, name, entry, public, pairs)
    else:
        _plan_pictures(planning, name, entry, public, pairs)
    files = [PurePosixPath(path) for pair in pairs for path in pair.files]
    taken, folders = {file.suffix.lower() for file in files}, {file.parent for file in files}
    note_passed_over(planning.draft, name, entry, taken, lambda path: PurePosixPath(path).parent in folders)


def _plan_pictures(planning: Planning, name: str, entry: PublicEntry, public: PublicSet, pairs: Sequence[Pair]) -> None:
    """Pictures with mattes."""
    if not pairs:
        count(planning.draft, name, entry, title=public.title, found=0, paper=public.paper_count)
        return
    from factory.sources.files.matte_pairs import MattePairSettings  # noqa: PLC0415

    digests = look_at_files(planning.surveyor, entry.path, [path for pair in pairs for path in pair.files])
    if entry.include_test:
        shipped = load_hashes()
        pairs = [replace(pair, test=pair.test or _is_listed(pair, digests, shipped)) for pair in pairs]
        planning = replace(planning, kept_out={h: name for h, name in planning.kept_out.items() if h not in shipped})
    rows = [row_of(public, pair, digests) for pair in pairs]
    own = {field: value for field in ("licence", "attribution") if (value := getattr(entry, field))}
    own |= {} if entry.inverted is None else {"inverted": entry.inverted}
    framing = MattePairSettings(size=planning.size, key=planning.key, source=public.name)
    source = {"type": entry.type, "settings": asdict(framing)}
    title, paper = public.title, public.paper_count
    plan_pictures(planning, name, entry, source, [row | own for row in rows], title=title, paper=paper)


def _without_test(draft: Draft, entry: PublicEntry, public: PublicSet, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs without those of public benchmarks, unless the recipe takes them in; says how many stay out."""
    kept = [pair for pair in pairs if entry.include_test or not pair.test]
    if left_out := len(pairs) - len(kept):
        what = "clips" if public.kind == "videos" else "images"
        draft.remarks.append(f"{public.title}, left out as benchmark {what}: {left_out:,}.")
    return kept


def _is_listed(pair: Pair, digests: Mapping[str, tuple[int, str]], hashes: Mapping[str, str]) -> bool:
    """Whether a file of the pair shows a picture of a listed benchmark."""
    return any(path and digests[path][1] in hashes for path in (pair.picture, pair.foreground))


def _plan_videos(planning: Planning, name: str, entry: PublicEntry, public: PublicSet, pairs: Sequence[Pair]) -> None:
    """Foreground and matte clips."""
    from factory.sources.clips.pairs import look_at_pairs, pair_frame_rows, pair_row, unread_pair  # noqa: PLC0415

    whole = [(pair.picture, pair.matte) for pair in pairs if not pair.fault[0]]
    select = ClipSettings(every=entry.every)
    probes = dict(zip(whole, look_at_pairs(planning.surveyor, entry.path, whole, select), strict=True))
    own = {"licence": entry.licence or public.licence, "attribution": entry.attribution or public.attribution}
    clips, stretches = [], []
    for number, pair in enumerate(pairs):
        probe = probes.get((pair.picture, pair.matte)) or unread_pair(*pair.fault)
        clips.append(pair_row(pair.picture, pair.matte, probe, source=public.source_of(pair), **own))
        caption = with_article(public.class_name)
        stretches += pair_frame_rows(number, pair.picture, probe, public.class_name, caption)
    framing = FramingSettings(size=planning.size, key=planning.key)
    plan_clips(
        planning,
        name,
        entry,
        {"type": "video_pairs", "settings": asdict(framing)},
        clips=clips,
        stretches={"train": stretches},
        title=public.title,
        called=public.name,
        paper=public.paper_count,
    )


def open_pictures(planned: PlannedSource) -> Source:
    """Pictures with mattes in a worker."""
    from factory.sources.files.matte_pairs import MattePairs, MattePairSettings  # noqa: PLC0415

    return MattePairs(planned.folder, settings(MattePairSettings, planned.settings["settings"]))


def open_videos(planned: PlannedSource) -> Source:
    """Clips with matte clips in a worker."""
    from factory.sources.clips.pairs import ClipPairs  # noqa: PLC0415

    framing = settings(FramingSettings, planned.settings["settings"])
    return ClipPairs(planned.folder, planned.rows("clips"), framing)


KIND = SourceKind(PublicEntry, plan, {"public": open_pictures, "video_pairs": open_videos})
