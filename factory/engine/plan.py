"""A run made concrete: everything the work depends on, frozen. A shard is a pure function of (plan, shard number).

The engine knows nothing of images: `settings` is handed unread to the line's builder.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from factory.errors import UsageError, quoted, some
from factory.recipe_faults import faults_in
from factory.sample import ASKED_SCORES
from factory.shards.foreign_text import parse_json
from factory.shards.keys import MAX_SHARD_SIZE, MAX_SHARDS, SPLIT_PATTERN
from factory.shards.layout import Layout
from factory.shards.manifest import manifest_files
from factory.shards.members import MATTING, OWN, Members

SCHEMA_VERSION = 1
MAX_MEMBERS = 32
TABLE_PATTERN = r"^[A-Za-z0-9_-]{0,64}$"  # of the names of tables, which become those of files
TableName: TypeAlias = Annotated[str, Field(pattern=TABLE_PATTERN)]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Consecutive shards of one source and one split.

    attempts: tries to fill a slot (1 for finite sources: a rejected item leaves a hole in the keys).
    table: name of the frozen input table; slot i of the segment uses row (first + i) mod rows. "": there is none.
    first: slots that earlier segments have of the same source and split; > 0 in a set that was extended.
    """

    source: str
    split: Annotated[str, Field(pattern=SPLIT_PATTERN)]  # with a shard's number the name of a file
    slots: Annotated[int, Field(ge=0, lt=2**53)]
    attempts: Annotated[int, Field(ge=1, lt=2**15)] = 1
    table: TableName = ""
    rows: Annotated[int, Field(ge=0, lt=2**53)] = 0
    first: Annotated[int, Field(ge=0, lt=2**53)] = 0


