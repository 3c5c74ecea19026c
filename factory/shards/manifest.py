"""The manifest: a Parquet row per attempt, accepted, rejected or failed, with every score and where its bytes lie."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from factory.errors import DataError
from factory.sample import Request, Sample, Scores
from factory.shards.encoding import MEMBERS
from factory.shards.writer import Extent

ROWS_IN_ONE_FILE = 5_000_000  # above this the manifest stays a folder of parts
SCORES = tuple(field.name for field in fields(Scores))
EXTENTS = tuple(f"{member.replace('.', '_')}_{what}" for member in MEMBERS for what in ("offset", "size"))

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.int32()),
        ("slot", pa.int64()),
        ("attempt", pa.int16()),
        ("split", pa.string()),
        ("status", pa.string()),  # accepted | rejected | failed
        ("reason", pa.string()),  # the gate, or the kind of error
        ("detail", pa.string()),
        ("item", pa.string()),  # the input's relative path or key, where there is one
        ("class", pa.string()),
        ("caption", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("kind", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("attribution", pa.string()),
        ("soft_alpha", pa.bool_()),
        ("foreground", pa.string()),
        ("colour", pa.string()),
        ("ai_generated", pa.bool_()),
        ("digital_source_type", pa.string()),  # IPTC's term
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        *((name, pa.float32()) for name in SCORES),
        ("phash", pa.string()),
        ("rgb_sha256", pa.string()),
        ("alpha_sha256", pa.string()),
        ("fg_sha256", pa.string()),
        *((name, pa.int64()) for name in EXTENTS),
    ]
)
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)  # what pyarrow raises for a damaged Parquet file
FINAL_SCHEMA = SCHEMA.append(pa.field("duplicate_of", pa.string()))

_NOTHING: dict[str, Any] = {
    field.name: "" if field.type == pa.string() else False if field.type == pa.bool_() else -1 for field in SCHEMA
}


def _request_columns(request: Request, split: str) -> dict[str, Any]:
    item = request.item.get("path") or request.item.get("key") or ""
    return {
        "key": request.key,
        "shard": int(request.key[:6]),
        "slot": request.slot,
        "attempt": request.attempt,
        "seed": request.seed,
        "split": split,
        "item": str(item),
    }


def _sample_columns(sample: Sample) -> dict[str, Any]:
    origin = sample.origin
    return {
        **({"item": origin.item} if origin.item else {}),
        "class": origin.class_name,
        "caption": origin.caption,
        "prompt": origin.prompt,
        "kind": origin.kind,
        "source": origin.source,
        "licence": origin.licence,
        "attribution": origin.attribution,
        "soft_alpha": origin.soft_alpha,
        "foreground": origin.foreground,
        "colour": origin.colour,
        "ai_generated": origin.ai_generated,
        "digital_source_type": origin.digital_source_type,
        "model": origin.model,
        "width": sample.rgb.shape[1],
        "height": sample.rgb.shape[0],
        "phash": sample.phash,
        **{name: round(float(value), 4) for name, value in asdict(sample.scores).items()},
    }


def accepted_row(sample: Sample, split: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a sample that will lie in the shard; `extent_columns` follow when it does."""
    hashes = {f"{name}_sha256": value for name, value in meta["hashes"].items()}
    columns = _request_columns(sample.request, split) | _sample_columns(sample) | hashes
    return _NOTHING | columns | {"status": "accepted"}


def extent_columns(extents: Mapping[str, Extent]) -> dict[str, int]:
    """Where a sample's members lie, by the names of the manifest's columns."""
    places = {}
    for member, extent in extents.items():
        places[f"{member.replace('.', '_')}_offset"] = extent.offset
        places[f"{member.replace('.', '_')}_size"] = extent.size
    return places


def rejected_row(sample: Sample, split: str, reason: str, detail: str) -> dict[str, Any]:
    """The row of an attempt that a gate turned down."""
    columns = _request_columns(sample.request, split) | _sample_columns(sample)
    return _NOTHING | columns | {"status": "rejected", "reason": reason, "detail": detail}


def failed_row(request: Request, split: str, error: DataError) -> dict[str, Any]:
    """The row of an item whose data is bad."""
    item = request.item
    named = {
        "class": item.get("class") or item.get("class_name"),
        "caption": item.get("caption"),
        "prompt": item.get("prompt"),
        "source": item.get("source"),
    }
    columns = _request_columns(request, split) | {name: value for name, value in named.items() if value}
    return _NOTHING | columns | {"status": "failed", "reason": error.kind, "detail": str(error)}


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write one part; the bytes depend on the rows and pyarrow's version alone."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), path, compression="zstd")


def read_manifest(parts: Path, manifest: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The whole manifest: the one file where it exists, else its parts in shard order."""
    wanted = list(columns) if columns is not None else None
    if manifest.exists():
        return pq.read_table(manifest, columns=wanted)
    tables = [pq.read_table(part, columns=wanted) for part in sorted(parts.glob("part-*.parquet"))]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table().select(wanted or SCHEMA.names)
