"""Every picture says inside its file how it came about, viewers read it, and no pixel changes."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from damage import KEY, TAR, Members, check, found, rewrite
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_set import draw

from factory.sample import COMPOSITED, EDITED, GENERATED, Origin, Request, Sample
from factory.shards.encoding import decode_png, encode, encode_png
from factory.shards.marking import (
    LABEL,
    NAMESPACES,
    PROMPT,
    SOURCE_TYPE,
    SYSTEM,
    SYSTEM_VERSION,
    TOOL,
    MarkingSettings,
    mark_members,
    marked,
    marks_in,
    read_marks,
    xmp_packet,
)
from factory.shards.reader import read_members

PICTURE = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (31, 17, 3), np.uint8)
VALUES = st.dictionaries(st.sampled_from([SOURCE_TYPE, SYSTEM, LABEL, TOOL]), st.text())


def generated(settings: MarkingSettings) -> tuple[dict[str, bytes], dict[str, object]]:
    drawn = draw(Request(key="0000000000", slot=0, attempt=0, seed=1))
    assert isinstance(drawn, Sample)
    origin = Origin(
        kind="generated",
        prompt="a fox & <a> \u0007 hen",
        negative_prompt="fog",
        source="DiffuMatting",
        model="ab" * 32,
        ai_generated=True,
        digital_source_type=GENERATED,
    )
    sample = Sample(request=drawn.request, origin=origin, rgb=drawn.rgb, alpha=drawn.alpha, foreground=drawn.foreground)
    return encode(sample, settings)


@given(fields=VALUES)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_and_no_pixel_changes(fields: dict[str, str]) -> None:
    png = encode_png(PICTURE)
    bearing = marked(png, xmp_packet(fields))
    legible = {name: "".join(c if _in_xml(c) else "\ufffd" for c in value) for name, value in fields.items()}
    legible = {name: value.replace("\r\n", "\n").replace("\r", "\n") for name, value in legible.items()}
    assert read_marks(bearing) == legible
    assert np.array_equal(decode_png(bearing), PICTURE)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(bearing))), PICTURE)
    assert bearing.startswith(png[:33])
    assert bearing.endswith(png[33:])


def _in_xml(character: str) -> bool:
    code = ord(character)
    return code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF


def test_a_generated_picture_says_so_in_all_three_members() -> None:
    members, meta = generated(MarkingSettings())
    for name in ("rgb.png", "alpha.png", "fg.png"):
        marks = read_marks(members[name])
        assert marks.pop(TOOL).startswith("matting-factory ")
        assert marks == {SOURCE_TYPE: GENERATED, SYSTEM: "DiffuMatting", SYSTEM_VERSION: "ab" * 32}
    assert json.loads(members["json"]) == meta


def test_prompt_and_chinese_label_stand_there_only_when_asked_for() -> None:
    members, meta = generated(MarkingSettings(producer="示例 & Co", prompt=True))
    for name, member in (("rgb.png", "rgb"), ("alpha.png", "alpha"), ("fg.png", "fg")):
        marks = read_marks(members[name])
        assert marks[PROMPT] == "a fox & <a> \ufffd hen\nexcluded: fog"
        label = json.loads(marks[LABEL])
        assert list(label) == [
            *("Label", "ContentProducer", "ProduceID", "ReservedCode1"),
            *("ContentPropagator", "PropagateID", "ReservedCode2"),
        ]
        assert label["Label"] == "1"
        assert label["ContentProducer"] == "示例 & Co"
        assert label["ProduceID"] == meta["hashes"][member]  # type: ignore[index]
        assert all(isinstance(value, str) for value in label.values())


def test_pictures_that_no_model_painted_claim_no_model(finished_set: Path) -> None:
    for _, members in read_members(finished_set / TAR):
        for name in ("rgb.png", "alpha.png", "fg.png"):
            assert set(read_marks(members[name])) == {SOURCE_TYPE, TOOL}
            assert read_marks(members[name])[SOURCE_TYPE] == COMPOSITED
    meta = {"digital_source_type": EDITED, "ai_generated": False}
    keyed = mark_members({"rgb.png": encode_png(PICTURE), "json": b"{}"}, meta, MarkingSettings(producer="x"))
    assert keyed["json"] == b"{}"
    assert read_marks(keyed["rgb.png"])[SOURCE_TYPE] == EDITED
    assert LABEL not in read_marks(keyed["rgb.png"])


def test_the_same_sample_gives_the_same_bytes() -> None:
    assert generated(MarkingSettings(producer="x")) == generated(MarkingSettings(producer="x"))


def test_pillow_shows_the_fields_under_their_names() -> None:
    members, _ = generated(MarkingSettings(producer="x"))
    for name, mode in (("rgb.png", "RGB"), ("alpha.png", "L"), ("fg.png", "RGB")):
        with Image.open(io.BytesIO(members[name])) as picture:
            assert picture.mode == mode
            shown = picture.getxmp()["xmpmeta"]["RDF"]["Description"]
        assert shown["DigitalSourceType"] == GENERATED
        assert shown["AISystemUsed"] == "DiffuMatting"
        assert json.loads(shown["AIGC"])["Label"] == "1"


def test_opencv_and_pillow_find_nothing_wrong_with_the_file() -> None:
    members, _ = generated(MarkingSettings())
    with Image.open(io.BytesIO(members["rgb.png"])) as picture:
        picture.verify()  # every chunk's checksum
    assert cv2.imdecode(np.frombuffer(members["rgb.png"], np.uint8), cv2.IMREAD_UNCHANGED) is not None


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_fields_without_a_warning(tmp_path: Path) -> None:
    members, _ = generated(MarkingSettings(producer="x"))
    (tmp_path / "picture.png").write_bytes(members["rgb.png"])
    command = ["exiftool", "-json", "-XMP:all", "-Warning", "-n", str(tmp_path / "picture.png")]
    (shown,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert "Warning" not in shown
    assert shown["DigitalSourceType"] == GENERATED


def test_a_hostile_or_broken_packet_tells_nothing() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    for packet in (bomb, b"", b"<x", b"\xff\xfe<\x00x\x00", b"<x/>"):
        assert marks_in(packet) == {}
    png = encode_png(PICTURE)
    for data in (b"", png[:20], png, b"\xff\xd8\xff\xe0", png[:33] + b"\xff\xff\xff\xffiTXt"):
        assert read_marks(data) == {}
    with pytest.raises(ValueError, match="only a PNG"):
        marked(b"\xff\xd8\xff\xe0", b"")


def test_properties_written_as_attributes_are_read_too() -> None:
    """As Adobe's own tools write them."""
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:e="{NAMESPACES["Iptc4xmpExt"]}" e:DigitalSourceType="here"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    assert marks_in(packet.encode()) == {SOURCE_TYPE: "here"}


