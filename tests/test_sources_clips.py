"""Clips that cannot be keyed as they are: each is refused for what it is, with the mend, when the run is planned."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from small_clips import encode
from small_sources import film, filmed

from factory.sources.clips.pairs import probe_pair
from factory.sources.clips.probe import ClipProbe, probe_clip
from factory.sources.clips.settings import ClipSettings

SELECT = ClipSettings(every=5)
ONE = 1 << 16  # in the fixed-point numbers of a display matrix
MIRRORS = {"to the side": (-ONE, 0, 0, ONE), "upside down": (ONE, 0, 0, -ONE), "over the diagonal": (0, ONE, ONE, 0)}


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """The MP4 with another display matrix in its track header: x′ = ax + cy, y′ = bx + dy."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    for place, value in ((0, a), (1, b), (3, c), (4, d)):
        data[start + 4 * place : start + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_clip_that_its_metadata_mirrors_is_refused_as_such(tmp_path: Path, mirror: str) -> None:
    clip = with_matrix(film(tmp_path / "a.mp4"), *MIRRORS[mirror])
    probe = probe_clip(clip, SELECT)
    assert probe.error_kind == "rotation"
    assert "mirrors" in probe.error
    assert probe_pair(clip, film(tmp_path / "matte.mp4"), SELECT).error_kind == "rotation"


def test_a_clip_that_is_turned_is_not_taken_for_a_mirrored_one(tmp_path: Path) -> None:
    for number, matrix in enumerate(((0, ONE, -ONE, 0), (-ONE, 0, 0, -ONE), (0, -ONE, ONE, 0))):
        assert probe_clip(with_matrix(film(tmp_path / f"{number}.mp4"), *matrix), SELECT).error_kind == ""


def with_alpha(path: Path, codec: str, pixels: str, alpha: int) -> Path:
    """A green-screen clip with an alpha channel: that level in its middle, 255 around it."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pixels
        stream.color_range = 1
        for number in range(6):
            rgba: NDArray[np.uint8] = np.dstack([filmed(number, (96, 128)), np.full((96, 128), 255, np.uint8)])
            rgba[32:64, 32:64, 3] = alpha
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixels)):
                output.mux(packet)
        for packet in stream.encode(None):
            output.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "prores_ks", "yuva444p10le"), ("a.mov", "qtrle", "argb")],
)
def test_a_clip_with_alpha_is_told_from_one_with_a_screen(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    probe = probe_clip(with_alpha(tmp_path / name, codec, pixels, 0), SELECT)
    assert probe.error_kind == "alpha"
    assert "alpha channel" in probe.error


def test_an_alpha_channel_in_which_nothing_is_cut_out_does_not_matter(tmp_path: Path) -> None:
    assert probe_clip(with_alpha(tmp_path / "a.mov", "prores_ks", "yuva444p10le", 255), SELECT).error_kind == ""


def boxed(path: Path, above: int, below: int, beside: int) -> ClipProbe:
    """A first look at a clip with black bars of so many of its 96 lines and 128 columns."""
    pictures = [filmed(number, (96, 128)) for number in range(6)]
    for picture in pictures:
        picture[:above] = picture[96 - below :] = picture[:, :beside] = picture[:, 128 - beside :] = 0
    return probe_clip(encode(path, pictures, tagged="bt709"), SELECT)


def test_a_letterboxed_clip_is_refused_by_its_bars(tmp_path: Path) -> None:
    for number, (above, below, beside) in enumerate(((12, 12, 0), (30, 30, 0), (8, 14, 0), (0, 0, 20))):
        probe = boxed(tmp_path / f"{number}.mp4", above, below, beside)
        assert probe.error_kind == "bars"
        assert ("at the left" in probe.error) == (beside > 0)
    assert boxed(tmp_path / "dark floor.mp4", 0, 20, 0).error_kind == ""
