"""Promise: the table of labels.py is fair: peers do what they do elsewhere, and no scene is measured twice."""

import io
import json
import pickle
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from earlier_keyer import Earlier, answer_all, take_out
from ffmpeg_keys import FILTERS, Levels, Setting, best_of_ffmpeg, computed, counted, distances, filtered
from label_rows import OURS, TRUE_ALPHA, Rows, Shot
from labels import Scene, best_other, is_worse, resumed
from real_screens import OBJECTS, names

from factory.quality.metrics import mse, whole
from factory.sources.groups import GROUPS, group_of


@pytest.fixture(scope="module")
def picture() -> Levels:
    """Odd enough to tell borders and rounding apart, with parts that are exactly alike."""
    random = np.random.default_rng(0)
    rgb = cv2.resize(random.integers(0, 256, (8, 9, 3)).astype(np.uint8), (70, 62))
    rgb[:20], rgb[-5:] = (0, 240, 10), (10, 200, 30)
    return np.asarray(rgb, np.uint8)


@pytest.mark.parametrize("coded_as", ["rgb24", "yuv420p"])
@pytest.mark.parametrize("name", FILTERS)
def test_ffmpegs_filters_are_computed_to_the_bit(picture: Levels, coded_as: str, name: str) -> None:
    coded = np.asarray(av.VideoFrame.from_ndarray(picture, format="rgb24").to_ndarray(format=coded_as), np.uint8)
    truth = cv2.resize(picture[..., 0], picture.shape[1::-1])
    for colour in ((0, 255, 0), (70, 160, 80), (3, 12, 240)):
        distance = distances(coded, colour, name)
        for similarity, blend in ((1e-5, 0.0), (0.0734, 0.05), (0.2, 0.0), (0.2, 0.3), (0.5, 0.8)):
            setting = Setting(name, similarity, blend)
            real = filtered(coded, colour, setting)
            assert np.array_equal(computed(distance, setting), real)
            assert counted(distance, truth).mse(setting) == pytest.approx(mse(real, truth, whole(truth)), abs=1e-12)


def test_the_search_finds_a_setting_that_a_scene_was_made_with(picture: Levels) -> None:
    truth = filtered(picture, (0, 255, 0), Setting("chromakey", 0.25, 0.2))
    assert mse(best_of_ffmpeg(picture, (0, 255, 0), truth).alpha, truth, whole(truth)) < 1e-3


def scene(key: str = "a", **squares: float) -> Scene:
    return Scene(key, {}, {name: {"mse": square, "grad": 1.0} for name, square in squares.items()})


def test_a_row_is_held_against_ours_on_the_scenes_that_it_has() -> None:
    scenes = [*[scene(ours=2, whole=4, some=1)] * 5, *[scene(ours=6, whole=5)] * 5]
    assert best_other(scenes, "mse") == ("some, 5 scenes", 2, 1)
    assert best_other(scenes[1:], "mse")[0] == "whole"  # four are too few
    assert best_other(scenes[4:6], "mse") == ("whole", 4, 4.5)


def test_what_both_do_well_is_a_tie() -> None:
    assert is_worse(scene(ours=3e-5, other=1e-5))
    assert not is_worse(scene(ours=1.9e-5, other=1e-5))
    assert not is_worse(scene(ours=1e-3, other=1e-3))


def test_a_table_goes_on_after_half_a_line_but_not_with_another_set(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    kept = tmp_path / "kept.jsonl"
    assert resumed(kept, tmp_path) == {}
    line = {"key": "a", "facts": {"screen": "pure"}, "class": "cat", "rows": {OURS: {"mse": 0.5}}}
    with kept.open("a") as file:
        file.write(json.dumps(line) + "\n" + json.dumps(line | {"rows": {"KNN": {"mse": 1.0}}}) + '\n{"key": "b", "fa')
    assert resumed(kept, tmp_path) == {"a": Scene("a", line["facts"], {OURS: {"mse": 0.5}, "KNN": {"mse": 1.0}})}
    assert kept.read_text().endswith("}\n")
    (tmp_path / "plan.json").write_text("another")
    with pytest.raises(SystemExit, match="another set"):
        resumed(kept, tmp_path)


def test_every_row_answers_and_an_earlier_keyer_as_ours_does(tmp_path: Path) -> None:
    rgb, alpha = np.zeros((96, 96, 3), np.uint8), np.zeros((96, 96), np.uint8)
    rgb[..., 1], rgb[24:72, 24:72], alpha[24:72, 24:72] = 255, (180, 90, 60), 255
    shot = Shot("a", {"screen": "pure", "foreground": "exact"}, "square", rgb, alpha, rgb, (0, 255, 0))
    keyed = Rows({}).key(shot, (OURS, "ffmpeg", "OBS", "difference", TRUE_ALPHA))
    assert all(mse(row.alpha, alpha, whole(alpha)) < 0.01 for row in keyed.values())
    assert {name for name, row in keyed.items() if row.foreground is not None} == {OURS, TRUE_ALPHA}
    blank = shot._replace(picture=np.full_like(rgb, 90), facts={"screen": "pure", "foreground": "ambiguous"})
    assert {n: int(row.alpha.max()) for n, row in Rows({}).key(blank, (OURS, "OBS", TRUE_ALPHA)).items()} == {
        OURS: 0,
        "OBS": 0,
    }
    answers = io.BytesIO()
    answer_all(io.BytesIO(pickle.dumps((rgb, False)) + pickle.dumps((blank.picture, False))), answers)
    answers.seek(0)
    assert np.array_equal(Earlier(*pickle.load(answers)).alpha, keyed[OURS].alpha)
    assert pickle.load(answers) is None
    assert take_out("no-such-commit", tmp_path / "earlier") is None


def test_photographs_before_photographed_screens_are_held_out_by_name() -> None:
    parts = [{name for name, _ in names(group)} for group in GROUPS]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert all(group_of(name) == group for group, part in zip(GROUPS, parts, strict=True) for name in part)
    assert set.union(*parts) <= OBJECTS.keys()


def test_what_learns_is_read_as_a_published_network(tmp_path: Path) -> None:
    import torch
    from learn_bgmv2 import BACKBONE, PARTS, batch_of, curve_picture, losses, train
    from safetensors.torch import save_file

    from factory.refine.bgmv2.checkpoint import load
    from factory.refine.bgmv2.network import BackgroundMatting
    from factory.refine.train.scenes import Cutout

    torch.manual_seed(0)
    network = BackgroundMatting(BACKBONE, None)
    cutout = Cutout(np.full((64, 64, 3), 90, np.uint8), np.full((64, 64), 255, np.uint8))
    (point,) = train(network, [cutout], seconds=0, shape=(2, 32), seed=0)
    assert point.step == 1
    assert len(point.losses) == len(PARTS)
    sum(losses(network, batch_of([cutout], (1, 32), (0, 0)))).backward()
    assert network.backbone.features[0][0].weight.grad.abs().sum() > 0
    save_file(network.state_dict(), tmp_path / "bgmv2.safetensors")
    assert torch.equal(load(tmp_path / "bgmv2.safetensors", "cpu").decoder.conv4.weight, network.decoder.conv4.weight)
    assert not network.training
    assert curve_picture([0.3, 0.1, 0.02]).min() < 200
