"""Promise: a folder of clips becomes keyed samples that depend on the plan alone."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_clips import Pixels, encode, numbered

from factory.equation import plate_picture
from factory.errors import DataError, InputChanged
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.on_screen import FramingSettings
from factory.refine.keying import KeyingSettings, keyed
from factory.sample import CAPTURED, EDITED, Matte, Request, Sample
from factory.sources.clips.frames import Clips, clip_row, frame_rows
from factory.sources.clips.pairs import ClipPairs, PairProbe, clean, pair_frame_rows, pair_row, probe_pair
from factory.sources.clips.probe import ClipProbe, assign_split, list_clips, probe_clip
from factory.sources.clips.reader import chroma_halved, one_ahead
from factory.sources.clips.settings import ClipSettings
from factory.sources.clips.stretches import pack
from factory.sources.clips.video_file import VideoFile

GREEN = (0, 177, 64)
SKIN = (210, 120, 70)
SQUARE = FramingSettings(size=64, margin=(0.1, 0.1), wander=0.0, flip=0.0)


def disc(number: int, screen: Sequence[int] = GREEN, size: tuple[int, int] = (120, 160)) -> tuple[Pixels, Pixels]:
    """A disc that travels to the right: the picture, and its alpha as grey."""
    height, width = size
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    a = np.clip(34.5 - np.hypot(across - 60 - number, down - 60), 0, 1)[..., None]
    picture = a * np.array(SKIN) + (1 - a) * np.array(screen)
    return np.rint(picture).astype(np.uint8), np.rint(a * 255).astype(np.uint8).repeat(3, axis=2)


def is_disc(alpha: Matte) -> bool:
    """Whether it fills π/4 of its bounding square and a good part of its frame."""
    inside = (alpha > 127).astype(np.uint8)
    _, _, width, height = cv2.boundingRect(inside)
    filled = np.count_nonzero(inside) / (width * height)
    return abs(width - height) <= 2 and abs(filled - np.pi / 4) < 0.03 and np.count_nonzero(inside) > 0.3 * inside.size


def film(path: Path, count: int = 40, **traits: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode(path, [disc(i)[0] for i in range(count)], **({"tagged": "bt709", "options": {"g": "10"}} | traits))


def requests_of(table: Sequence[dict[str, Any] | None], shard_size: int) -> list[Request]:
    return [
        Request(key=f"{i // shard_size:06d}{i % shard_size:04d}", slot=i, attempt=0, seed=1000 + i, item=row)
        for i, row in enumerate(table)
        if row is not None
    ]


def planned(folder: Path, settings: ClipSettings, shard_size: int = 8) -> tuple[list[dict[str, Any]], list[Request]]:
    clips, stretches = [], []
    for index, name in enumerate(list_clips(folder)):
        probe = ClipProbe.from_json(json.loads(json.dumps(probe_clip(folder / name, settings).to_json())))
        clips.append(clip_row(name, probe, licence="CC0-1.0", attribution="A. Filmer"))
        stretches += frame_rows(index, name, probe, "ball", "a ball")
    return clips, requests_of(pack(stretches, shard_size), shard_size)


def keyed_all(
    source: Clips, requests: Sequence[Request], framing: FramingSettings = SQUARE
) -> list[Sample | DataError]:
    """What the source read, through the stage that keys."""
    own = {"clips": KeyingSettings(KeyerSettings(), framing)}

    def one(read: Sample | DataError) -> Sample | DataError:
        if isinstance(read, DataError):
            return read
        assert read.alpha is None and read.shot is not None
        try:
            return keyed(read, read.shot, own)
        except DataError as fault:
            return fault

    return [one(read) for read in source(requests)]


def same(a: Sample, b: Sample) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in ("rgb", "alpha", "foreground"))


def test_a_clip_becomes_keyed_samples(tmp_path: Path) -> None:
    film(tmp_path / "Grüner Ball 1.mp4")
    clips, requests = planned(tmp_path, ClipSettings(every=5))
    samples = keyed_all(Clips(tmp_path, clips, name="clips", source="studio"), requests)
    assert len(samples) == 8
    for number, sample in enumerate(samples):
        assert isinstance(sample, Sample), sample
        assert sample.origin.item == f"Grüner Ball 1.mp4@{number * 0.2:.3f}s"
        assert sample.alpha is not None and sample.foreground is not None
        assert is_disc(sample.alpha)
        assert np.abs(np.median(sample.foreground[sample.alpha == 255], axis=0) - SKIN).max() <= 6
        a = sample.alpha[..., None] / 255
        assert np.abs(a * sample.foreground + (1 - a) * np.array((0, 255, 0)) - sample.rgb).max() <= 1
        assert plate_picture(sample.plate, 64, 64).max() == 255
    origin = samples[0].origin
    assert (origin.kind, origin.colour, origin.source) == ("keyed", "bt709 tv", "studio")
    assert (origin.foreground, origin.digital_source_type, origin.soft_alpha) == ("unmixed", EDITED, True)
    assert (origin.licence, origin.attribution, origin.caption) == ("CC0-1.0", "A. Filmer", "a ball")


@pytest.mark.parametrize(("name", "screen"), [("blue", (20, 60, 200)), ("yellow", (235, 205, 10))])
def test_other_screens_by_the_same_code(tmp_path: Path, name: str, screen: tuple[int, int, int]) -> None:
    subject = [
        cv2.circle(np.full((120, 160, 3), screen, np.uint8), (70 + i, 60), 30, (120, 125, 130), -1, cv2.LINE_AA)
        for i in range(6)
    ]
    encode(tmp_path / f"{name}.mp4", subject, tagged="bt709")
    clips, requests = planned(tmp_path, ClipSettings(every=2))
    for sample in keyed_all(Clips(tmp_path, clips, name="clips"), requests):
        assert isinstance(sample, Sample) and sample.alpha is not None
        assert is_disc(sample.alpha)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.avi"])
def test_samples_depend_neither_on_order_nor_on_batches_nor_on_the_worker(tmp_path: Path, name: str) -> None:
    codec = {"codec": "mpeg4", "options": {"g": "10", "b": "2000000"}} if name == "a.avi" else {}
    film(tmp_path / "clips" / name, **codec)
    film(tmp_path / "clips" / "second.mkv", count=12)
    clips, requests = planned(tmp_path / "clips", ClipSettings(every=3), shard_size=4)
    whole = keyed_all(Clips(tmp_path / "clips", clips, name="clips"), requests)
    shards: dict[str, list[Request]] = {}
    for request in requests:
        shards.setdefault(request.key[:6], []).append(request)
    source = Clips(tmp_path / "clips", clips, name="clips")
    for _, shard in reversed(shards.items()):
        for start in range(0, len(shard), 3):
            part = shard[start : start + 3]
            for request, sample in zip(part, keyed_all(source, part), strict=True):
                twin = whole[requests.index(request)]
                assert isinstance(sample, Sample) and isinstance(twin, Sample)
                assert same(sample, twin)


def test_a_screen_that_is_none_is_refused_with_the_reason(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = [cv2.resize(random.integers(60, 190, (9, 12, 1), np.uint8).repeat(3, 2), (160, 96)) for _ in range(6)]
    encode(tmp_path / "street.mp4", noise, tagged="bt709")
    probe = probe_clip(tmp_path / "street.mp4", ClipSettings())
    assert (probe.error_kind, probe.plate) == ("no_screen", b"")
    clips, requests = planned(tmp_path, ClipSettings())
    (fault,) = keyed_all(Clips(tmp_path, clips, name="clips"), requests)
    assert isinstance(fault, DataError) and fault.kind == "no_screen" and str(fault) == probe.error


def test_a_clip_whose_resolution_changes_loses_only_the_other_frames(tmp_path: Path) -> None:
    first = film(tmp_path / "one.ts", 10, times=[i * 40 for i in range(10)])
    later = [np.ascontiguousarray(disc(i)[0][:96, :128]) for i in range(10)]
    second = encode(tmp_path / "two.ts", later, tagged="bt709", times=[i * 40 for i in range(20, 30)])
    joined = tmp_path / "joined" / "a.ts"
    joined.parent.mkdir()
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    clips, requests = planned(joined.parent, ClipSettings(every=2))
    outcome = keyed_all(Clips(joined.parent, clips, name="clips"), requests)
    kinds = ["" if isinstance(sample, Sample) else sample.kind for sample in outcome]
    assert kinds == [""] * 4 + ["undecodable"] + ["size"] * 5  # the last frame before the joint is damaged by it
    assert "128×96 in a clip of 160×120" in str(outcome[-1])


@pytest.mark.parametrize("name", ["a.mkv", "fast.mp4"])
def test_what_is_cut_off_a_clip_is_recorded_once(tmp_path: Path, name: str) -> None:
    front = {"movflags": "faststart"} if name == "fast.mp4" else {}
    path = film(tmp_path / name, count=60, options={"g": "10"}, container_options=front)
    whole = probe_clip(path, ClipSettings(every=5))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    rest = probe_clip(path, ClipSettings(every=5))
    assert len(whole.pts) == 12
    assert rest.pts[:-1] == whole.pts[: len(rest.pts) - 1]
    assert 2 <= len(rest.pts) - 1 < 12
    with closing(VideoFile(path)) as video, pytest.raises(DataError, match="cut off"):
        video.frame(rest.pts[-1], rest.key_pts[-1])


def test_a_slow_clip_is_not_taken_for_one_that_is_cut_off(tmp_path: Path) -> None:
    with closing(VideoFile(film(tmp_path / "a.mkv", count=60))) as video:
        stamps = video.stamps()
        assert video.absent(stamps) == ()
        assert video.absent(replace(stamps, pts=stamps.pts[::30])) == ()  # one picture in 1.2 seconds
        assert video.absent(replace(stamps, pts=stamps.pts[:30]))


def test_an_interlaced_clip_is_refused(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 4, options={"x264-params": "interlaced=1"})
    probe = probe_clip(tmp_path / "a.mp4", ClipSettings())
    assert (probe.error_kind, "deinterlace" in probe.error) == ("interlaced", True)


def test_a_changed_or_missing_clip_ends_the_run(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 12)
    clips, requests = planned(tmp_path, ClipSettings(every=4))
    film(path, 13)
    with pytest.raises(InputChanged, match=r"a\.mp4 has changed"):
        keyed_all(Clips(tmp_path, clips, name="clips"), requests)
    path.unlink()
    with pytest.raises(InputChanged, match="is gone"):
        keyed_all(Clips(tmp_path, clips, name="clips"), requests)


def test_a_turned_clip_is_keyed_upright(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 4, rotation=90)
    probe = probe_clip(tmp_path / "a.mp4", ClipSettings())
    assert (probe.geometry.width, probe.geometry.height, probe.geometry.rotation) == (120, 160, 90)
    clips, requests = planned(tmp_path, ClipSettings())
    (sample,) = keyed_all(Clips(tmp_path, clips, name="clips"), requests)
    assert isinstance(sample, Sample)


def test_one_frame_is_decoded_ahead_and_no_more() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(5):
            taken.append(item)
            yield item

    with ThreadPoolExecutor(1) as pool:
        decoded = one_ahead(pool, lambda item: item * 10, items())
        assert next(decoded) == 0
        assert taken == [0, 1]
        assert list(decoded) == [10, 20, 30, 40]


def test_stretches_begin_at_key_frames_and_shards_at_stretches(tmp_path: Path) -> None:
    rows = frame_rows(3, "a.mp4", probe_clip(film(tmp_path / "a.mp4"), ClipSettings(every=4)), "ball", "a ball")
    assert [len(stretch) for stretch in rows] == [3, 2, 3, 2]
    assert all(row["key_pts"] == stretch[0]["key_pts"] for stretch in rows for row in stretch)
    assert rows[1][0] | {"pts": 0, "key_pts": 0} == {
        "clip": 3, "pts": 0, "key_pts": 0, "path": "a.mp4@0.480s", "class_name": "ball", "caption": "a ball",
    }  # fmt: skip
    unreliable = probe_clip(film(tmp_path / "a.ts"), ClipSettings(every=4))
    assert len(frame_rows(0, "a.ts", unreliable, "ball", "a ball")) == 1


def test_packing_leaves_holes_and_cuts_only_what_is_too_long() -> None:
    assert pack([[1, 2, 3], [4, 5], [6]], 4) == [1, 2, 3, None, 4, 5, 6]
    assert pack([[1], [2, 3, 4, 5, 6], [7]], 2) == [1, None, 2, 3, 4, 5, 6, 7]
    assert pack([], 4) == []
    assert pack([[1, 2], [3, 4]], 2) == [1, 2, 3, 4]


def test_validation_clips_stay_when_clips_are_added() -> None:
    some, more = [f"clip {i}.mp4" for i in range(200)], [f"neu/{i}.mov" for i in range(300)]
    chosen = assign_split(some, 0.2, seed=5)
    assert 20 < len(chosen) < 60
    assert assign_split(more + some, 0.2, seed=5) & set(some) == chosen
    assert assign_split(some, 0.2, seed=6) != chosen
    assert assign_split(some, 0, seed=5) == set()
    assert assign_split(some, 1, seed=5) == set(some)


def test_real_clips_are_found_to_have_their_screens(shared_data: Path) -> None:
    folder = shared_data / "greenscreen"
    clips, requests = planned(folder, ClipSettings(every=40), shard_size=16)
    assert [clip["path"] for clip in clips] == ["aframe/example.mp4", "mdn/video.mp4"]
    green, yellow = (clip["screen"] for clip in clips)
    assert green[1] > 240
    assert max(green[0], green[2]) < 60
    assert min(yellow[:2]) > 150
    assert yellow[2] < 40
    person = [r for r in requests if r.item["clip"] == 1][-3:]  # earlier ones are cut by three sides
    for sample in keyed_all(Clips(folder, clips, name="clips"), person, replace(SQUARE, size=128)):
        assert isinstance(sample, Sample) and sample.alpha is not None
        assert 0.1 < (sample.alpha > 127).mean() < 0.8


def write_pair(folder: Path, count: int = 20, mattes: int = 20, **traits: Any) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    colours = [disc(i, (40, 30, 20))[0] for i in range(count)]
    coverage = [disc(i)[1] for i in range(mattes)]
    quality = {"options": {"g": "10", "bf": "2"}, "tagged": "bt709"}
    return (
        encode(folder / "fgr.mp4", colours, **quality),
        encode(folder / "pha.mp4", coverage, **(quality | {"options": {"g": "7", "crf": "18"}} | traits)),
    )


def pair_source(folder: Path, settings: ClipSettings) -> tuple[list[Sample | DataError], PairProbe]:
    probe = probe_pair(folder / "fgr.mp4", folder / "pha.mp4", settings)
    assert PairProbe.from_json(json.loads(json.dumps(probe.to_json()))) == probe
    row = pair_row("fgr.mp4", "pha.mp4", probe, source="videomatte240k", licence="", attribution="Lin et al.")
    requests = requests_of(pack(pair_frame_rows(0, "fgr.mp4", probe, "person", "a person"), 8), 8)
    return ClipPairs(folder, [row], SQUARE)(requests), probe


@pytest.mark.parametrize("traits", [{}, {"full": True}, {"rate": 30}, {"codec": "libx265", "options": {}}])
def test_pairs_of_videos_go_in_lockstep(tmp_path: Path, traits: dict[str, Any]) -> None:
    write_pair(tmp_path, **traits)
    samples, probe = pair_source(tmp_path, ClipSettings(every=6))
    assert (probe.error, len(samples)) == ("", 4)
    for sample in samples:
        assert isinstance(sample, Sample) and sample.alpha is not None and sample.foreground is not None
        assert (sample.alpha[0] == 0).all() and sample.alpha[32, 32] == 255
        assert is_disc(sample.alpha)
        assert np.abs(np.median(sample.foreground[sample.alpha == 255], axis=0) - SKIN).max() <= 6
        assert (sample.origin.kind, sample.origin.foreground) == ("composited", "given")
        assert (sample.origin.digital_source_type, sample.origin.source) == (CAPTURED, "videomatte240k")
    assert any(((s.alpha > 20) & (s.alpha < 235)).any() for s in samples if isinstance(s, Sample))


def test_pairs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_pair(tmp_path / "short", mattes=15)
    (fault,), probe = pair_source(tmp_path / "short", ClipSettings())
    assert isinstance(fault, DataError) and fault.kind == probe.error_kind == "length"
    write_pair(tmp_path / "other")
    encode(tmp_path / "other" / "pha.mp4", [numbered(i) for i in range(20)])
    (fault,), _ = pair_source(tmp_path / "other", ClipSettings())
    assert isinstance(fault, DataError) and fault.kind == "size"
    write_pair(tmp_path / "lost")
    (tmp_path / "lost" / "pha.mp4").write_bytes(b"")
    (fault,), _ = pair_source(tmp_path / "lost", ClipSettings())
    assert isinstance(fault, DataError) and fault.kind == "undecodable"


def test_coding_noise_is_taken_from_a_matte() -> None:
    alpha = np.array([[0, 1, 2, 3, 128, 252, 253, 254, 255]], np.uint8)
    assert clean(alpha).tolist() == [[0, 0, 0, 3, 128, 252, 255, 255, 255]]


def test_large_frames_are_averaged_before_they_are_keyed(tmp_path: Path) -> None:
    """The matte of the mean is the mean of the mattes, but for the half pixel to which bounds are known."""
    film(tmp_path / "a.mp4", 4)
    probe = probe_clip(tmp_path / "a.mp4", ClipSettings(keyed_at=60))
    assert (probe.geometry.width, probe.geometry.height) == (80, 60)
    assert probe_clip(tmp_path / "a.mp4", ClipSettings(keyed_at=0)).geometry.width == 160
    clips, requests = planned(tmp_path, ClipSettings(keyed_at=60))
    (small,) = keyed_all(Clips(tmp_path, clips, name="clips"), requests)
    clips, requests = planned(tmp_path, ClipSettings())
    (whole,) = keyed_all(Clips(tmp_path, clips, name="clips"), requests)
    assert isinstance(small, Sample) and small.alpha is not None
    assert isinstance(whole, Sample) and whole.alpha is not None
    assert is_disc(small.alpha)
    assert np.abs(small.alpha.astype(float) - whole.alpha).mean() < 8


def test_a_clip_knows_whether_its_colours_are_blurred_when_it_is_keyed(tmp_path: Path) -> None:
    film(tmp_path / "full.mp4", 5, pixels="yuv444p")
    film(tmp_path / "half.mp4", 5)
    film(tmp_path / "turned.mp4", 5, rotation=90)
    known = {row["path"]: chroma_halved(row) for row in planned(tmp_path, ClipSettings())[0]}
    assert known == {"full.mp4": False, "half.mp4": True, "turned.mp4": True}
    made_smaller, _ = planned(tmp_path, ClipSettings(keyed_at=60))
    assert not any(map(chroma_halved, made_smaller))
