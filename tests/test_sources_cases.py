"""Small inputs as users sent them, kept beside the test pictures: each goes as its row of the list there says."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_sources import asked, fates, made

from factory.quality.evaluation import evaluate
from factory.review.outlook import plan_text
from factory.run.execute import execute
from factory.run.result import Result
from factory.shards.data_set import DataSet

MIRRORED = {"id.mp4@0.000s": "accepted"} | dict.fromkeys(("hflip.mp4", "transpose.mp4", "vflip.mp4"), "rotation")
FATES = {
    "premultiplied": {"z_premult_as_straight.png": "premultiplied"},
    "mirror_clip": MIRRORED,
    "linked_folder": {"linkdir/a_plain8.png": "accepted", "real/c_la.png": "accepted"},
    "alpha_clip": {"vp9_alpha.webm": "alpha"},
    "trimap_as_matte": {"picture/n_trimap.png": "trimap"},
}


@pytest.fixture
def cases(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them all."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    copy = Path(shutil.copytree(folder, tmp_path / "cases", copy_function=shutil.copyfile))
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o755)
    (copy / "linked_folder" / "cut" / "linkdir").symlink_to("../nas")
    monkeypatch.chdir(copy)
    return copy


def run(cases: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(cases / name)
    return made(Path("r.yaml"), Path("out"))


@pytest.mark.parametrize("name", FATES)
def test_each_item_goes_as_its_row_says(cases: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(cases, name, monkeypatch)
    assert fates(Path("out")) == FATES[name]


def test_one_profile_gives_one_colour_in_cut_outs_and_in_pairs(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same object with the same profile, red and blue exchanged, as a cut-out, as a pair, and without it."""
    run(cases, "rgba_icc", monkeypatch)
    solid = {}
    for sample in DataSet(Path("out")):
        assert sample.alpha is not None
        assert sample.foreground is not None
        solid[Path(sample.meta["item"]).name] = np.median(sample.foreground[sample.alpha == 255], axis=0)
    assert np.abs(solid["swap_rgba.png"] - solid["i_icc.png"]).max() <= 3
    assert np.abs(solid["swap_rgba.png"] - solid["none_rgba.png"][::-1]).max() <= 3


def test_sixteen_bits_are_read(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(cases, "deep_cutout", monkeypatch).accepted == 1


def test_a_grey_matte_stored_as_rgb_is_scored(cases: Path) -> None:
    evaluation = evaluate(cases / "evaluate_rgb" / "pred", cases / "evaluate_rgb" / "gt", region="whole")
    assert (len(evaluation.scores), evaluation.faults) == (1, ())


def test_what_is_not_read_is_counted(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases / "passed_over")
    said: list[str] = []
    result = execute(asked(Path("r.yaml"), Path("out")), said.append)
    assert result.accepted + sum(count.rejected + count.failed for count in result.counts) >= 5
    assert any("files passed over" in sentence and ".jp2" in sentence and ".tga" in sentence for sentence in said)


def test_a_plan_names_what_it_cannot_use(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cases / "plan_silent")
    text = plan_text(asked(Path("r.yaml"), Path("out")))
    assert "3 of 4 clips cannot be used" in text
    assert "1 sample for train, of 4 found" in text
