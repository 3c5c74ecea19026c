"""Promise: `factory key --sequences` makes whole clips, steadier than frame by frame, whatever ends the run."""

import csv
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from crashes import Crashes, lay_out, tree_of
from numpy.typing import NDArray
from program import LOCAL, Ended, factory_here
from report_page import read_page
from small_clips import encode
from small_sources import film, put

from factory.greenscreen.compositing import as_levels, as_unit
from factory.greenscreen.keyer.screen import Screen
from factory.greenscreen.keyer.steady import Frame, steadied
from factory.jobs.key import GATES
from factory.jobs.sequences import SequenceSettings, clip_names, expected_error, hand_over, rate_of
from factory.quality.flicker import flicker
from factory.review.report import write_report
from factory.review.verify import verify_set
from factory.shards.data_set import DataSet
from factory.shards.encoding import decode_png, encode_png
from factory.shards.layout import Layout
from factory.shards.sequence import Form, sequence
from factory.sources.public import public_set
from factory.sources.public.registry import Pair

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
NOISY = Screen(colour=(0.0, 177.0, 64.0), noise=8.0)
GREEN, SIZE = np.array((0, 177, 64), np.float32) / 255, (96, 128)


def ball(number: int, step: float = 3.0) -> tuple[Floats, Floats]:
    """A striped ball that goes to the right: its straight colour and its α."""
    down, across = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    x = across - 40 - step * number
    alpha = np.clip((24.5 - np.hypot(x, down - 48)) / 4, 0, 1)
    stripes = 0.55 + 0.25 * np.sin(x / 3) * np.cos(down / 4)
    return np.dstack([stripes, 0.3 * stripes, 0.9 - stripes]).astype(np.float32), alpha.astype(np.float32)


def taken(number: int, step: float = 3.0) -> Floats:
    """The ball before a green screen."""
    foreground, alpha = ball(number, step)
    return np.asarray(foreground * alpha[..., None] + GREEN * (1 - alpha[..., None]), np.float32)


