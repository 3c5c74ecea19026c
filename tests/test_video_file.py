"""Promise: frame t of a clip is frame t of a sequential pass, however it is reached; faults cost only themselves."""

import random
from bisect import bisect_right
from pathlib import Path

import av
import numpy as np
import pytest
from small_clips import encode, number_of, numbered

from factory.errors import DataError, UsageError
from factory.sources.clips.colour import colours_of, to_rgb
from factory.sources.clips.probe import chosen, list_clips, probe_clip
from factory.sources.clips.settings import ClipSettings
from factory.sources.clips.video_file import Stamps, VideoFile

COUNT = 40
B_FRAMES = {"bf": "2", "g": "10"}
OPEN_H264 = {"g": "10", "bf": "3", "preset": "medium", "x264-params": "open-gop=1:b-pyramid=normal:scenecut=0"}
OPEN_HEVC = {"x265-params": "keyint=10:bframes=3:open-gop=1:log-level=none"}
REFRESH = {"g": "10", "bf": "0", "preset": "medium", "x264-params": "intra-refresh=1"}
CLIPS = {
    "b.mp4": {"options": B_FRAMES},
    "b.mkv": {"options": B_FRAMES},
    "b.ts": {"options": B_FRAMES},
    "open.mp4": {"options": OPEN_H264},
    "open.ts": {"options": OPEN_H264},
    "open hevc.mkv": {"codec": "libx265", "options": OPEN_HEVC},
    "refresh.mp4": {"options": REFRESH},
    "vfr.mp4": {"options": B_FRAMES, "times": [i * 40 + (i % 3) * 11 + 200 * (i > 20) for i in range(COUNT)]},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "12"}},
    "xvid.avi": {"codec": "mpeg4", "options": {"b": "3000000"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"b": "3000000", "bf": "2"}},
    "all intra.mov": {"codec": "mjpeg", "pixels": "yuvj420p", "full": True},
}


def number_at(video: VideoFile, pts: int, key_pts: int) -> int:
    frame = video.frame(pts, key_pts)
    return number_of(to_rgb(frame, colours_of(frame)))


@pytest.mark.parametrize("name", CLIPS)
def test_a_frame_is_the_same_however_it_is_reached(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, [numbered(i) for i in range(COUNT)], **CLIPS[name])
    video = VideoFile(path)
    stamps = video.stamps()
    entries = video.entries(stamps)
    keys = [entries[bisect_right(entries, pts) - 1] for pts in stamps.pts]
    assert len(stamps.pts) == COUNT
    forward = [number_at(video, *pair) for pair in zip(stamps.pts, keys, strict=True)]
    assert forward == list(range(COUNT))
    shuffled = list(range(COUNT))
    random.Random(1).shuffle(shuffled)
    for number in shuffled[:12]:
        assert number_at(video, stamps.pts[number], keys[number]) == number
        fresh = VideoFile(path, seekable=video.seekable, strict=video.strict)
        assert number_at(fresh, stamps.pts[number], keys[number]) == number
        fresh.close()


def test_only_an_index_that_can_be_trusted_is_used(tmp_path: Path) -> None:
    seekable = {}
    for name in ("b.mp4", "b.mkv", "b.ts", "open.mp4", "refresh.mp4", "mpeg2.mpg", "xvid.avi"):
        video = VideoFile(encode(tmp_path / name, [numbered(i) for i in range(COUNT)], **CLIPS[name]))
        entries = video.entries(video.stamps())
        seekable[name] = (video.seekable, video.strict, len(entries) > 1)
    assert seekable == {
        "b.mp4": (True, True, True),
        "b.mkv": (True, True, True),
        "b.ts": (False, True, True),
        "open.mp4": (True, False, True),
        "refresh.mp4": (False, True, False),
        "mpeg2.mpg": (False, True, True),
        "xvid.avi": (False, True, True),
    }


def test_frames_between_two_wanted_groups_are_not_decoded(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [numbered(i) for i in range(COUNT)], options=B_FRAMES)
    video = VideoFile(path)
    stamps = video.stamps()
    assert number_at(video, stamps.pts[3], stamps.keys[0]) == 3
    assert number_at(video, stamps.pts[31], stamps.keys[3]) == 31
    assert len(video._passed) < 4


def test_a_mislabelled_seek_index_is_survived(tmp_path: Path) -> None:
    """A planned key frame that a seek misses is looked for from the start."""
    path = encode(tmp_path / "a.mkv", [numbered(i) for i in range(COUNT)], options=B_FRAMES)
    data = path.read_bytes()
    cues = data.rindex(b"\x1c\x53\xbb\x6b")
    path.write_bytes(data[:cues] + b"\xec" + data[cues + 1 :])  # the index turns into filling
    video = VideoFile(path)
    stamps = video.stamps()
    assert number_at(video, stamps.pts[35], stamps.keys[3]) == 35
    assert number_at(video, stamps.pts[12], stamps.keys[1]) == 12


