"""What planning wants to know of the files of a source, asked through a surveyor: hashes, clips, pairs of clips."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from factory.engine.survey import Answer, Item, Surveyor
from factory.errors import MachineError
from factory.sources.clips.pairs import PairProbe, probe_pair
from factory.sources.clips.probe import ClipProbe, probe_clip
from factory.sources.clips.settings import ClipSettings
from factory.sources.files.planned import digest
from factory.sources.files.rgba_folder import first_look
from factory.sources.public import Pair

ABSENT = -1, ""
FEW = 10_000  # files that are hashed without help: it takes seconds
CLIP_LOOK = 2  # version of what is asked of clips: earlier answers do not know `halved`, nor drawn screens
CRASH = "crash", "reading it ended the process that did it"


def look_at_files(surveyor: Surveyor, root: Path, paths: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of files below a folder; (−1, "") where there is none."""
    present = [path for path in dict.fromkeys(paths) if (root / path).is_file()]
    answers = surveyor("files", "hash", _hash, [_item(root, path) for path in present], crashed=_no_hash, few=FEW)
    found = {path: (answer["size"], answer["sha256"]) for path, answer in zip(present, answers, strict=True)}
    return dict.fromkeys(paths, ABSENT) | found


def _hash(path: str) -> Answer:
    size, sha256 = digest(Path(path))
    return {"size": size, "sha256": sha256}


def _no_hash(path: str) -> Answer:
    raise MachineError(f"{path} {CRASH[1]}: is its disk sound?")


def look_at_cutouts(surveyor: Surveyor, root: Path, paths: Sequence[str]) -> list[Answer]:
    """A first look at each picture with alpha."""
    items = [_item(root, path) for path in paths]
    return surveyor("pictures", "cut-out", _cutout, items, crashed=_no_hash, few=FEW)


def _cutout(path: str) -> Answer:
    return dict(first_look(Path(path)))


def look_at_clips(surveyor: Surveyor, root: Path, paths: Sequence[str], settings: ClipSettings) -> list[ClipProbe]:
    """One probe per clip."""
    question = f"clip {CLIP_LOOK} {asdict(settings)}"
    answers = surveyor("clips", question, _Clip(settings), [_item(root, path) for path in paths], crashed=_no_clip)
    return [ClipProbe.from_json(answer) for answer in answers]


@dataclass(frozen=True)
class _Clip:
    settings: ClipSettings

    def __call__(self, path: str) -> Answer:
        return probe_clip(Path(path), self.settings).to_json()


def _no_clip(path: str) -> Answer:
    size, sha256 = digest(Path(path))
    return ClipProbe(size=size, sha256=sha256, error_kind=CRASH[0], error=CRASH[1]).to_json()


def look_at_pairs(surveyor: Surveyor, root: Path, pairs: Sequence[Pair], settings: ClipSettings) -> list[PairProbe]:
    """One probe per pair of clips; where a counterpart is missing it says so."""
    whole = [pair for pair in pairs if not pair.fault[0]]
    items = [_item(root, pair.picture, pair.matte) for pair in whole]
    answers = surveyor(
        "pairs of clips", f"pair {CLIP_LOOK} {asdict(settings)}", _Pair(settings), items, crashed=_no_pair
    )
    found = {pair.picture: PairProbe.from_json(answer) for pair, answer in zip(whole, answers, strict=True)}
    return [found.get(pair.picture) or _unread(*pair.fault) for pair in pairs]


@dataclass(frozen=True)
class _Pair:
    settings: ClipSettings

    def __call__(self, foreground: str, alpha: str) -> Answer:
        return probe_pair(Path(foreground), Path(alpha), self.settings).to_json()


def _item(root: Path, *paths: str) -> Item:
    return tuple(str((root / path).resolve()) for path in paths)


def _no_pair(foreground: str, alpha: str) -> Answer:
    return _unread(*CRASH).to_json()


def _unread(kind: str, sentence: str) -> PairProbe:
    nothing = ClipProbe(size=-1, sha256="")
    return PairProbe(foreground=nothing, alpha=nothing, error_kind=kind, error=sentence)
