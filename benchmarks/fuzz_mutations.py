"""Changed files: bytes at random, and fields replaced so that checksums, footers and syntax around them still fit."""

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from factory.errors import DataError
from factory.shards.tar_check import headers

Random: TypeAlias = np.random.Generator

NAMES = (
    "/abs/PWNED",
    "../PWNED",
    "../../PWNED.png",
    "..",
    ".",
    "",
    "a/../../PWNED",
    "~/PWNED",
    "C:\\PWNED",
    "a\nb",
    "a\0b",
)
VALUES: tuple[Any, ...] = (
    *NAMES,
    *(None, True, False, -1, 0, 1, 3, 10**6, 2**31, 2**63 - 1, 2**63, -(2**63), 10**40),
    *(0.0, -0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")),
    *("9" * 5000, "\ud800", "\u202e", "😀", "<script>", "null", "0000000000", "train", "a b"),
    *([], [[]], [None], [1] * 100, {}, {"a": {}}, {"name": "../PWNED"}),
)


# What taking a file apart raises where an earlier change has left nothing to take apart.
NOTHING_TO_TAKE_APART = (
    *(ValueError, KeyError, TypeError, AttributeError, OSError, IndexError, OverflowError, RecursionError),
    *(yaml.YAMLError, DataError, pa.ArrowException, struct.error),
)


def mutated(suffix: str, data: bytes, random: Random) -> bytes:
    """The file's bytes with one to three changes; `suffix` says what it is."""
    for _ in range(int(random.integers(1, 4))):
        structural = STRUCTURAL.get(suffix)
        if structural is not None and random.random() < 0.7:
            try:
                data = structural(data, random)
                continue
            except NOTHING_TO_TAKE_APART:
                pass
        data = _other_bytes(data, random)
    return data


def _pick(random: Random, choices: Any) -> Any:
    return choices[int(random.integers(len(choices)))]


def _other_bytes(data: bytes, random: Random) -> bytes:
    """Flipped, overwritten, cut out, doubled or cut off."""
    if not data:
        return random.bytes(8)
    at, length = int(random.integers(len(data))), int(2 ** random.integers(0, 10))
    return _pick(
        random,
        (
            lambda: data[:at] + bytes([data[at] ^ (1 << int(random.integers(8)))]) + data[at + 1 :],
            lambda: data[:at] + random.bytes(length) + data[at + length :],
            lambda: data[:at] + _pick(random, (b"\0", b"\xff", b"\x80", b"\x7f")) * 4 + data[at + 4 :],
            lambda: data[:at] + data[at + length :],
            lambda: data[:at] + data[at : at + length] * 2 + data[at + length :],
            lambda: data[:at],
            lambda: data[:at] + str(_pick(random, VALUES)).encode(errors="surrogatepass") + data[at:],
        ),
    )()


def _other_value(value: Any, random: Random) -> Any:
    """A JSON value with one place in it replaced, taken away, added to or doubled."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        name = _pick(random, list(value))
        changed = dict(value)
        match int(random.integers(8)):
            case 0:
                del changed[name]
            case 1:
                changed[str(_pick(random, NAMES))] = changed[name]
            case _:
                changed[name] = _other_value(value[name], random)
        return changed
    if isinstance(value, list) and value and random.random() < 0.7:
        at = int(random.integers(len(value)))
        return [*value[:at], *_pick(random, ([], [value[at]] * 2, [_other_value(value[at], random)])), *value[at + 1 :]]
    return _pick(random, VALUES)


def _json(data: bytes, random: Random) -> bytes:
    if random.random() < 0.02:
        return b"[" * 100_000
    return json.dumps(_other_value(json.loads(data), random)).encode()


def _json_lines(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    at = int(random.integers(len(lines)))
    return b"\n".join([*lines[:at], _json(lines[at], random), *lines[at + 1 :]])


def _yaml(data: bytes, random: Random) -> bytes:
    if random.random() < 0.1:
        odd = (
            "&a [*a]",
            "!!timestamp x",
            "2026-99-99",
            "!!int x",
            "!!bool x",
            "!!python/name:os.system",
            "{a: *b}",
            BOMB,
        )
        return data + b"\nodd: " + str(_pick(random, odd)).encode()
    return yaml.safe_dump(_other_value(yaml.safe_load(data), random), sort_keys=False).encode()


BOMB = "\n" + "\n".join(f"  - &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(12))


def _tar(data: bytes, random: Random) -> bytes:
    """Another name, kind, size, JSON or picture of one member; the header's sum fits."""
    members: list[tuple[tarfile.TarInfo, bytes]] = []
    for header in headers(io.BytesIO(data)):
        info = tarfile.TarInfo.frombuf(header.block, "utf-8", "surrogateescape")
        place = header.extent
        members.append((info, data[place.offset : place.offset + place.size]))
    at = int(random.integers(len(members)))
    info, body = members[at]
    header = tarfile.TarInfo(info.name)
    kind, size = info.type, None
    key, _, extension = info.name.partition(".")
    match int(random.integers(6)):
        case 0:
            header.name = _pick(
                random, (*NAMES, *(f"{name}.{extension}" for name in NAMES), f"{key}.{_pick(random, NAMES)}")
            )
        case 1:
            kind = _pick(random, (b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"L", b"K", b"x", b"g", b"\0", b"V"))
            header.linkname = _pick(random, ("/etc/passwd", info.name, "../PWNED"))
        case 2:
            size = int(_pick(random, (0, 1, 511, 513, len(body) + 1, 8**11 - 1, 2**60, -1, -512, -1024)))
        case 3:
            members.insert(int(random.integers(len(members))), _pick(random, members))
        case 4:
            del members[at]
        case _:
            body = _json(body, random) if extension == "json" else _png(body, random)
    if len(members) > at:
        header.type, header.size = kind, len(body)
        members[at] = (header, body)
    out = io.BytesIO()
    for number, (one, content) in enumerate(members):
        block = one.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")[-512:]
        out.write(_resized(block, size) if number == at and size is not None else block)
        out.write(content + bytes(-len(content) % 512))
    return out.getvalue() + bytes(1024)


def _resized(block: bytes, size: int) -> bytes:
    """A header that says another size, in base 256, with its sum."""
    field = struct.pack(">B", 0xFF if size < 0 else 0x80) + size.to_bytes(11, "big", signed=True)
    block = block[:124] + field + block[136:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _png(data: bytes, random: Random) -> bytes:
    """One chunk changed, with its sum."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        chunks.append((kind, data[place + 8 : place + 8 + size]))
        place += size + 12
    at = int(random.integers(len(chunks)))
    kind, body = chunks[at]
    if kind == b"IHDR" and random.random() < 0.7:
        sides = [int(_pick(random, (0, 1, 31, 33, 4000, 20_000, 2**31 - 1, 2**32 - 1))) for _ in range(2)]
        depth = bytes(
            [_pick(random, (1, 2, 8, 16, 77)), _pick(random, (0, 2, 3, 4, 6, 9)), 0, 0, _pick(random, (0, 1))]
        )
        body = struct.pack(">2I", *sides) + depth
    elif random.random() < 0.2:
        body = zlib.compress(bytes(int(_pick(random, (10, 10**5, 10**7)))))
    else:
        body = _other_bytes(body, random)
    chunks[at] = (kind, body)
    whole = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return data[:8] + b"".join(whole)


def _parquet(data: bytes, random: Random) -> bytes:
    """One column with other values, of another type, under another name, or none."""
    table = pq.read_table(io.BytesIO(data))
    at = int(random.integers(table.num_columns))
    field, column = table.schema.field(at), table.column(at)
    rows = int(random.integers(1, len(column) + 1))
    match int(random.integers(7)):
        case 0:
            table = table.remove_column(at)
        case 1:
            table = table.rename_columns(
                [_pick(random, NAMES) if n == at else c for n, c in enumerate(table.column_names)]
            )
        case 2:
            kinds = (pa.string(), pa.binary(), pa.int8(), pa.float64(), pa.bool_(), pa.large_string(), pa.int64())
            table = table.set_column(at, field.name, column.cast(_pick(random, kinds), safe=False))
        case 3:
            table = table.set_column(at, field.name, pa.nulls(len(column), _pick(random, (field.type, pa.null()))))
        case 4:
            table = _pick(random, (table.slice(0, 0), table.slice(rows), pa.concat_tables([table, table])))
        case 5:
            table = table.set_column(at, field.name, pa.array([[1]] * len(column)))
        case _:
            values = column.to_pylist()
            for row in random.integers(0, len(values), rows).tolist():
                fitting = [value for value in VALUES if isinstance(value, type(values[row]))] or [None]
                values[row] = _pick(random, fitting)
            table = table.set_column(at, field, pa.array(values, field.type))
    out = io.BytesIO()
    pq.write_table(table, out, compression=_pick(random, ("zstd", "none", "snappy")))
    return out.getvalue()


def _safetensors(data: bytes, random: Random) -> bytes:
    """Another header, and perhaps another length before it."""
    length = int.from_bytes(data[:8], "little")
    header = _json(data[8 : 8 + length], random)
    said = _pick(random, (len(header), len(header), len(header), 0, 1, 2**20, 2**40, 2**63, 2**64 - 1))
    return said.to_bytes(8, "little") + header + data[8 + length :]


STRUCTURAL: Mapping[str, Callable[[bytes, Random], bytes]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".tar": _tar,
    ".yaml": _yaml,
}
