"""VideoMatte240K, people before green screens (Lin et al., CVPR 2021): as videos, and as its JPEG frames."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath

from factory.sources.public.folders import Part, in_folders
from factory.sources.public.registry import Pair, PublicSet, register

EVERY = 5  # of 240,709 frames gives 48,142, the step that comes nearest to the paper's 50,000
VIDEO, JPEG, INSIDE = (".mp4", ".mov", ".mkv"), (".jpg", ".jpeg", ".png"), ("VideoMatte240K",)


def _parts(suffixes: tuple[str, ...]) -> tuple[Part, Part]:
    return (
        Part("train/fgr", "train/pha", "train/fgr", picture_suffixes=suffixes, matte_suffixes=suffixes),
        Part("test/fgr", "test/pha", "test/fgr", test=True, picture_suffixes=suffixes, matte_suffixes=suffixes),
    )


_all_frames = in_folders(_parts(JPEG), inside=INSIDE)


def _every_fifth(root: Path) -> list[Pair]:
    """Frames 0, 5, 10 … of each clip."""
    clips: dict[tuple[bool, str], list[Pair]] = defaultdict(list)
    for pair in _all_frames(root):
        clips[pair.test, str(PurePosixPath(pair.name).parent)].append(pair)
    return [pair for clip in clips.values() for pair in clip[::EVERY]]


VIDEOS = register(
    PublicSet(
        name="videomatte240k",
        title="VideoMatte240K",
        home="https://grail.cs.washington.edu/projects/background-matting-v2/#/datasets",
        archive="VideoMatte240K.tar",
        layout="train/{fgr,pha} with 0000.mp4 …; test stays out; for the JPEG version take videomatte240k-jpeg",
        kind="videos",
        paper_count=50_000,
        training=479,  # clips; 240,709 frames with the test clips
        whole=484,
        licence="as the home page states: read it before use",
        attribution="Shanchuan Lin, Andrey Ryabtsev, Soumyadip Sengupta, Brian Curless, Steve Seitz, and Ira "
        "Kemelmacher-Shlizerman. Real-Time High-Resolution Background Matting. CVPR 2021",
        foreground="given",
        class_name="person",
        list_pairs=in_folders(_parts(VIDEO), inside=INSIDE),
    )
)
register(
    replace(
        VIDEOS,
        name="videomatte240k-jpeg",
        title="VideoMatte240K (JPEG)",
        archive="VideoMatte240K_JPEG_HD.tar or VideoMatte240K_JPEG_SD.tar",
        layout="train/{fgr,pha} with 0000/00000.jpg …; test stays out; for the MP4 version take videomatte240k",
        kind="pictures",
        list_pairs=_every_fifth,
    )
)