def test_verify_names_a_picture_whose_mark_is_gone_or_lies(root: Path) -> None:
    plain = encode_png(decode_png(dict(read_members(root / TAR))[KEY]["fg.png"]))

    def lie(members: Members) -> None:
        members[KEY]["fg.png"] = plain
        alpha = encode_png(decode_png(members["0000010005"]["alpha.png"]))
        members["0000010005"]["alpha.png"] = marked(alpha, xmp_packet({SOURCE_TYPE: GENERATED}))

    rewrite(root, lie)
    assert {(KEY, "mark"), ("0000010005", "mark")} <= found(root)
    assert any("fg.png does not say" in fault.sentence for fault in check(root) if fault.kind == "mark")


def test_the_manifest_knows_what_the_marks_say(finished_set: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(finished_set / "manifest.parquet").to_pylist()
    assert {row["digital_source_type"] for row in rows if row["status"] == "accepted"} == {COMPOSITED}
    assert not any(row["ai_generated"] for row in rows)


def test_a_marked_tar_unpacks_to_marked_pictures(finished_set: Path, tmp_path: Path) -> None:
    with tarfile.open(finished_set / TAR) as archive:
        archive.extractall(tmp_path, filter="data")
    pictures = sorted(tmp_path.glob("*.png"))
    assert len(pictures) == 8 * 3
    assert all(read_marks(path.read_bytes())[SOURCE_TYPE] == COMPOSITED for path in pictures)
