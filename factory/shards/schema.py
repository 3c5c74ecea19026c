"""The fixed schema of a sample's JSON: every field always present and typed, never null.

Readers infer a schema from a set's first samples (Hugging Face datasets from five), so a field that is null there
and text later would break them. verify.py checks each sample against it, card.py declares it.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from factory.equation import TERMS
from factory.sample import ADDED_SCORES, ASKED_SCORES, EARLIER_HASH_BITS, HASH_BITS
from factory.shards.manifest import SCORES
from factory.shards.members import JSON, Members, extensions

Kind: TypeAlias = type | list[Any] | Mapping[str, Any]  # a list's one element is the kind of its items

_SAMPLER: Mapping[str, Kind] = {"guidance": float, "name": str, "start": str, "steps": int}
_METADATA: Mapping[str, Kind] = {
    "ai_generated": bool,
    "attempt": int,
    "attribution": str,
    "caption": str,
    "class": str,
    "colour": str,
    "compositing": str,
    "digital_source_type": str,
    "foreground": str,
    "hashes": {},  # of each member that is a picture
    "height": int,
    "item": str,
    "key": str,
    "key_rgb": [int],
    "kind": str,
    "licence": str,
    "model": str,
    "negative_prompt": str,
    "phash": str,
    "plate": [[float]],
    "prompt": str,
    "sampler": _SAMPLER,
    "scores": dict.fromkeys(SCORES, float),
    "seed": str,
    "slot": int,
    "soft_alpha": bool,
    "source": str,
    "width": int,
}

_ADDED = frozenset({"item", "colour"})  # to what the first sets had
_AT_TIMES: Mapping[str, Kind] = {  # in all of a set or none; no card declares them
    "adapters": float,
    "attributes": [str],
    "pictures": [str],
}
_OPTIONAL = ADDED_SCORES | _AT_TIMES.keys()
_FORMS: Mapping[str, re.Pattern[str]] = {
    "foreground": re.compile("given|estimated|unmixed"),
    "kind": re.compile("generated|keyed|composited"),
    "phash": re.compile(f"(?:[0-9a-f]{{{HASH_BITS // 4}}}|[0-9a-f]{{{EARLIER_HASH_BITS // 4}}})?"),
    "seed": re.compile("[0-9]{1,19}"),
}
CHANNELS = 3
LARGEST_TERM = 1e6  # of a plate's polynomial; a screen's are some hundreds

_ARROW_NAMES: Mapping[type, str] = {bool: "bool", int: "int64", float: "float64", str: "string"}


def metadata_schema(members: Members, asked: tuple[str, ...] = ASKED_SCORES) -> Mapping[str, Kind]:
    """Field → kind of value, for samples with these members.  asked: which of ASKED_SCORES they may have."""
    scores = {name: float for name in SCORES if name in asked or name not in ASKED_SCORES}
    hashes = dict.fromkeys(sorted(member.name for member in members), str)
    return {**_METADATA, **_AT_TIMES, "scores": scores, "hashes": hashes}


def misfits(value: Any, kind: Kind, name: str = "") -> Iterator[str]:
    """What is wrong with a sample's JSON, one clause a field: "scores.gsg is missing", "seed is int, not str"."""
    if isinstance(kind, Mapping) and isinstance(value, dict):
        required = (field for field in kind if field not in _OPTIONAL)
        yield from (f"{_within(name, field)} is missing" for field in required if field not in value)
        yield from (f"{_within(name, field)} is unknown" for field in value if field not in kind)
        for field in kind.keys() & value.keys():
            if isinstance(kind[field], Mapping):
                yield from misfits(value[field], kind[field], _within(name, field))
            else:
                yield from wrong_kinds(value[field], kind[field], _within(name, field))
    else:
        yield from wrong_kinds(value, kind, name)


def wrong_kinds(value: Any, kind: Kind, name: str = "") -> Iterator[str]:
    """Of the fields that are there, which have values of another kind."""
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            yield f"{name or 'the JSON'} is {type(value).__name__}, not an object"
            return
        for field in kind:
            if field in value:
                yield from wrong_kinds(value[field], kind[field], _within(name, field))
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{name} is {type(value).__name__}, not a list"
            return
        for index, item in enumerate(value):
            yield from wrong_kinds(item, kind[0], f"{name}[{index}]")
    elif type(value) is not kind:  # exact: to Python a bool is an int, to a reader it is not
        yield f"{name} is {type(value).__name__}, not {kind.__name__}"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{name} is {value}"


def _within(outer: str, field: str) -> str:
    return f"{outer}.{field}" if outer else field


def unusable(meta: Any) -> Iterator[str]:
    """What keeps a reader from working with a sample's JSON, a clause each. It may come from anybody.

    Fields that a later version adds do no harm, nor does it that an earlier one had not all of today's.
    """
    clauses = list(wrong_kinds(meta, {**_METADATA, **_AT_TIMES}))
    if not clauses:
        clauses += [f"{field} is missing" for field in _METADATA if field not in meta and field not in _ADDED]
        if "sampler" in meta:
            clauses += [f"sampler.{field} is missing" for field in _SAMPLER if field not in meta["sampler"]]
    if clauses:
        yield from clauses
        return
    if clauses := [f"{name} is {meta[name]!r:.40}" for name, form in _FORMS.items() if not form.fullmatch(meta[name])]:
        yield from clauses
        return
    for name, number, end in (
        ("attempt", meta["attempt"], 2**15),  # as the manifest's columns hold them
        ("slot", meta["slot"], 2**63),
        ("seed", int(meta["seed"]), 2**63),
        ("sampler.steps", meta["sampler"]["steps"], 2**31),
    ):
        if not -1 <= number < end:
            yield f"{name} is {number}"
    if len(meta["key_rgb"]) != CHANNELS or not all(0 <= level <= 255 for level in meta["key_rgb"]):
        yield "key_rgb is no colour of 8 bits"
    plate = meta["plate"]
    if plate and [len(channel) for channel in plate] != [TERMS] * CHANNELS:
        yield f"plate has not {CHANNELS} channels of {TERMS} terms"
    if any(abs(term) > LARGEST_TERM for channel in plate for term in channel):
        yield "plate is no screen of 8-bit levels"


def _feature(kind: Kind) -> Any:
    """A kind in the words of Hugging Face's dataset_info: a type's name, {"list": …} or {"struct": […]}."""
    if isinstance(kind, Mapping):
        return {"struct": [_named(name, inner) for name, inner in kind.items()]}
    if isinstance(kind, list):
        return {"list": _feature(kind[0])}
    return _ARROW_NAMES[kind]


def _named(name: str, kind: Kind) -> dict[str, Any]:
    feature = _feature(kind)
    return {"name": name, **(feature if isinstance(feature, dict) else {"dtype": feature})}


def features(members: Members, asked: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The columns of a shard as Hugging Face's webdataset loader names them, for the card's dataset_info.

    asked: as in `metadata_schema`.
    """
    pictures = [{"name": name, "dtype": "image"} for name in extensions(members) if name != JSON]
    return [
        {"name": "__key__", "dtype": "string"},
        {"name": "__url__", "dtype": "string"},
        *pictures,
        _named(JSON, {name: kind for name, kind in metadata_schema(members, asked).items() if name not in _AT_TIMES}),
    ]
