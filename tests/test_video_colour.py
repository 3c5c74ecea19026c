"""Promise: the levels that reach the keyer are those that were filmed, whatever the clip's matrix, range and depth."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from small_clips import Pixels, encode, filled, planes

from factory.errors import DataError
from factory.sources.clips.colour import Colours, Siting, colours_of, to_rgb
from factory.sources.clips.probe import ClipProbe, probe_clip, upright_rgb
from factory.sources.clips.settings import ClipSettings
from factory.sources.clips.video_file import VideoFile

PATCHES = (
    *((0, 177, 64), (0, 255, 0), (0, 71, 187), (255, 255, 255), (0, 0, 0), (128, 128, 128)),
    *((200, 40, 60), (255, 224, 189), (90, 60, 40), (250, 240, 20), (30, 144, 255), (180, 0, 200)),
)
WITHIN = 3.0  # levels
QUIET = {
    "x265-params": "log-level=none:pools=none:frame-threads=1"
}  # with threads of its own it failed once, on a full machine


def chart(height: int = 48, width: int = 64) -> Pixels:
    """Twelve patches in three rows."""
    rows = [
        np.concatenate([np.full((height // 3, width // 4, 3), c, np.uint8) for c in PATCHES[r : r + 4]], axis=1)
        for r in (0, 4, 8)
    ]
    return np.concatenate(rows)


def worst_patch(picture: "np.ndarray", sample: Pixels) -> float:
    """Largest error at the patches' middles, in levels."""
    height, width = sample.shape[:2]
    errors = [
        np.abs(picture[row, column] * 255 - sample[row, column]).max()
        for row in range(height // 6, height, height // 3)
        for column in range(width // 8, width, width // 4)
    ]
    return float(max(errors))


def first_frame(path: Path) -> av.VideoFrame:
    video = VideoFile(path)
    stamps = video.stamps()
    return video.frame(stamps.pts[0], stamps.keys[0])


@pytest.mark.parametrize(
    ("name", "traits"),
    [
        ("601.mp4", {"matrix": "bt601", "tagged": "bt601"}),
        ("709.mp4", {"tagged": "bt709"}),
        ("full 709.mp4", {"tagged": "bt709", "full": True, "pixels": "yuvj420p"}),
        ("full 601.mkv", {"matrix": "bt601", "tagged": "bt601", "full": True}),
        ("ten bits.mp4", {"tagged": "bt709", "pixels": "yuv420p10le"}),
        ("ten bits hevc.mkv", {"tagged": "bt709", "pixels": "yuv420p10le", "codec": "libx265", "options": QUIET}),
        ("422.mov", {"tagged": "bt709", "pixels": "yuv422p10le", "codec": "prores_ks"}),
        ("444.mp4", {"tagged": "bt709", "pixels": "yuv444p"}),
        ("untagged and small.mp4", {"matrix": "bt601"}),
        ("411.avi", {"matrix": "bt601", "pixels": "yuv411p", "codec": "ffv1"}),
    ],
)
def test_patches_keep_their_levels(tmp_path: Path, name: str, traits: dict[str, Any]) -> None:
    frame = first_frame(encode(tmp_path / name, [chart()], **traits))
    colours = colours_of(frame)
    assert colours.matrix == traits.get("matrix", "bt709")
    assert colours.range == ("pc" if traits.get("full") else "tv")
    assert colours.assumed == ("tagged" not in traits)
    assert worst_patch(to_rgb(frame, colours), chart()) <= WITHIN


def on_screen(screen: tuple[int, int, int], height: int) -> Pixels:
    """A red box before a screen."""
    picture = np.full((height, 160, 3), screen, np.uint8)
    picture[height // 4 : height // 2, 50:110] = (180, 60, 50)
    return picture


@pytest.mark.parametrize("screen", [(0, 255, 0), (0, 0, 255), (255, 0, 255), (255, 255, 0)])
@pytest.mark.parametrize(("height", "coded", "rule"), [(720, "bt601", "bt709"), (240, "bt709", "bt601")])
def test_a_screen_that_leaves_the_gamut_tells_the_matrix_of_untagged_video(
    tmp_path: Path, screen: tuple[int, int, int], height: int, coded: str, rule: str
) -> None:
    pictures = [on_screen(screen, height)] * 2
    probe = probe_clip(encode(tmp_path / "a.mp4", pictures, matrix=coded), ClipSettings(every=1))
    assert probe.error_kind == ""
    assert np.abs(np.subtract(probe.screen.colour, screen)).max() < WITHIN
    assert probe.colours.told(height) == f"{coded} tv assumed: as {rule} its screen would leave the gamut"
    said = ClipSettings(every=1, matrix="bt709" if rule == "bt709" else "bt601")
    assert probe_clip(tmp_path / "a.mp4", said).colours.matrix == rule


@pytest.mark.parametrize("screen", [(0, 177, 64), (70, 160, 80), (0, 71, 187), (0, 255, 0)])
@pytest.mark.parametrize(("height", "rule"), [(720, "bt709"), (240, "bt601")])
def test_any_other_screen_leaves_the_matrix_to_the_rule(
    tmp_path: Path, screen: tuple[int, int, int], height: int, rule: str
) -> None:
    pictures = [on_screen(screen, height)] * 2
    probe = probe_clip(encode(tmp_path / "a.mp4", pictures, matrix=rule), ClipSettings(every=1))
    assert probe.colours.told(height) == f"{rule} tv assumed"
    tagged = probe_clip(encode(tmp_path / "b.mp4", pictures, matrix="bt601", tagged="bt709"), ClipSettings(every=1))
    assert tagged.colours.told(height) == "bt709 tv"


def test_untagged_video_is_709_from_720_lines_on(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [chart(720, 64)], matrix="bt709")
    frame = first_frame(path)
    assert str(colours_of(frame)) == "bt709 tv assumed"
    assert worst_patch(to_rgb(frame, colours_of(frame)), chart(720, 64)) <= WITHIN


def test_the_recipe_overrides_a_wrong_guess(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [chart()] * 2, matrix="bt709")
    settings = ClipSettings(every=1, matrix="bt709", siting="centre")
    probe = probe_clip(path, settings)
    assert probe.error_kind == "no_screen"  # a chart is none; what follows is the colour alone
    frame = first_frame(path)
    wrong, right = colours_of(frame), Colours(matrix="bt709", range="tv")
    assert worst_patch(to_rgb(frame, wrong), chart()) > 20
    assert worst_patch(to_rgb(frame, right), chart()) <= WITHIN


@pytest.mark.parametrize(("codec", "pixels"), [("libx264rgb", "rgb24"), ("qtrle", "rgb24"), ("ffv1", "gbrp10le")])
def test_rgb_codecs_are_read_as_they_are(tmp_path: Path, codec: str, pixels: str) -> None:
    path = tmp_path / "a.mov" if codec != "ffv1" else tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        if codec == "libx264rgb":
            stream.options = {"crf": "0", "preset": "ultrafast"}
        frame = av.VideoFrame.from_ndarray(chart(), format="rgb24").reformat(format=pixels)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    frame = first_frame(path)
    assert worst_patch(to_rgb(frame, colours_of(frame)), chart()) <= 1


def test_repacked_layouts_equal_the_planar_one() -> None:
    content = planes(chart(), matrix="bt709", full=False, bits=8, across=2, down=2)
    planar = filled(av.VideoFrame(64, 48, "yuv420p"), content)
    colours = Colours(matrix="bt709", range="tv")
    same = to_rgb(planar.reformat(format="nv12"), colours)
    assert np.array_equal(same, to_rgb(planar, colours))


@pytest.mark.parametrize(("siting", "shift"), [("centre", 0.5), ("left", 0.0)])
def test_chroma_goes_to_its_place(siting: Siting, shift: float) -> None:
    """A chroma ramp, sampled where the siting says, comes back as the ramp."""
    x = np.arange(64, dtype=np.float64)
    luma = np.full((32, 64), 120, np.uint16)
    ramp = np.rint(400 + 4 * (x[::2] + shift)).astype(np.uint16)[None].repeat(16, axis=0)
    flat = np.full((16, 32), 512, np.uint16)
    frame = filled(av.VideoFrame(64, 32, "yuv420p10le"), [luma * 4, ramp, flat])
    rgb = to_rgb(frame, Colours(matrix="bt709", range="tv", siting=siting)).astype(np.float64)
    cb = (rgb[..., 2] - rgb[..., 0]) / (2 * (1 - 0.0722)) * 896 + 512  # R holds no Cb; Cr is neutral
    assert np.abs(cb[:, 4:-4] - (400 + 4 * x)[4:-4]).max() < 0.51


def test_edges_are_sharper_than_with_a_converters_chroma() -> None:
    height, width = 120, 160
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    inside = (np.hypot(across - 80, down - 60) < 40).astype(np.float64)
    inside = cv2.GaussianBlur(inside, (0, 0), 0.8)[..., None]
    filmed = np.rint(inside * (200, 60, 50) + (1 - inside) * (0, 177, 64)).astype(np.uint8)
    content = planes(filmed, matrix="bt709", full=False, bits=8, across=2, down=2)
    frame = filled(av.VideoFrame(width, height, "yuv420p"), content)
    frame.colorspace, frame.color_range = 1, 1
    band = (inside[..., 0] > 0.02) & (inside[..., 0] < 0.98)

    def error(levels: "np.ndarray") -> float:
        return float(np.sqrt(np.mean((levels[band] - filmed[band].astype(float)) ** 2)))

    ours = error(to_rgb(frame, Colours(matrix="bt709", range="tv", siting="centre")) * 255)
    theirs = error(frame.to_ndarray(format="rgb24").astype(float))
    assert ours < 0.75 * theirs


@pytest.mark.parametrize("trait", [{"transfer": "pq"}, {"transfer": "hlg"}, {"tagged": "bt2020"}])
def test_hdr_is_refused_with_a_sentence(tmp_path: Path, trait: dict[str, str]) -> None:
    path = encode(tmp_path / "hdr.mp4", [chart()] * 2, codec="libx265", pixels="yuv420p10le",
                  options=QUIET, **({"tagged": "bt2020"} | trait))  # fmt: skip
    probe = probe_clip(path, ClipSettings())
    assert (probe.error_kind, probe.pts) == ("hdr", ())
    assert "convert it to BT.709" in probe.error


def test_a_turned_clip_is_upright_and_square_pixels_are_made(tmp_path: Path) -> None:
    picture = np.full((48, 64, 3), 90, np.uint8)
    picture[:24, :32] = (250, 30, 30)  # coded: red in the left upper quarter
    for rotation, place in ((90, (40, 4)), (180, (40, 50)), (-90, (4, 40))):
        path = encode(tmp_path / f"r{rotation}.mp4", [picture] * 2, tagged="bt709", rotation=rotation)
        frame = first_frame(path)
        turned = upright_rgb(frame, *_geometry_and_colours(path))
        assert turned.shape[:2] == ((64, 48) if rotation % 180 else (48, 64))
        assert turned[place][0] > 0.8, f"{rotation}: red must be at {place}"
    path = encode(tmp_path / "wide.mp4", [picture] * 2, tagged="bt709", aspect=Fraction(4, 3))
    assert upright_rgb(first_frame(path), *_geometry_and_colours(path)).shape[:2] == (48, 85)


def _geometry_and_colours(path: Path):
    from factory.sources.clips.probe import chosen, described

    video = VideoFile(path)
    stamps = video.stamps()
    settings = ClipSettings()
    unread = ClipProbe(size=0, sha256="")
    probe = described(video, stamps, chosen(stamps, settings, video.time_base), settings, unread)
    return probe.geometry, probe.colours


def test_odd_sizes_are_read(tmp_path: Path) -> None:
    picture = chart()[:47, :63]
    path = encode(tmp_path / "odd.mkv", [picture], codec="ffv1", tagged="bt709")
    rgb = to_rgb(first_frame(path), Colours(matrix="bt709", range="tv"))
    assert rgb.shape == (47, 63, 3)
    assert worst_patch(rgb, picture) <= WITHIN


def test_an_unknown_matrix_is_a_fault_of_the_clip() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.colorspace = 8
    with pytest.raises(DataError, match="not known"):
        colours_of(frame)