def clip(path: Path, count: int, first: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [as_levels(taken(first + number)) for number in range(count)]
    return encode(path, frames, tagged="bt709", options={"g": "6", "crf": "12"})


def key(takes: Path, out: Path, *flags: str) -> Ended:
    ended = factory_here("key", takes, "--sequences", "--out", out, *LOCAL, "--workers", "1", *flags)
    assert "Traceback" not in ended.err
    return ended


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (Layout(out).sequences / "clips.csv").open(encoding="utf-8", newline="") as file:
        return {row["clip"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips and what is none, keyed in shards of three: a shard ends inside a clip."""
    home = tmp_path_factory.mktemp("whole")
    clip(home / "takes" / "a" / "one.mp4", 8)
    clip(home / "takes" / "two.mkv", 2, first=5)
    put(home / "takes" / "broken.mov", b"no clip")
    assert key(home / "takes", home / "out", "--shard-size", "3").code == 1
    return home


# --- steadiness -----------------------------------------------------------------------------------------------------


def test_noise_falls_where_frames_agree_and_what_is_exact_stays() -> None:
    random = np.random.default_rng(0)
    noisy = []
    for number in range(3):
        alpha = ball(number)[1]
        soft = (alpha > 0) & (alpha < 1)
        noisy.append(np.where(soft, np.clip(alpha + random.normal(0, 0.03, alpha.shape), 0, 1), alpha).astype("f4"))
    frames = [Frame(taken(number), alpha) for number, alpha in enumerate(noisy)]
    steady = steadied(frames[1], [frames[0], frames[2]], NOISY, halved=False)
    truth = ball(1)[1]
    soft = (truth > 0.1) & (truth < 0.9)
    error, before = (float(np.square(a - truth)[soft].mean()) for a in (steady, noisy[1]))
    assert error < 0.6 * before
    assert (steady[as_levels(noisy[1]) == 0] == noisy[1][as_levels(noisy[1]) == 0]).all()
    assert (steady[as_levels(noisy[1]) == 255] == noisy[1][as_levels(noisy[1]) == 255]).all()


def test_what_neighbours_show_elsewhere_leaves_no_ghost() -> None:
    """A ball that jumps by its own width shares nothing with its neighbours."""
    frames = [Frame(taken(number, step=26.0), np.clip(ball(number, 26.0)[1], 0.02, 1)) for number in range(3)]
    steady = steadied(frames[1], [frames[0], frames[2]], NOISY, halved=False)
    assert np.abs(steady - frames[1].alpha).max() < 0.08


def test_a_frame_without_neighbours_or_without_noise_is_itself() -> None:
    frame = Frame(taken(0), ball(0)[1])
    there = Frame(taken(0), np.clip(frame.alpha + np.float32(0.1) * (frame.alpha > 0.3), 0, 1))
    quiet = Screen(colour=NOISY.colour, noise=0.0)
    assert np.array_equal(steadied(frame, [there], quiet, halved=False), frame.alpha)
    assert np.array_equal(steadied(frame, [], NOISY, halved=False), frame.alpha)
    small = Frame(taken(0)[:16, :16], ball(0)[1][:16, :16])
    assert steadied(small, [small], NOISY, halved=False) == pytest.approx(small.alpha, abs=1e-6)


def test_flicker_is_seen_and_motion_is_not() -> None:
    shown = [(as_levels(foreground), as_levels(alpha)) for foreground, alpha in map(ball, range(2))]
    dimmed = (shown[1][0], as_levels(0.8 * as_unit(shown[1][1])))
    assert flicker(shown[0], shown[0]) < 0.002
    assert flicker(shown[0], shown[1]) < 0.03
    assert flicker(shown[0], dimmed) > 0.1
    nothing = (shown[0][0], np.zeros(SIZE, np.uint8))
    assert flicker(nothing, nothing) == 0


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "far"), [("ffv1", 0), ("prores", 3)])
def test_films_hold_what_was_written(tmp_path: Path, form: Form, far: int) -> None:
    place = tmp_path / {"ffv1": "a.mkv", "prores": "a.mov"}[form]
    for what in (0, 1):
        pictures = [as_levels(ball(number)[what]) for number in range(3)]
        with sequence(place, form, Fraction(25)) as write:
            for picture in pictures:
                write(picture, encode_png(picture))
        with av.open(str(place)) as film_:
            assert film_.streams.video[0].average_rate == 25
            read = [frame.to_ndarray(format="gray" if what else "rgb24") for frame in film_.decode(video=0)]
        assert len(read) == 3
        assert max(np.abs(a.astype(int) - b).max() for a, b in zip(read, pictures, strict=True)) <= far


def test_rates_are_told_by_the_times_in_frames_names() -> None:
    assert rate_of([f"a@b.mp4@{number / 25:.3f}s" for number in range(9)]) == 25
    assert rate_of([f"a.mp4@{number * 1001 / 30000:.3f}s" for number in range(40)]) == Fraction(30000, 1001)
    assert rate_of([f"a.mp4@{number / 7:.3f}s" for number in range(8)]) == pytest.approx(7, abs=0.01)
    assert rate_of(["a.mp4@0.000s"]) == 25


def test_two_clips_of_one_name_keep_apart() -> None:
    assert clip_names(["a.mp4", "a.mov", "b/c.mkv"]) == {"a.mp4": "a_mp4", "a.mov": "a_mov", "b/c.mkv": "b/c"}


# --- the job --------------------------------------------------------------------------------------------------------


def test_whole_clips_lie_as_videomatte240k_has_them(keyed: Path) -> None:
    root = Layout(keyed / "out").sequences
    assert verify_set(keyed / "out", 1) == []
    pairs: list[Pair] = public_set("videomatte240k-jpeg").list_pairs(root)
    assert [pair.name for pair in pairs] == ["a/one/00000", "a/one/00005", "two/00000"]
    assert not any(any(pair.fault) or pair.test for pair in pairs)
    assert [len(list((root / "train" / what / "a" / "one").iterdir())) for what in ("fgr", "pha")] == [8, 8]
    for sample in DataSet(keyed / "out"):
        name, _, moment = sample.meta["item"].rpartition("@")
        place = Path(name).with_suffix("") / f"{round(25 * float(moment[:-1])):05d}.png"
        assert np.array_equal(decode_png((root / "train" / "pha" / place).read_bytes()), sample.alpha)
        assert np.array_equal(decode_png((root / "train" / "fgr" / place).read_bytes()), sample.foreground)
    told = rows(keyed / "out")
    assert {clip: row["status"] for clip, row in told.items()} == {
        "a/one.mp4": "written",
        "two.mkv": "written",
        "broken.mov": "refused",
    }
    assert told["broken.mov"]["reason"] == "undecodable"
    assert 0 < float(told["a/one.mp4"]["flicker"]) < 0.1


def test_frames_do_not_depend_on_where_shards_end(keyed: Path) -> None:
    key(keyed / "takes", keyed / "one shard", "--shard-size", "64")
    whole, cut = (files(Layout(keyed / out).sequences / "train") for out in ("one shard", "out"))
    assert whole == cut


def test_a_noisy_clip_flickers_less_where_neighbours_have_a_say(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    noisy = [as_levels(taken(n, 1.0) + random.normal(0, 4 / 255, (*SIZE, 3)).astype(np.float32)) for n in range(4)]
    (tmp_path / "takes").mkdir()
    encode(tmp_path / "takes" / "a.mkv", noisy, codec="ffv1", pixels="yuv444p", tagged="bt709", options={})
    measured = []
    for steady in ("0", "1"):
        key(tmp_path / "takes", tmp_path / steady, "--set", f"sequences.steady={steady}")
        measured.append(float(rows(tmp_path / steady)["a.mkv"]["flicker"]))
    assert measured[1] < 0.8 * measured[0]


def test_a_finished_run_has_nothing_to_do_and_another_form_is_written_anew(keyed: Path, tmp_path: Path) -> None:
    out = shutil.copytree(keyed / "out", tmp_path / "out")
    assert "nothing to do" in key(keyed / "takes", out, "--shard-size", "3").out
    ended = key(keyed / "takes", out, "--shard-size", "3", "--sequences-as", "ffv1")
    assert "nothing to do" not in ended.out
    root = Layout(out).sequences
    assert {path.name for path in root.rglob("*") if path.suffix in (".mkv", ".png")} == {"one.mkv", "two.mkv"}


def test_clips_that_flicker_too_much_are_refused_with_the_reason(keyed: Path, tmp_path: Path) -> None:
    out = shutil.copytree(keyed / "out", tmp_path / "out")
    ended = key(keyed / "takes", out, "--shard-size", "3", "--set", "sequences.flicker_max=0.0001")
    assert "a/one.mp4 is not among them (flicker)" in ended.out
    assert not list(Layout(out).sequences.rglob("*.png"))
    assert {row["reason"] for row in rows(out).values()} == {"flicker", "undecodable"}


def test_trust_is_asked_of_clips_and_not_of_their_worst_frames(keyed: Path, tmp_path: Path) -> None:
    """Also where they were written before: no frame is keyed for it."""
    out = shutil.copytree(keyed / "out", tmp_path / "out")
    frames = [sample.meta for sample in DataSet(out) if sample.meta["item"].startswith("a/one")]
    errors = [frame["scores"]["label_error"] for frame in frames]
    mean = expected_error([frame["scores"] for frame in frames])
    assert min(errors) < mean < max(errors)
    for limit, reasons in (((mean + max(errors)) / 2, {"undecodable"}), (1e-6, {"untrusted", "undecodable"})):
        ended = key(keyed / "takes", out, "--shard-size", "3", "--set", f"gates.label_error_max={limit}")
        assert {row["reason"] for row in rows(out).values()} - {""} == reasons
    assert "a/one.mp4 is not among them (untrusted)" in ended.out
    assert expected_error([{"coverage": 0.0, "label_error": 0.9}]) == 0
    assert expected_error([{"coverage": 0.0, "label_error": 0.9}, {"coverage": 0.5, "label_error": 0.1}]) == 0.1


def test_shadows_and_trust_go_with_steady_mattes(tmp_path: Path) -> None:
    """A shadow is no part of a clip's α, and where α is moved at all it is by no more than noise."""
    takes = tmp_path / "takes"
    takes.mkdir()
    down, across = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    random, frames = np.random.default_rng(8), []
    for number in range(3):
        away = np.hypot((across - 44 - 3 * number) / 1.6, down - 66)
        dark = 0.25 * np.clip((34 - away) / 20, 0, 1)[..., None]
        foreground, alpha = (part if part.ndim == 3 else part[..., None] for part in ball(number))
        grain = random.normal(0, 3 / 255, (*SIZE, 3))
        frames.append(as_levels((foreground * alpha + GREEN * (1 - dark) * (1 - alpha) + grain).astype(np.float32)))
    encode(takes / "a.mkv", frames, codec="ffv1", pixels="yuv444p", tagged="bt709", options={})
    found = {}
    for steady in ("0", "1"):
        out = tmp_path / steady
        ended = key(takes, out, "--shadows", "--trust", "--set", f"sequences.steady={steady}",
                    "--set", "sequences.flicker_max=1", "--set", "gates.label_error_max=null")  # fmt: skip
        assert ended.code == 0
        assert verify_set(out, 1) == []
        found[steady] = list(DataSet(out))
        for number, sample in enumerate(found[steady]):
            matte = decode_png((Layout(out).sequences / "train" / "pha" / "a" / f"{number:05d}.png").read_bytes())
            assert np.array_equal(matte, sample.alpha)
    for alone, steadied_ in zip(found["0"], found["1"], strict=True):
        assert np.array_equal(alone.pictures["trust"], steadied_.pictures["trust"])
        assert 0 < np.abs(alone.alpha.astype(int) - steadied_.alpha).max() <= 16
        told = steadied_.pictures["shadow"] > 25
        assert told.sum() > 300
        assert (steadied_.alpha[told] == 0).mean() > 0.75


def test_the_report_shows_frames_and_flicker(keyed: Path) -> None:
    page = read_page(write_report(keyed / "out"))
    assert "2 in sequences/, 1 refused" in page.words()
    strips = [link for link in page.links() if link.endswith("-clip.png")]
    assert len(strips) == 2
    assert all((Layout(keyed / "out").report / strip).exists() for strip in strips)
    assert "undecodable" in page.words()


def test_a_crash_at_any_moment_costs_the_clips_in_work_and_no_more(keyed: Path, tmp_path: Path) -> None:
    out = shutil.copytree(keyed / "out", tmp_path / "home" / "out")
    layout, settings, limit = Layout(out), SequenceSettings(), GATES.label_error_max
    finished = files(layout.sequences)
    shutil.rmtree(layout.sequences / "train")  # so that the clips are written once more
    crashes = Crashes(tmp_path / "home")
    with crashes.recorded():
        assert hand_over(out, "videos", settings, limit)
    assert files(layout.sequences) == finished
    for state in crashes.states("out/.tmp"):
        lay_out(state, tmp_path / "home")
        shutil.rmtree(layout.scratch, ignore_errors=True)  # as every run does
        hand_over(out, "videos", settings, limit)
        assert files(layout.sequences) == finished
        assert not hand_over(out, "videos", settings, limit)
    assert tree_of(layout.sequences)


def test_frames_that_show_the_screen_alone_belong_to_a_clip_and_stills_do_not(tmp_path: Path) -> None:
    frames = [as_levels(np.broadcast_to(GREEN, (*SIZE, 3)))] * 2 + [as_levels(taken(n)) for n in range(2)]
    (tmp_path / "takes").mkdir()
    encode(tmp_path / "takes" / "enters.mp4", frames, tagged="bt709")
    put(tmp_path / "takes" / "still.png", encode_png(frames[-1]))
    ended = key(tmp_path / "takes", tmp_path / "out", "--set", "sequences.test=0.5", "--set", "sequences.flicker_max=1")
    assert ended.code == 0
    assert "1 still is passed over" in ended.err
    mattes = sorted(Layout(tmp_path / "out").sequences.glob("*/pha/enters/*.png"))
    assert [bool(decode_png(path.read_bytes()).any()) for path in mattes] == [False, False, True, True]


def test_wrong_settings_are_one_sentence(tmp_path: Path) -> None:
    still = put(tmp_path / "stills" / "a.png", encode_png(as_levels(taken(0)))).parent
    assert "holds no clip" in factory_here("key", still, "--sequences", "--out", tmp_path / "out", *LOCAL).sentence
    takes = film(tmp_path / "takes" / "a.mp4", 2).parent
    for flags, word in (
        (("--size", "64"), "as they were filmed"),
        (("--sequences-as", "gif"), "sequences"),
        (("--set", "sequences.steady=9"), "sequences.steady is 9"),
    ):
        assert word in factory_here("key", takes, "--sequences", "--out", tmp_path / "out", *LOCAL, *flags).sentence
