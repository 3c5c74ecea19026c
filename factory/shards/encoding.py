"""A sample as the bytes of its members: a PNG each, and the JSON."""

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.errors import DataError
from factory.sample import ASKED_SCORES, Sample
from factory.shards.marking import MarkingSettings, mark_members
from factory.shards.members import JSON, MATTING, Members

SIZE_AT, SIZE_END = 16, 24  # of width and height in a PNG
MAX_PIXELS = 16_384**2  # more than any source gives
DEFLATED = 1032  # zlib shrinks by no larger factor
PIXELS_PER_BYTE = 8  # of a picture of two levels

PLAIN_MARKS = MarkingSettings()
SIGNATURE = b"\x89PNG\r\n\x1a\n"
IN_WORDS = {"rgb": "picture", "fg": "foreground"}


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """RGB or grey 8-bit PNG. Without parameters OpenCV's encoder is about twice as fast as at level 1, and smaller."""
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture)
    if not done:
        raise DataError("unencodable", "the picture could not be encoded as PNG")
    return data.tobytes()


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """The 8-bit RGB or grey picture in a PNG.

    Raises DataError("undecodable" or "too_large"), MemoryError. A wrong checksum is undecodable: OpenCV passes over
    some and makes other pixels of some, and libpng would write to stderr.
    """
    if len(data) >= SIZE_END:  # before any memory is taken: a header may ask for more than there is
        width, height = struct.unpack_from(">II", data, SIZE_AT)
        if width * height > min(MAX_PIXELS, DEFLATED * len(data) * PIXELS_PER_BYTE):
            raise DataError("too_large", f"a picture of {width:,} × {height:,} pixels in {len(data):,} bytes")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if _is_sound(data) else None
    except cv2.error as error:  # a header that asks for too many pixels
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError("a picture does not fit into memory") from error
        picture = None
    if picture is None or picture.dtype != np.uint8 or (picture.ndim == 3 and picture.shape[2] != 3):
        raise DataError("undecodable", "a member is not a sound 8-bit grey or RGB PNG")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if picture.ndim == 3 else picture, np.uint8)


def _is_sound(png: bytes) -> bool:
    """Whether all chunks are there with their checksums right."""
    place = len(SIGNATURE)
    while place + 12 <= len(png):
        end = place + 8 + int.from_bytes(png[place : place + 4])
        if int.from_bytes(png[end : end + 4]) != zlib.crc32(memoryview(png)[place + 4 : end]):
            return False
        if png[place + 4 : place + 8] == b"IEND":
            return True
        place = end + 4
    return False


def pixel_hash(picture: NDArray[np.uint8]) -> str:
    """SHA-256 of the decoded pixels (C order), independent of the file format's encoder."""
    return hashlib.sha256(picture.tobytes()).hexdigest()


def metadata(sample: Sample, pictures: Mapping[str, NDArray[np.uint8]], asked: tuple[str, ...] = ()) -> dict[str, Any]:
    """The sample's JSON: one fixed schema, every field always present and typed, never null.

    pictures: by member.  asked: which of ASKED_SCORES its set has. `adapters`, `attributes` and `pictures` are in all
    samples of a set or in none.
    """
    scores = {name: value for name, value in asdict(sample.scores).items() if name in asked or name not in ASKED_SCORES}
    origin = sample.origin
    height, width = sample.rgb.shape[:2]
    return {
        **({"adapters": round(origin.adapters, 4)} if origin.adapters >= 0 else {}),
        "ai_generated": origin.ai_generated,
        "attempt": sample.request.attempt,
        **({"attributes": list(origin.attributes)} if origin.attributes else {}),
        "attribution": origin.attribution,
        "caption": origin.caption,
        "class": origin.class_name,
        "colour": origin.colour,
        "compositing": "srgb",
        "digital_source_type": origin.digital_source_type,
        "foreground": origin.foreground,
        "hashes": {name: pixel_hash(picture) for name, picture in pictures.items()},
        "height": height,
        "item": origin.item,
        "key": sample.request.key,
        "key_rgb": list(origin.key_rgb),
        "kind": origin.kind,
        "licence": origin.licence,
        "model": origin.model,
        "negative_prompt": origin.negative_prompt,
        "phash": sample.phash,
        **({"pictures": list(origin.pictures)} if origin.pictures else {}),
        "plate": [[round(float(term), 4) for term in channel] for channel in sample.plate],
        "prompt": origin.prompt,
        "sampler": {
            "guidance": float(origin.guidance),
            "name": origin.sampler,
            "start": origin.start,
            "steps": origin.steps,
        },
        "scores": {name: round(float(value), 4) for name, value in scores.items()},
        "seed": str(sample.request.seed),
        "slot": sample.request.slot,
        "soft_alpha": origin.soft_alpha,
        "source": origin.source,
        "width": width,
    }


def encode(
    sample: Sample,
    marking: MarkingSettings = PLAIN_MARKS,
    members: Members = MATTING,
    asked: tuple[str, ...] = (),
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The members of a finished sample, each picture with its mark, and its metadata.

    asked: as in `metadata`.
    Raises DataError where a picture is missing or odd-sized.
    """
    pictures: dict[str, NDArray[np.uint8]] = {}
    for member in members:
        pixels = member.pixels(sample)
        if pixels is None:
            what = "alpha or no foreground" if member in MATTING else member.name
            raise DataError("unfinished", f"the sample has no {what}")
        pictures[member.name] = pixels
    if len({picture.shape[:2] for picture in pictures.values()}) > 1:
        shapes = (f"{IN_WORDS.get(name, name)} {picture.shape[:2]}" for name, picture in pictures.items())
        raise DataError("size", f"sizes differ: {', '.join(shapes)}")
    meta = metadata(sample, pictures, asked)
    bodies = {member.extension: encode_png(pictures[member.name]) for member in members}
    bodies[JSON] = json.dumps(meta, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return mark_members(bodies, meta, marking), meta
