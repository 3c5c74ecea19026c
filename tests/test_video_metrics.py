"""Clips are measured as Robust Video Matting measures them, and what cannot be measured is named."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from program import factory_here

from factory.errors import DataError, UsageError
from factory.quality.clip_evaluation import ClipEvaluation, evaluate_clips
from factory.quality.video_metrics import VIDEO_UNITS, Frame, frame_errors

Levels = NDArray[np.uint8]
ORACLE = {name: name if name.startswith("fgr") else f"pha_{name}" for name in VIDEO_UNITS}


def save(path: Path, picture: Levels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", picture[..., ::-1] if picture.ndim == 3 else picture)[1].tobytes())


@pytest.fixture(scope="module")
def oracle(shared_data: Path) -> tuple[Any, Any]:
    folder = shared_data / "oracles"
    return json.loads((folder / "rvm_metrics.json").read_text()), np.load(folder / "rvm_metrics.npz")


@pytest.fixture(scope="module")
def clips(oracle: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders pred (CLIP/pha, CLIP/fgr) and true (pha/CLIP, fgr/CLIP) of the oracle's three clips."""
    root = tmp_path_factory.mktemp("clips")
    for name in oracle[1].files:
        clip, side, part = *name.split("/")[:1], *name.split("/")[1].split("_")
        for number, picture in enumerate(oracle[1][name]):
            where = f"{clip}/{part}" if side == "pred" else f"{part}/{clip}"
            save(root / side / where / f"{number:04}.png", picture)
    return root


@pytest.fixture(scope="module")
def measured(clips: Path) -> ClipEvaluation:
    return evaluate_clips(clips / "pred", clips / "true", parquet=clips / "table.parquet")


def test_frames_clips_and_their_mean_have_the_original_code_s_numbers(
    oracle: tuple[Any, Any], measured: ClipEvaluation
) -> None:
    for clip, expected in oracle[0]["clips"].items():
        errors = [score.errors for score in measured.scores if score.clip == clip]
        for name, column in ORACLE.items():
            assert [getattr(each, name) for each in errors] == pytest.approx(expected[column], rel=1e-6), (clip, name)
            mean = getattr(measured.clips[clip], name)
            assert mean == pytest.approx(oracle[0]["clip_means"][clip][column], rel=1e-6)
    assert measured.mean is not None
    for name, column in ORACLE.items():
        summary = oracle[0]["excel_summary_mean_of_frames"][column]
        assert getattr(measured.mean, name) == pytest.approx(summary, rel=1e-6)


def test_the_table_has_every_frame_and_the_means(clips: Path, measured: ClipEvaluation) -> None:
    table = pq.read_table(clips / "table.parquet")
    assert table.column_names[:3] == ["clip", "frame", "mad"]
    assert len(table) == 15
    assert table["dtssd"][0].as_py() == 0
    about = json.loads(table.schema.metadata[b"evaluation"])
    assert about["clips"]["boxes"]["mad"] == measured.clips["boxes"].mad
    assert "mean of 3" in measured.text()
    assert "disk_moving" not in measured.text(shown=1)


def test_frames_are_matched_by_their_numbers_and_in_their_order(clips: Path, tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / f"ours/{number}.png", np.full((8, 8), 20 * number, np.uint8))
        save(tmp_path / f"true/{number:04}.png", np.full((8, 8), 20 * number + 5, np.uint8))
    found = evaluate_clips(tmp_path / "ours", tmp_path / "true")
    assert not found.faults
    assert {score.errors.dtssd for score in found.scores} == {0.0}


def test_a_single_sequence_without_foregrounds_is_one_clip(clips: Path) -> None:
    found = evaluate_clips(clips / "pred/boxes/pha", clips / "true/pha/boxes")
    assert list(found.clips) == ["."]
    assert math.isnan(found.clips["."].fgr_mse)
    assert found.text().count("–") >= 4  # no number in the place of what was not measured


def test_what_cannot_be_scored_is_named_and_a_gap_has_no_step_over_it(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (16, 1))
    for number in range(5):
        save(tmp_path / f"true/a/{number}.png", ramp)
        save(tmp_path / f"pred/a/{number}.png", np.roll(ramp, number, axis=1))
    save(tmp_path / "pred/a/1.png", ramp[:8])
    (tmp_path / "pred/a/3.png").unlink()
    found = evaluate_clips(tmp_path / "pred", tmp_path / "true", parquet=tmp_path / "t.parquet")
    assert {fault.name: fault.kind for fault in found.faults} == {"a/000001": "size", "a/000003": "no_prediction"}
    assert [score.frame for score in found.scores] == ["000000", "000002", "000004"]
    assert [score.errors.dtssd for score in found.scores] == pytest.approx([0, math.nan, math.nan], nan_ok=True)
    assert pq.read_table(tmp_path / "t.parquet")["fault"].to_pylist() == [None, "size", None, "no_prediction", None]


def test_nothing_seen_has_no_error_of_the_foreground() -> None:
    nothing, grey = np.zeros((8, 8), np.uint8), np.full((8, 8, 3), 99, np.uint8)
    errors = frame_errors(Frame(nothing, grey), Frame(nothing, grey), 0.0)
    assert math.isnan(errors.fgr_mad)
    assert errors.mad == errors.grad == errors.conn == 0
    with pytest.raises(DataError, match="8×8, 4×8"):
        frame_errors(Frame(nothing, grey[:, :4]), Frame(nothing, grey), 0.0)


def test_names_that_do_not_meet_and_data_sets_are_refused(clips: Path, finished_set: Path, tmp_path: Path) -> None:
    save(tmp_path / "other/0.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match="no frame of one clip"):
        evaluate_clips(tmp_path / "other", clips / "true")
    with pytest.raises(UsageError, match="is a data set"):
        evaluate_clips(finished_set, clips / "true")


def test_the_command(clips: Path) -> None:
    found = factory_here("evaluate", clips / "pred", clips / "true", "--metrics", "rvm")
    assert found.code == 0
    assert "dtSSD" in found.out
    refused = factory_here("evaluate", clips / "pred", clips / "true", "--metrics", "rvm", "--region", "whole")
    assert "leave --region and --trimap out" in refused.sentence
