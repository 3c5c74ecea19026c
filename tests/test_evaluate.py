"""Folders and data sets of mattes are compared name by name; what cannot be scored is named and in no mean."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image
from program import factory

from factory.errors import UsageError
from factory.quality.evaluation import BAND, Evaluation, composite_known, evaluate, trimap_of
from factory.quality.matte_sets import find_mattes, read_matte
from factory.quality.metrics import measure, unknown, whole
from factory.shards.export import export
from factory.shards.layout import Layout

Matte = NDArray[np.uint8]


def blob(seed: int, side: int = 48) -> Matte:
    """A soft ellipse with both 0 and 255."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - side / 2
    distance = np.hypot(x / random.uniform(10, 14), y / random.uniform(10, 14))
    return np.asarray(np.rint(255 * np.clip((1.1 - distance) * 4, 0, 1)), np.uint8)


def noisy(matte: Matte, seed: int) -> Matte:
    noise = np.random.default_rng(seed).integers(-30, 31, matte.shape)
    return np.clip(matte.astype(int) + noise, 0, 255).astype(np.uint8)


def save(path: Path, matte: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", matte)[1].tobytes())
    return path


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Folders pred and truth with the same four names, at two depths."""
    for index, name in enumerate(("a", "b", "deep er/ä", "deep er/a")):
        save(tmp_path / "truth" / f"{name}.png", blob(index))
        save(tmp_path / "pred" / f"{name}.png", noisy(blob(index), index))
    return tmp_path / "pred", tmp_path / "truth"


def names(evaluation: Evaluation) -> list[str]:
    return [score.name for score in evaluation.scores]


def fault_kinds(evaluation: Evaluation) -> dict[str, str]:
    return {fault.name: fault.kind for fault in evaluation.faults}


# --- what is compared with what -----------------------------------------------------------------------------------


def test_folders_are_matched_by_relative_name(pairs: tuple[Path, Path]) -> None:
    evaluation = evaluate(*pairs, region="whole")
    assert names(evaluation) == ["a", "b", "deep er/a", "deep er/ä"]
    assert evaluation.faults == ()
    target = blob(3)
    assert evaluation.scores[2].errors == measure(noisy(target, 3), target, whole(target))


def test_the_mean_is_the_plain_mean_over_pictures(pairs: tuple[Path, Path]) -> None:
    evaluation = evaluate(*pairs)
    assert evaluation.mean is not None
    for name in ("sad", "mse", "grad", "conn"):
        each = [getattr(score.errors, name) for score in evaluation.scores]
        assert getattr(evaluation.mean, name) == pytest.approx(sum(each) / 4)


def test_a_data_set_is_perfect_against_itself_and_against_its_export(finished_set: Path, tmp_path: Path) -> None:
    itself = evaluate(finished_set, finished_set, region="whole")
    assert {score.errors.sad for score in itself.scores} == {0.0}
    keys = {key for key in names(itself) if key.isdecimal() and len(key) == 10}
    assert len(keys) == len(itself.scores) > 20
    export(finished_set, "folder", tmp_path / "out", "validation")
    folder = evaluate(tmp_path / "out" / "alpha", finished_set, region="whole")
    assert {score.errors.sad for score in folder.scores} == {0.0}
    assert 0 < len(folder.scores) < len(itself.scores)
    assert set(fault_kinds(folder).values()) == {"no_prediction"}  # the train split was not exported


def test_a_damaged_tar_ends_the_evaluation_by_name(root: Path) -> None:
    tar = sorted(Layout(root).data.glob("*.tar"))[0]
    with tarfile.open(tar) as archive:
        second = archive.getmembers()[4].offset
    whole_tar = tar.read_bytes()
    for cut in (second, second + 100, 700, 0):
        tar.write_bytes(whole_tar[:cut])
        with pytest.raises(UsageError, match=rf"{tar.name} cannot be read.*factory verify"):
            evaluate(root, root)


# --- where it is measured -----------------------------------------------------------------------------------------


def test_predictions_take_what_a_trimap_knows(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    trimap = np.full((48, 48), 128, np.uint8)
    trimap[:10], trimap[20:28, 20:28] = 0, 255
    for name in find_mattes(pairs[0]):
        save(tmp_path / "trimaps" / f"{name}.png", trimap)
    save(tmp_path / "trimaps" / "of no matter.png", trimap)
    evaluation = evaluate(*pairs, trimap=tmp_path / "trimaps")
    target = blob(0)
    known = noisy(target, 0)
    known[:10], known[20:28, 20:28] = 0, 255
    assert evaluation.scores[0].errors == measure(known, target, trimap == 128)
    assert evaluation.scores[0].pixels == 48 * 48 - 10 * 48 - 64
    assert len(evaluation.scores) == 4
    assert "128" in evaluation.region


def test_without_trimaps_the_unknown_region_comes_from_the_truth(pairs: tuple[Path, Path]) -> None:
    evaluation = evaluate(*pairs)
    target = blob(0)
    trimap = trimap_of(target)
    expected = measure(composite_known(noisy(target, 0), trimap), target, unknown(trimap))
    assert evaluation.scores[0].errors == expected
    assert f"a disc {BAND} px wide" in evaluation.text()


def test_a_derived_trimap_follows_hard_edges_and_knows_only_what_is_so() -> None:
    binary = np.zeros((100, 100), np.uint8)
    binary[:, 60:] = 255
    trimap = trimap_of(binary)
    half = BAND // 2
    assert np.flatnonzero(trimap[50] == 128).tolist() == list(range(60 - half, 60 + half))
    assert (trimap[50, : 60 - half] == 0).all()
    assert (trimap[50, 60 + half :] == 255).all()
    soft = blob(5, 96)
    trimap = trimap_of(soft)
    assert (soft[trimap == 0] == 0).all()
    assert (soft[trimap == 255] == 255).all()
    assert (trimap[(soft > 0) & (soft < 255)] == 128).all()
    assert (trimap_of(np.full((8, 8), 255, np.uint8)) == 255).all()


# --- what cannot be scored ----------------------------------------------------------------------------------------


def to_prediction(change: Callable[[Path], object]) -> Callable[[tuple[Path, Path]], object]:
    return lambda pairs: change(pairs[0] / "b.png")


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


FAULTS: dict[str, tuple[Callable[[tuple[Path, Path]], object], str]] = {
    "no_prediction": (to_prediction(Path.unlink), "no prediction"),
    "no_truth": (lambda pairs: (pairs[1] / "b.png").unlink(), "no truth"),
    "size": (to_prediction(lambda path: save(path, blob(1, 50))), "the prediction is 50×50, the truth 48×48"),
    "depth": (to_prediction(lambda path: path.write_bytes(saved(Image.new("F", (9, 9)), "TIFF"))), "32 bits"),
    "no_matte": (to_prediction(lambda path: save(path, np.dstack([blob(1)] * 2 + [blob(2)]))), "a picture in colours"),
    "undecodable": (to_prediction(cut), "broken"),
    "empty_region": (lambda pairs: save(pairs[1] / "b.png", np.zeros((48, 48), np.uint8)), "no pixel"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_picture_that_cannot_be_scored_is_named_and_in_no_mean(pairs: tuple[Path, Path], kind: str) -> None:
    change, says = FAULTS[kind]
    others = [score for score in evaluate(*pairs).scores if score.name != "b"]
    change(pairs)
    evaluation = evaluate(*pairs)
    assert fault_kinds(evaluation) == {"b": kind}
    assert says in evaluation.faults[0].sentence
    assert list(evaluation.scores) == others
    assert evaluation.mean is not None
    assert evaluation.mean.sad == pytest.approx(sum(score.errors.sad for score in others) / 3)
    assert "mean of 3 of 4" in evaluation.text()
    assert f"  b: {evaluation.faults[0].sentence}" in evaluation.text().splitlines()


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", "undecodable"), (b"no picture", "undecodable"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "undecodable")],
)
def test_files_that_are_no_pictures(pairs: tuple[Path, Path], data: bytes, kind: str) -> None:
    (pairs[1] / "b.png").write_bytes(data)
    assert fault_kinds(evaluate(*pairs)) == {"b": kind}


KINDS_OF_MATTE: dict[str, Callable[[Matte], bytes]] = {
    "grey in RGB": lambda m: saved(Image.fromarray(np.dstack([m] * 3)), "PNG"),
    "palette": lambda m: saved(Image.fromarray(m).convert("P"), "PNG"),
    "alpha channel": lambda m: saved(Image.fromarray(np.dstack([np.full((*m.shape, 3), 9, np.uint8), m])), "PNG"),
    "16 bits": lambda m: cv2.imencode(".png", m.astype(np.uint16) * 257)[1].tobytes(),
    "TIFF": lambda m: saved(Image.fromarray(m), "TIFF"),
    "WebP": lambda m: saved(Image.fromarray(np.dstack([m] * 3)), "WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", KINDS_OF_MATTE)
def test_mattes_are_read_in_every_form_that_sources_read(pairs: tuple[Path, Path], kind: str) -> None:
    before = evaluate(*pairs).scores
    suffix = {"TIFF": ".tif", "WebP": ".webp"}.get(kind, ".png")
    for folder, matte in ((pairs[1], blob(1)), (pairs[0], noisy(blob(1), 1))):
        (folder / "b.png").unlink()
        (folder / f"b{suffix}").write_bytes(KINDS_OF_MATTE[kind](matte))
    evaluation = evaluate(*pairs)
    assert evaluation.faults == ()
    assert evaluation.scores == before


def test_a_matte_that_went_through_jpeg_is_scored(pairs: tuple[Path, Path]) -> None:
    (pairs[0] / "b.png").unlink()
    (pairs[0] / "b.jpg").write_bytes(saved(Image.fromarray(blob(1)).convert("RGB"), "JPEG", quality=95))
    score = next(score for score in evaluate(*pairs, region="whole").scores if score.name == "b")
    assert 0 < score.errors.mse < 1e-3


def test_a_picture_beside_a_matte_of_its_name_is_no_matte(pairs: tuple[Path, Path]) -> None:
    (pairs[1] / "b.jpg").write_bytes(saved(Image.new("RGB", (48, 48), "red"), "JPEG"))
    assert evaluate(*pairs).faults == ()
    (pairs[1] / "b.png").unlink()
    (fault,) = evaluate(*pairs).faults
    assert (fault.name, fault.kind) == ("b", "no_matte")
    assert fault.sentence == "the truth: it is a picture in colours where a grey matte was expected"


def test_one_bit_a_pixel(pairs: tuple[Path, Path]) -> None:
    Image.fromarray(blob(1) > 127).save(pairs[1] / "b.png")
    assert set(np.unique(read_matte(find_mattes(pairs[1])["b"]))) == {0, 255}
    assert fault_kinds(evaluate(*pairs)) == {}


def test_trimaps_that_do_not_fit(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    known = trimap_of(blob(0))
    save(tmp_path / "trimaps" / "a.png", np.where(known == 128, 127, known).astype(np.uint8))
    save(tmp_path / "trimaps" / "b.png", known[:40])
    save(tmp_path / "trimaps" / "deep er/a.png", np.zeros_like(known))
    evaluation = evaluate(*pairs, trimap=tmp_path / "trimaps")
    assert fault_kinds(evaluation) == {
        "a": "trimap",
        "b": "size",
        "deep er/a": "empty_region",
        "deep er/ä": "no_trimap",
    }
    assert evaluation.mean is None
    assert "holds 127" in evaluation.text()


def test_what_cannot_begin_is_one_sentence(pairs: tuple[Path, Path], tmp_path: Path, root: Path) -> None:
    prediction, truth = pairs
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no picture and no shards"):
        evaluate(tmp_path / "empty", truth)
    with pytest.raises(UsageError, match="is no folder"):
        evaluate(prediction / "a.png", truth)
    with pytest.raises(UsageError, match="no matte of one name"):
        evaluate(prediction, root)
    with pytest.raises(UsageError, match="--trimap has no part in --region whole"):
        evaluate(prediction, truth, region="whole", trimap=truth)
    with pytest.raises(UsageError, match="--parquet"):
        evaluate(prediction, truth, parquet=tmp_path / "nowhere" / "scores.parquet")
    for tar in Layout(root).data.glob("*.tar"):
        tar.unlink()
    with pytest.raises(UsageError, match="no accepted sample"):
        evaluate(root, truth)
    save(prediction / "a.PNG", blob(1))
    with pytest.raises(UsageError, match="have one name"):
        evaluate(prediction, truth)


# --- what is told -------------------------------------------------------------------------------------------------


def test_parquet_says_what_its_numbers_are(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    (pairs[0] / "b.png").unlink()
    path = tmp_path / "scores.parquet"
    evaluation = evaluate(*pairs, parquet=path)
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"evaluation"])
    assert about["region"] == evaluation.region
    assert about["units"].keys() == {"sad", "mse", "grad", "conn"}
    assert (about["scored"], about["not_scored"]) == (3, 1)
    assert evaluation.mean is not None
    assert about["mean"]["grad"] == evaluation.mean.grad
    rows = table.to_pylist()
    assert [row["name"] for row in rows] == ["a", "b", "deep er/a", "deep er/ä"]
    assert rows[0]["sad"] == evaluation.scores[0].errors.sad
    assert (rows[0]["width"], rows[0]["height"], rows[0]["pixels"]) == (48, 48, evaluation.scores[0].pixels)
    assert rows[1]["sad"] is None
    assert rows[1]["fault"] == "no_prediction"
    assert {path.name for path in tmp_path.iterdir()} == {"pred", "truth", "scores.parquet"}


def test_a_long_table_shows_the_worst_and_says_so(pairs: tuple[Path, Path]) -> None:
    evaluation = evaluate(*pairs)
    order = sorted(evaluation.scores, key=lambda score: -score.errors.sad)
    text = evaluation.text(shown=2)
    listed = [line for line in text.splitlines() if line.startswith(("a ", "b ", "deep er/"))]
    assert [line[: len(score.name)] for line, score in zip(listed, order[:2], strict=True)] == [
        score.name for score in order[:2]
    ]
    assert "The 2 pictures with the greatest SAD; --parquet writes all 4." in text
    assert "mean of 4" in text
    rows = [line for line in evaluation.text().splitlines() if line.startswith(("a ", "b ", "deep er/"))]
    assert len(rows) == 4
    assert len({len(line) for line in rows}) == 1  # aligned


def test_progress_counts_every_picture(pairs: tuple[Path, Path]) -> None:
    told: list[tuple[int, int]] = []
    evaluate(*pairs, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_trimaps_and_the_whole_picture_contradict_each_other(tmp_path: Path) -> None:
    for option in (["--region", "whole"], []):
        ended = factory("evaluate", tmp_path / "a", tmp_path / "b", "--trimap", tmp_path / "t", *option)
        assert ended.code == 2
        assert ("--region whole" in ended.sentence) == bool(option)
