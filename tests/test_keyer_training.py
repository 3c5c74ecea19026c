"""Promise: the keyer's network learns from scenes that follow from a seed, and a killed training loses nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from program import factory
from safetensors.torch import load_file, save_file
from small_sources import cut_outs, made, recipe

from factory.errors import UsageError
from factory.greenscreen.keyer.clues import CLUES, clues
from factory.greenscreen.keyer.shape_network import MULTIPLE, ShapeNetwork
from factory.refine.train.objects import read_objects
from factory.refine.train.scenes import Cutout, scene
from factory.refine.train.settings import KeyerTraining
from factory.refine.train.trainer import draw_batch, train
from factory.training.folder import FINISHED_FILE, STATE_FILE
from factory.training.progress import TrainingProgress

SIDE = 32


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished set of a few cut-outs. Read it only."""
    home = tmp_path_factory.mktemp("objects")
    cut_outs(home / "cut outs", 4)
    path = recipe(home / "recipe.yaml", {"type": "rgba_folder", "path": home / "cut outs"})
    assert made(path, home / "set").exit_code(allow_short=False) == 0
    return home / "set"


def settings(objects: Path, steps: int) -> KeyerTraining:
    return KeyerTraining(data=(str(objects),), steps=steps, batch=2, side=SIDE, log_every=1, save_every=2)


def test_a_scene_follows_from_its_seed_and_keeps_to_its_ranges(objects: Path) -> None:
    known = read_objects([str(objects)])
    for seed in range(40):
        one, again = (scene(known, SIDE, np.random.default_rng(seed)) for _ in range(2))
        for field in ("picture", "plate", "colour", "alpha", "foreground"):
            values = getattr(one, field)
            assert values.dtype == np.float32
            assert float(values.min()) >= 0 and float(values.max()) <= 1
            np.testing.assert_array_equal(values, getattr(again, field))
    assert len({scene(known, SIDE, np.random.default_rng(seed)).picture.tobytes() for seed in range(40)}) == 40


def test_where_nothing_stands_the_picture_is_nearly_the_plate() -> None:
    """Else the network would be taught that screens are objects."""
    nothing = Cutout(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))
    scenes = [scene([nothing], 64, np.random.default_rng(seed)) for seed in range(60)]
    assert np.median([np.median(np.abs(one.picture - one.plate).max(axis=-1)) for one in scenes]) < 0.05


def test_clues_do_not_depend_on_which_colour_the_screen_has() -> None:
    random = np.random.default_rng(0)
    picture, plate = random.random((8, 8, 3), np.float32), np.full((8, 8, 3), (0.1, 0.8, 0.2), np.float32)
    green = clues(picture, plate, plate[0, 0])
    turned = clues(picture[..., [1, 2, 0]], plate[..., [1, 2, 0]], plate[0, 0, [1, 2, 0]])
    assert green.shape == (CLUES, 8, 8)
    np.testing.assert_allclose(green[[0, 1, 2, 5, 8]], turned[[0, 1, 2, 5, 8]], atol=1e-5)
    np.testing.assert_allclose(clues(plate, plate, plate[0, 0])[[0, 2, 3, 4, 5]], 0, atol=1e-5)


def test_an_untrained_network_answers_what_colour_tells() -> None:
    seen = torch.zeros(1, CLUES, MULTIPLE, 2 * MULTIPLE)
    seen[:, 1] = 0.75
    logits, spread, own = ShapeNetwork()(seen)
    assert logits.shape == spread.shape == own.shape == (1, MULTIPLE, 2 * MULTIPLE)
    torch.testing.assert_close(torch.sigmoid(logits), torch.full_like(logits, 0.75))


@pytest.mark.slow
def test_it_learns(objects: Path, tmp_path: Path) -> None:
    own = replace(settings(objects, 120), batch=4, warmup=5, ema=0.8)
    weights = load_file(train(own, tmp_path / "run", lambda _: None))
    unseen = draw_batch(read_objects([str(objects)]), replace(own, seed=1, batch=32), 0)

    def error(network: ShapeNetwork) -> float:
        return float((torch.sigmoid(network(unseen.clues)[0]) - unseen.alpha).abs().mean().detach())

    before = error(network := ShapeNetwork())
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    assert error(network) < 0.95 * before