@dataclass(frozen=True, slots=True)
class Shard:
    """Where a shard lies in the plan."""

    number: int
    segment: Segment
    first: int  # its first slot, counted over the slots of its source and split
    first_slot: int  # the same, counted over the whole set
    slots: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The frozen run. All but `census`, `places` and `software` enters the fingerprint."""

    schema_version: int = SCHEMA_VERSION
    job: str
    seed: Annotated[int, Field(ge=0)]
    shard_size: int
    batch_size: int
    threads: int
    segments: tuple[Segment, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)  # sources, stages and gates, for the builder
    members: Members = MATTING  # of each sample, as its job declares them
    keep_rejected: bool = False  # store what the gates turn down as well, beside the shards
    census: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # source → what to count it against
    inputs: Mapping[TableName, str] = field(default_factory=dict)  # table → hash of its content
    weights: Mapping[str, str] = field(default_factory=dict)  # model → hash of its files
    places: Mapping[str, str] = field(default_factory=dict)  # where models and inputs lie on this machine
    software: Mapping[str, str] = field(default_factory=dict)  # recorded; going on under other versions must be asked

    def __post_init__(self) -> None:
        if not 1 <= self.shard_size <= MAX_SHARD_SIZE:
            raise UsageError(f"--shard-size must be 1 to {MAX_SHARD_SIZE}, not {self.shard_size}.")
        if self.batch_size < 1:
            raise UsageError(f"--batch must be at least 1, not {self.batch_size}.")
        if self.threads < 1:
            raise UsageError(f"--threads must be at least 1, not {self.threads}.")
        names = [member.name for member in self.members]
        usual = {member.kind for member in MATTING} <= {member.kind for member in self.members}
        if len(set(names)) < len(names) or not usual or len(names) > MAX_MEMBERS:
            wanted = f"at most {MAX_MEMBERS}, each once, {', '.join(OWN)} among them"
            raise ValueError(f"the members of a sample are {some(names)}: {wanted}")
        if self.shards > MAX_SHARDS:
            size = min(MAX_SHARD_SIZE, -(-self.slots // MAX_SHARDS))
            raise UsageError(
                f"{self.shards:,} shards are more than {MAX_SHARDS:,}: "
                f"use --shard-size {size} or larger, or split the run."
            )

    @cached_property
    def _shard_ends(self) -> list[int]:
        return list(accumulate(-(-segment.slots // self.shard_size) for segment in self.segments))

    @cached_property
    def _slot_ends(self) -> list[int]:
        return list(accumulate(segment.slots for segment in self.segments))

    @property
    def asked_scores(self) -> tuple[str, ...]:
        """Which of ASKED_SCORES its samples have."""
        return tuple(name for name in ASKED_SCORES if name in self.settings.get("asked_scores", ()))

    @property
    def shards(self) -> int:
        """How many shards the set has."""
        return self._shard_ends[-1] if self.segments else 0

    @property
    def slots(self) -> int:
        """How many samples the set has when every slot is filled."""
        return self._slot_ends[-1] if self.segments else 0

    @property
    def samples(self) -> int:
        """How many samples the set can have: its slots without padding and without items that are known to be bad."""
        lost = sum(int(count.get(name, 0)) for count in self.census.values() for name in ("padding", "unusable"))
        return self.slots - lost

    def shard(self, number: int) -> Shard:
        """Raises IndexError outside 0..shards-1."""
        if not 0 <= number < self.shards:
            raise IndexError(number)
        index = bisect_right(self._shard_ends, number)
        segment = self.segments[index]
        inside = (number - (self._shard_ends[index - 1] if index else 0)) * self.shard_size
        before = self._slot_ends[index - 1] if index else 0
        slots = min(self.shard_size, segment.slots - inside)
        return Shard(number, segment, segment.first + inside, before + inside, slots)

    def all_shards(self) -> Iterator[Shard]:
        return (self.shard(number) for number in range(self.shards))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of all that the bytes depend on."""
        return hashlib.sha256(canonical(self.deciding())).hexdigest()

    @cached_property
    def fingerprints(self) -> frozenset[str]:
        """Of this plan and of those that it extends: their shards are its first ones."""
        begun = sum(not segment.first for segment in self.segments)
        earlier = (replace(self, segments=self.segments[:count]) for count in range(begun, len(self.segments)))
        return frozenset({self.fingerprint, *(plan.fingerprint for plan in earlier)})

    def deciding(self) -> dict[str, Any]:
        """What the fingerprint is made of: no byte of a shard depends on paths, titles and counts."""
        content = self.to_json()
        for name in ("census", "places", "software"):
            content.pop(name, None)
        if "members" in content:  # a member's description may be put better
            content["members"] = [member.kind for member in self.members]
        return content

    def to_json(self) -> dict[str, Any]:
        """What is as usual goes without saying, as in plans from before there was a field for it."""
        content = asdict(self)
        for segment in content["segments"]:
            if not segment["first"]:
                del segment["first"]
        if not self.census:
            del content["census"]
        if not self.keep_rejected:
            del content["keep_rejected"]
        if self.members == MATTING:
            del content["members"]
        return content

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """Raises UsageError where the file is of another schema, ValueError where it is no plan."""
        if data.get("schema_version") != SCHEMA_VERSION:
            found = data.get("schema_version")
            raise UsageError(f"plan.json has schema {found}, this factory reads {SCHEMA_VERSION}: use a new --out.")
        settings = dict(data["settings"])
        asked = settings.get("asked_scores", [])
        if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
            raise ValueError(f"asked_scores must list names, and is {asked!r}")
        census = data.get("census", settings.pop("census", {}))  # at first it stood among the settings
        if unknown := sorted(data.keys() - {field.name for field in fields(cls)}):
            raise ValueError(f"it has what this factory does not know: {some(unknown)}")
        try:
            return _adapter().validate_python({**data, "settings": settings, "census": census})
        except ValidationError as error:
            raise ValueError(some(faults_in(error, _adapter()))) from error


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def _without_plan(path: Path) -> str:
    """Why there is no plan, for people."""
    root = path.parent
    if not root.exists():
        return f"{root} is not a data set made by factory: there is no such folder."
    if manifest_files(Layout(root)):
        return (
            f"{root} came without its {path.name}, which this needs: `factory filter {quoted(root)}` makes one whole."
        )
    return f"{root} is not a data set made by factory: it has no {path.name}."


def read_plan(path: Path) -> Plan:
    """The plan of a data set. Raises UsageError where there is none, or it is damaged or of another schema."""
    try:
        return Plan.from_json(parse_json(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(_without_plan(path)) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): mend that and try again.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} is damaged ({error}): restore it, or use a new --out.") from error


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sample_seed(run_seed: int, slot: int, attempt: int) -> int:
    """63-bit seed of one attempt: the low bits of SHA-256, so neighbours share nothing."""
    digest = hashlib.sha256(f"{run_seed}:{slot}:{attempt}".encode()).digest()
    return int.from_bytes(digest[-8:], "big") & (2**63 - 1)


def differences(old: Plan, new: Plan) -> list[str]:
    """The fields in which two plans differ, as "name: old → new", for people."""

    def flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield from flat(inner, f"{name}.{key}" if name else str(key))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for index, inner in enumerate(value):
                yield from flat(inner, f"{name}[{index}]")
        else:
            text = json.dumps(value, ensure_ascii=False)
            yield name, text if len(text) <= 40 else text[:37] + "…"

    left, right = (dict(flat(plan.deciding(), "")) for plan in (old, new))
    names = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    return [f"{name}: {left.get(name, '(none)')} → {right.get(name, '(none)')}" for name in sorted(names)]