def test_which_frames_are_chosen(tmp_path: Path) -> None:
    stamps = Stamps(pts=tuple(range(0, 4000, 40)), keys=(0, 1000, 2000, 3000))
    base = VideoFile(encode(tmp_path / "a.mkv", [numbered(0)])).time_base  # 1/1000 s
    assert chosen(stamps, ClipSettings(), base) == tuple(range(0, 4000, 800))
    assert chosen(stamps, ClipSettings(every=3), base)[:3] == (0, 120, 240)
    assert chosen(stamps, ClipSettings(frames="keyframes"), base) == stamps.keys
    assert chosen(stamps, ClipSettings(frames="rate", rate=2), base) == (0, 520, 1000, 1520, 2000, 2520, 3000, 3520)
    uneven = Stamps(pts=(0, 10, 20, 900, 910, 2500), keys=(0,))
    assert chosen(uneven, ClipSettings(frames="rate", rate=1), base) == (0, 2500)
    assert chosen(uneven, ClipSettings(frames="rate", rate=500), base) == uneven.pts
    with pytest.raises(UsageError, match="every"):
        ClipSettings(every=0)


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_faults_of_a_file_are_told_not_raised(tmp_path: Path) -> None:
    good = encode(tmp_path / "good.mp4", [numbered(i) for i in range(8)])
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(good.read_bytes()[:-200])
    empty = tmp_path / "empty.mov"
    empty.touch()
    text = tmp_path / "text.mkv"
    text.write_text("1\n00:00:01,000 --> 00:00:02,000\nno video at all\n" * 50)
    listing = tmp_path / "list.mp4"  # names another file: must not be followed
    listing.write_text(f"ffconcat version 1.0\nfile '{good.name}'\n")
    picture = tmp_path / "picture.avi"
    frame = av.VideoFrame.from_ndarray(numbered(1), format="rgb24")
    frame.save(str(tmp_path / "still.png"))
    (tmp_path / "still.png").rename(picture)
    locked = encode(
        tmp_path / "locked.mp4",
        [numbered(i) for i in range(8)],
        container_options={
            "encryption_scheme": "cenc-aes-ctr",
            "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
            "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
        },
    )
    strange = tmp_path / "strange.mp4"
    strange.write_bytes(good.read_bytes().replace(b"avc1", b"zzzz"))
    kinds = {
        path.name: probe_clip(path, ClipSettings()).error_kind
        for path in (truncated, empty, text, listing, picture, write_sound(tmp_path / "sound.mp4"), locked, strange)
    }
    assert kinds == {
        "truncated.mp4": "undecodable",
        "empty.mov": "undecodable",
        "text.mkv": "undecodable",
        "list.mp4": "undecodable",
        "picture.avi": "undecodable",
        "sound.mp4": "no_video",
        "locked.mp4": "encrypted",
        "strange.mp4": "codec",
    }


def test_a_video_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [numbered(i) for i in range(4)]).rename(tmp_path / "a.avi")
    assert len(VideoFile(path).stamps().pts) == 4


@pytest.mark.parametrize("name", ["b.ts", "b.mkv", "fast.mp4"])
def test_a_cut_clip_keeps_its_whole_frames(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name == "fast.mp4" else {}
    path = encode(tmp_path / name, [numbered(i) for i in range(COUNT)], options=B_FRAMES, container_options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    video = VideoFile(path)
    stamps = video.stamps()
    numbers = []
    for pts in stamps.pts:
        try:
            numbers.append(number_at(video, pts, stamps.keys[bisect_right(stamps.keys, pts) - 1]))
        except DataError as fault:
            assert fault.kind in {"frame", "undecodable"}
    assert len(numbers) >= 12
    assert numbers == sorted(numbers)
    assert numbers[:12] == list(range(12))


def test_what_builds_upon_a_broken_frame_is_lost_and_nothing_else(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [numbered(i) for i in range(COUNT)], options=B_FRAMES)
    with av.open(str(path)) as container:
        key = [p for p in container.demux(video=0) if p.is_keyframe][2]
        place, size = key.pos, key.size
    data = bytearray(path.read_bytes())
    data[place + size // 4 : place + size // 2] = random.Random(0).randbytes(size // 2 - size // 4)
    path.write_bytes(data)
    video = VideoFile(path)
    stamps = video.stamps()
    lost = []
    for number, pts in enumerate(stamps.pts):
        try:
            assert number_at(video, pts, stamps.keys[bisect_right(stamps.keys, pts) - 1]) == number
        except DataError:
            lost.append(number)
    assert set(range(20, 30)) <= set(lost) <= set(range(16, 30))  # shown before, decoded after: lost too


def test_clips_are_listed_by_name_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.MP4", "tief/Ein Schöner Film 日本.mov", "tief/c.txt", ".hidden.mp4", ".cache/d.mp4", "z.m2ts"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list_clips(tmp_path) == ["b.MP4", "tief/Ein Schöner Film 日本.mov", "z.m2ts"]
    assert list_clips(tmp_path, ["tief/*"]) == ["tief/Ein Schöner Film 日本.mov"]
    with pytest.raises(UsageError, match="no folder"):
        list_clips(tmp_path / "absent")
    (tmp_path / "bare").mkdir()
    with pytest.raises(UsageError, match="no video"):
        list_clips(tmp_path / "bare")
