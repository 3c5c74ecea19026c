"""Says inside each PNG how its picture came about, for whoever meets it outside its set. No pixel changes.

One XMP packet (ISO 16684-1) in one iTXt chunk right after the header: IPTC's Digital Source Type for every picture,
IPTC 2025.1's AI fields and, where a producer is configured, the label of China's GB 45438-2025 (practice guide
TC260-PG-20258A) for those that a model painted. The alpha bears it too: it is the same system's work, and a matte is
handed on alone as often as a picture.

A watermark in the pixels would move alpha's edge by several levels: training data must not bear one.
"""

import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from factory import __version__

NAMESPACES: Mapping[str, str] = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
SOURCE_TYPE = "Iptc4xmpExt:DigitalSourceType"
SYSTEM = "Iptc4xmpExt:AISystemUsed"
SYSTEM_VERSION = "Iptc4xmpExt:AISystemVersionUsed"
PROMPT = "Iptc4xmpExt:AIPromptInformation"
LABEL = "TC260:AIGC"
TOOL = "xmp:CreatorTool"
TOOL_NAME = "matting-factory"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PNG = b"\x89PNG\r\n\x1a\n"
HEADER_END = 33  # signature, then IHDR: length, type, 13 bytes, CRC
_ITXT_HEAD = b"XML:com.adobe.xmp\0\0\0\0\0"  # keyword; not compressed; neither language nor translated keyword
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 has no way to write these


@dataclass(frozen=True, kw_only=True)
class MarkingSettings:
    """What the marks say beyond the minimum.

    producer: name or code of whoever answers for the generated pictures under GB 45438-2025; "" leaves that label out.
    prompt: whether the prompt stands in the pictures too. It may be private; the sample's JSON has it in any case.
    """

    producer: str = ""
    prompt: bool = False


def xmp_packet(fields: Mapping[str, str]) -> bytes:
    """An XMP packet of simple text properties.  fields: "prefix:Name" → value, of the NAMESPACES; order is kept."""
    prefixes = sorted({name.partition(":")[0] for name in fields})
    declared = "".join(f' xmlns:{prefix}="{NAMESPACES[prefix]}"' for prefix in prefixes)
    properties = "".join(
        f"<{name}>{escape(_NOT_XML.sub(chr(0xFFFD), value))}</{name}>" for name, value in fields.items()
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
        f'<rdf:Description rdf:about=""{declared}>{properties}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="r"?>'
    ).encode()


def marked(png: bytes, packet: bytes) -> bytes:
    """The PNG, which bears no mark yet, with the packet in a chunk after its header. All other bytes stay."""
    return with_chunk(png, b"iTXt" + _ITXT_HEAD + packet)


def with_chunk(png: bytes, body: bytes) -> bytes:
    """The PNG with one chunk more, right after its header.  body: the chunk's four letters and what it says."""
    if png[:8] != _PNG or png[12:16] != b"IHDR":
        raise ValueError("only a PNG can be marked")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return b"".join((png[:HEADER_END], chunk, png[HEADER_END:]))


def mark_fields(meta: Mapping[str, Any], member: str, settings: MarkingSettings) -> dict[str, str]:
    """What one picture of a sample says of itself.  meta: the sample's JSON.  member: "rgb", "alpha" or "fg"."""
    fields = {SOURCE_TYPE: meta["digital_source_type"], TOOL: f"{TOOL_NAME} {__version__}"}
    if not meta["ai_generated"]:
        return fields
    fields |= {SYSTEM: meta["source"], SYSTEM_VERSION: meta["model"]}
    if settings.prompt:
        excluded = f"\nexcluded: {meta['negative_prompt']}" if meta["negative_prompt"] else ""
        fields[PROMPT] = meta["prompt"] + excluded
    if settings.producer:
        label = {
            "Label": "1",  # is AI-generated (2: may be, 3: is suspected to be)
            "ContentProducer": settings.producer,
            "ProduceID": meta["hashes"][member],
            "ReservedCode1": "",
            "ContentPropagator": "",  # for whoever publishes the picture
            "PropagateID": "",
            "ReservedCode2": "",
        }
        fields[LABEL] = json.dumps(label, ensure_ascii=False, separators=(",", ":"))
    return fields


def mark_members(members: Mapping[str, bytes], meta: Mapping[str, Any], settings: MarkingSettings) -> dict[str, bytes]:
    """A sample's members with its pictures marked.  members: extension → bytes.  meta: their JSON."""
    return {
        extension: marked(body, xmp_packet(mark_fields(meta, extension.removesuffix(".png"), settings)))
        if extension.endswith(".png")
        else body
        for extension, body in members.items()
    }


def read_marks(png: bytes) -> dict[str, str]:
    """The properties in a PNG's XMP packet, as `mark_fields` names them; {} where it has none."""
    place = len(_PNG)
    while png.startswith(_PNG) and place + 12 <= len(png):
        size, kind = struct.unpack_from(">I4s", png, place)
        body = png[place + 8 : place + 8 + size]
        if kind == b"iTXt" and body.startswith(_ITXT_HEAD):
            return marks_in(body[len(_ITXT_HEAD) :])
        if kind == b"IDAT":  # ours lies before the pixels
            break
        place += size + 12
    return {}


def marks_in(packet: bytes) -> dict[str, str]:
    """The simple properties of our namespaces in an XMP packet, written as elements or attributes; {} if it is broken.

    A packet that declares entities is not read: XMP has none, and they can be made to fill the memory.
    """
    try:
        text = packet.decode()
        if "<!DOCTYPE" in text:
            return {}
        root = ElementTree.fromstring(text.strip("\0\ufeff"))
    except (UnicodeDecodeError, ElementTree.ParseError):
        return {}
    prefixes = {uri: prefix for prefix, uri in NAMESPACES.items()}
    found: dict[str, str] = {}
    for description in root.iter(f"{{{_RDF}}}Description"):
        properties = [*description.items(), *((child.tag, child.text or "") for child in description)]
        for tag, value in properties:
            uri, _, name = tag.removeprefix("{").partition("}")
            if uri in prefixes:
                found[f"{prefixes[uri]}:{name}"] = value
    return found
