"""The fixed schema of a sample's JSON: every field always present and typed, never null.

Readers infer a schema from a set's first samples (Hugging Face datasets from five), so a field that is null there
and text later would break them. verify.py checks each sample against it, card.py declares it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from factory.sample import ADDED_SCORES, Scores
from factory.shards.members import JSON, Members, extensions

Kind: TypeAlias = type | list[Any] | Mapping[str, Any]  # a list's one element is the kind of its items

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
    "sampler": {"guidance": float, "name": str, "start": str, "steps": int},
    "scores": {field.name: float for field in fields(Scores)},
    "seed": str,
    "slot": int,
    "soft_alpha": bool,
    "source": str,
    "width": int,
}

_ARROW_NAMES: Mapping[type, str] = {bool: "bool", int: "int64", float: "float64", str: "string"}


def metadata_schema(members: Members) -> Mapping[str, Kind]:
    """Field → kind of value, for samples with these members."""
    return {**_METADATA, "hashes": dict.fromkeys(sorted(member.name for member in members), str)}


def misfits(value: Any, kind: Kind, name: str = "") -> Iterator[str]:
    """What is wrong with a sample's JSON, one clause a field: "scores.gsg is missing", "seed is int, not str"."""
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            yield f"{name or 'the JSON'} is {type(value).__name__}, not an object"
            return
        prefix = f"{name}." if name else ""
        yield from (f"{prefix}{field} is missing" for field in kind if field not in value and field not in ADDED_SCORES)
        yield from (f"{prefix}{field} is unknown" for field in value if field not in kind)
        for field, inner in kind.items():
            if field in value:
                yield from misfits(value[field], inner, prefix + field)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{name} is {type(value).__name__}, not a list"
            return
        for index, item in enumerate(value):
            yield from misfits(item, kind[0], f"{name}[{index}]")
    elif type(value) is not kind:  # exact: to Python a bool is an int, to a reader it is not
        yield f"{name} is {type(value).__name__}, not {kind.__name__}"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{name} is {value}"


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


def features(members: Members) -> list[dict[str, Any]]:
    """The columns of a shard as Hugging Face's webdataset loader names them, for the card's dataset_info."""
    pictures = [{"name": name, "dtype": "image"} for name in extensions(members) if name != JSON]
    return [
        {"name": "__key__", "dtype": "string"},
        {"name": "__url__", "dtype": "string"},
        *pictures,
        _named(JSON, metadata_schema(members)),
    ]