@pytest.mark.slow
def test_interrupted_trainings_end_in_the_same_weights(objects: Path, tmp_path: Path) -> None:
    calm = train(settings(objects, 6), tmp_path / "calm", lambda _: None)

    def until(step: int) -> Callable[[TrainingProgress], None]:
        def stop(progress: TrainingProgress) -> None:
            if progress.step == step:
                raise KeyboardInterrupt

        return stop

    for step in (1, 3, 5):  # 3 and 5 come after a saved state, 1 before any
        with pytest.raises(KeyboardInterrupt):
            train(settings(objects, 6), tmp_path / "cut", until(step))
        assert (tmp_path / "cut" / STATE_FILE).is_file() == (step > 1)
    cut = train(settings(objects, 6), tmp_path / "cut", lambda _: None)
    assert cut.read_bytes() == calm.read_bytes()
    network = ShapeNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(cut).items()})
    onward = train(replace(settings(objects, 1), begin=str(cut), lr=0.0), tmp_path / "onward", lambda _: None)
    for name, value in load_file(onward).items():
        torch.testing.assert_close(value, load_file(cut)[name], msg=name)
    with pytest.raises(UsageError, match="other settings"):
        train(settings(objects, 7), tmp_path / "cut", lambda _: None)


def test_what_an_earlier_versions_network_left_is_refused(objects: Path, tmp_path: Path) -> None:
    """Its folder goes on with no network of today's, and its weights are none."""
    own, out = settings(objects, 2), tmp_path / "run"
    weights = train(own, out, lambda _: None)
    today = load_file(weights)
    save_file({**today, "out.weight": today["out.weight"][:2].contiguous()}, weights)
    with pytest.raises(UsageError, match="no shape network"):
        train(own, out, lambda _: None)
    (out / FINISHED_FILE).unlink()
    state = torch.load(out / STATE_FILE, weights_only=True)
    todays = state["weights"]["shape"]
    for earlier in ({"shape": {**todays, "out.weight": todays["out.weight"][:2]}}, todays):  # once: not by its name
        torch.save({**state, "weights": earlier}, out / STATE_FILE)
        with pytest.raises(UsageError, match="another --out"):
            train(own, out, lambda _: None)


def test_batches_are_of_many_formats_and_none_comes_twice(objects: Path) -> None:
    known, own = read_objects([str(objects)]), settings(objects, 2)
    first, second = (draw_batch(known, own, step) for step in (0, 1))
    assert first.clues.shape[:2] == (2, CLUES)
    assert first.clues.shape[2:] == first.alpha.shape[1:]
    assert first.clues.shape != second.clues.shape or not torch.equal(first.clues, second.clues)
    formats = {tuple(draw_batch(known, own, step).alpha.shape[1:]) for step in range(30)}
    assert len(formats) > 2, "pictures are of many formats"
    assert all(side % MULTIPLE == 0 for pair in formats for side in pair)


def test_what_cannot_be_trained_is_one_sentence(objects: Path, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, other := tmp_path / "other.safetensors")
    for assignment, mend in (
        (f"train.data=[{tmp_path / 'nothing'}]", "not a finished data set"),
        ("train.data=[]", "names no set"),
        ("train.side=33", "multiple of 16"),
        (f"train={{data: [{objects}], begin: nowhere.safetensors}}", "no such file"),
        (f"train={{data: [{objects}], begin: {other}}}", "no shape network"),
    ):
        ended = factory("train-keyer", "--out", tmp_path / "run", "--set", assignment)
        assert ended.code == 2
        assert mend in ended.sentence
    dry = factory("train-keyer", "--dry-run", "--out", tmp_path / "run", "--set", f"train.data=[{objects}]")
    assert dry.code == 0, dry.err
    assert "train-keyer" in dry.out
