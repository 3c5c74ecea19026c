"""What a matte was made of, said inside its PNG: a folder of mattes needs no record beside, and a kill spoils none."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from factory.shards.marking import HEADER_END, with_chunk

SAYS = b"tEXtfactory matte\0"
MOST = 4096  # bytes of a file that hold it


@dataclass(frozen=True, slots=True)
class MadeOf:
    """network: fingerprint of its folder.  trimaps: where they come from.  inputs: hash of the picture's files."""

    network: str
    trimaps: str
    tile: int
    inputs: str

    def differs(self, other: "MadeOf") -> list[str]:
        """Names of the settings that are not the same; the inputs are none."""
        mine, its = asdict(self), asdict(other)
        return [name for name in mine if name != "inputs" and mine[name] != its[name]]


def signed(png: bytes, made_of: MadeOf) -> bytes:
    """The PNG, in which it stands."""
    return with_chunk(png, SAYS + json.dumps(asdict(made_of)).encode())


def read_signed(place: Path) -> MadeOf | None:
    """What stands in a file; None where nothing does, for it was not made here. Raises OSError."""
    with place.open("rb") as file:
        head = file.read(MOST)
    length = int.from_bytes(head[HEADER_END : HEADER_END + 4])
    body = head[HEADER_END + 4 : HEADER_END + 8 + length]
    try:
        return MadeOf(**json.loads(body.removeprefix(SAYS))) if body.startswith(SAYS) else None
    except (ValueError, TypeError):
        return None
