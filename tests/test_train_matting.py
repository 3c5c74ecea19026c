"""Promise: a matting network learns from sets, to the same weights killed or not; what cannot be is one sentence."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from program import factory_here, interrupt, start, wait_for
from small_sources import cut_outs, made, put, recipe
from torch import Tensor
from torch.utils.data import DataLoader

from factory.errors import Interrupted, MachineError, UsageError
from factory.matting.data.settings import LoaderSettings, SetEntry
from factory.matting.networks.folder import load_network
from factory.matting.networks.kinds import build
from factory.matting.train.losses import BINOMIAL, LEVELS, matting_losses
from factory.matting.train.rates import depths_below_top, parameter_groups
from factory.matting.train.settings import HeldOutFolder, LossRecipe, MattingTraining
from factory.matting.train.trainer import train
from factory.training.folder import LOG_FILE, STATE_FILE
from factory.training.log import read_log
from factory.training.progress import TrainingProgress

SIDE = 64
RECIPES: tuple[LossRecipe, ...] = ("indexnet", "vitmatte", "small")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished sets of a few cut-outs, and three backgrounds. Read it only."""
    home = tmp_path_factory.mktemp("matting")
    cut_outs(home / "cut outs", 4)
    path = recipe(home / "recipe.yaml", {"type": "rgba_folder", "path": home / "cut outs"})
    assert made(path, home / "set").exit_code(allow_short=False) == 0
    cut_outs(home / "further cut outs", 2, first=20)
    further = recipe(home / "further.yaml", {"type": "rgba_folder", "path": home / "further cut outs"})
    assert made(further, home / "further").exit_code(allow_short=False) == 0
    (home / "backgrounds").mkdir()
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (80, 90, 3), np.uint8)
        cv2.imwrite(str(home / "backgrounds" / f"{number}.png"), picture)
    return home


def settings(home: Path, **changes: Any) -> MattingTraining:
    loader = LoaderSettings((SetEntry(str(home / "set")),), backgrounds=str(home / "backgrounds"), crop=SIDE)
    fields: dict[str, Any] = {"steps": 5, "batch": 2, "workers": 0, "log_every": 1, "save_every": 2, "ema": 0.9}
    return MattingTraining(loader=loader, **(fields | changes))


def quiet(progress: TrainingProgress) -> None:
    """Nobody listens."""


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


def batch_of(seed: int, count: int = 2, side: int = SIDE) -> dict[str, Tensor]:
    """Fields of a batch, all drawn; a third of the pixels is unknown."""
    random = torch.Generator().manual_seed(seed)
    colours = {name: torch.rand(count, 3, side, side, generator=random) for name in ("foreground", "background")}
    trimap = torch.randint(0, 3, (count, 1, side, side), generator=random) / 2
    alpha = torch.rand(count, 1, side, side, generator=random)
    return {"alpha": alpha, "trimap": trimap, "weight": torch.rand(count, generator=random), **colours}


# The training


def test_its_folder_opens_and_its_card_says_what_it_learned_from(home: Path, tmp_path: Path) -> None:
    own = settings(home, validation=(SetEntry(str(home / "further")),), validation_items=2, validate_every=3)
    network = load_network(train(own, tmp_path, quiet))
    assert network(torch.rand(1, 3, SIDE, SIDE), torch.full((1, 1, SIDE, SIDE), 0.5)).shape == (1, 1, SIDE, SIDE)
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    for words in ("| set | train |", "cut outs", "steps: 5", "MSE 0."):
        assert words in card
    told = [record["step"] for record in read_log(tmp_path / LOG_FILE) if record["name"] == "validation"]
    assert told == [3, 5]
    record = json.loads((tmp_path / "finished.json").read_text())
    assert 0 <= record["waiting"] <= 1
    before = weights(tmp_path)
    train(own, tmp_path, quiet)
    assert weights(tmp_path) == before, "a finished folder is left alone"


@pytest.mark.slow
def test_it_learns(home: Path, tmp_path: Path) -> None:
    train(settings(home, steps=80, batch=4, lr=5e-3, warmup=5), tmp_path, quiet)
    alpha = [record["losses"]["alpha"] for record in read_log(tmp_path / LOG_FILE)]
    assert np.mean(alpha[-10:]) < 0.75 * np.mean(alpha[:10])


@pytest.mark.slow
def test_neither_kills_nor_workers_change_a_weight(home: Path, tmp_path: Path) -> None:
    """Interrupted once, killed twice, by a program of its own; then finished with two workers."""
    own, cut = settings(home), tmp_path / "cut"
    train(own, tmp_path / "calm", quiet)

    def interrupt(progress: TrainingProgress) -> None:
        if progress.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(replace(own, workers=1), cut, interrupt)
    assert torch.load(cut / STATE_FILE, weights_only=True)["step"] == 2
    dies = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, {tests!r});"
        "import test_train_matting as t; from factory.matting.train.trainer import train;"
        "train(t.settings(Path({home!r})), Path({cut!r}),"
        " lambda p: os.kill(os.getpid(), signal.SIGKILL) if p.step == 4 else None)"
    )
    code = dies.format(tests=str(Path(__file__).parent), home=str(home), cut=str(cut))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    train(replace(own, workers=2), cut, quiet)
    assert weights(cut) == weights(tmp_path / "calm")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("vitmatte", {"losses": "vitmatte", "layer_decay": 0.65, "drops": ((0.3, 0.1), (0.9, 0.05))}),
        ("indexnet", {"lr_factors": {"layer*": 0.01}, "weighted": True}),
    ],
)
def test_the_papers_networks_train_by_their_recipes(
    kind: str, changes: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    """A step of them, a batch in two parts."""
    folder = train(settings(home, network=kind, steps=1, batch=4, parts=2, **changes), tmp_path, quiet)
    alpha = load_network(folder)(torch.rand(1, 3, SIDE, SIDE), torch.full((1, 1, SIDE, SIDE), 0.5))
    assert alpha.isfinite().all()
    losses = read_log(tmp_path / LOG_FILE)[-1]["losses"]
    assert (
        list(losses)
        == {
            "vitmatte": ["unknown", "known", "laplacian", "gradient"],
            "indexnet": ["alpha", "composition"],
        }[kind]
    )


def test_it_goes_on_from_a_trained_network(home: Path, tmp_path: Path) -> None:
    first = train(settings(home, steps=2), tmp_path / "first", quiet)
    onward = settings(home, steps=1, begin=str(first), lr=0.0)
    folders = first, train(onward, tmp_path / "on", quiet)
    one, other = (dict(load_network(folder).named_parameters()) for folder in folders)
    assert all(torch.allclose(value, other[name]) for name, value in one.items())


def test_a_folder_stays_with_its_settings_and_sets(home: Path, tmp_path: Path) -> None:
    own, out = settings(home, steps=1), tmp_path / "run"
    train(own, out, quiet)
    train(replace(own, workers=1, save_every=7, loader=replace(own.loader, cache=str(tmp_path / "cache"))), out, quiet)
    with pytest.raises(UsageError, match=r"other settings .*loader\.crop"):
        train(replace(own, loader=replace(own.loader, crop=96)), out, quiet)
    inputs = json.loads((out / "inputs.json").read_text())
    (out / "inputs.json").write_text(json.dumps(inputs | {str(home / "set"): "another"}))
    with pytest.raises(UsageError, match="changed since"):
        train(own, out, quiet)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_comes_up_while_batches_are_made_is_one_sentence(workers: int, home: Path, tmp_path: Path) -> None:
    put(tmp_path / "photographs" / "a.png", b"no picture")
    loader = replace(settings(home).loader, backgrounds=str(tmp_path / "photographs"))
    with pytest.raises(UsageError, match=r"^no background in \S+ can be read: [^\n]+$"):
        train(replace(settings(home, workers=workers), loader=loader), tmp_path / "run", quiet)


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_training_in_one_sentence(home: Path, tmp_path: Path) -> None:
    def kill_workers(progress: TrainingProgress) -> None:
        if progress.step == 2:
            for child in multiprocessing.active_children():
                child.kill()

    own = settings(home, workers=1, steps=40, save_every=1)
    with pytest.raises(MachineError, match=r"^a process that makes batches died [^\n]+train\.workers[^\n]+$"):
        train(own, tmp_path / "run", kill_workers)
    assert (tmp_path / "run" / STATE_FILE).is_file()


def test_a_connection_that_a_dying_worker_broke_is_its_death(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it hands a batch over, it is not dead yet for who asks; what it raised itself is no death."""
    broken: list[Exception] = [ConnectionResetError(104, "Connection reset by peer"), EOFError()]
    own = ConnectionResetError("Caught ConnectionResetError in DataLoader worker process 0.")
    for error, seen in [*((error, MachineError) for error in broken), (own, ConnectionResetError)]:
        monkeypatch.setattr(DataLoader, "__iter__", lambda _, error=error: _raising(error))
        with pytest.raises(seen):
            train(settings(home, steps=1), tmp_path / "run", quiet)


def _raising(error: Exception) -> Iterator[None]:
    raise error
    yield


@pytest.mark.slow
def test_what_ends_all_processes_at_once_lets_the_training_save(home: Path, tmp_path: Path) -> None:
    """As batch systems send SIGTERM: workers as well."""
    out = tmp_path / "run"
    sets = f"sets: [{{path: {home / 'set'}}}], backgrounds: {home / 'backgrounds'}, crop: 64"
    fields = f"train={{loader: {{{sets}}}, steps: 4000, batch: 2, log_every: 1, save_every: 1000}}"
    process = start("train-matting", _recipe(tmp_path), "--out", out, "--set", fields)
    assert wait_for(lambda: len(read_log(out / LOG_FILE)) > 1, process)
    ended = interrupt(process, signal.SIGTERM, whole_group=True)
    assert (ended.code, "saved at step" in ended.sentence) == (130, True), ended.err


def test_pinned_settings_that_cannot_be_read_are_named(home: Path, tmp_path: Path) -> None:
    own = settings(home, steps=1)
    train(own, tmp_path, quiet)
    for content in ("{", '{"steps": "many"}', "[]"):
        (tmp_path / "settings.json").write_text(content)
        with pytest.raises(UsageError, match=r"settings\.json .*train into another --out"):
            train(own, tmp_path, quiet)


def test_settings_that_nothing_was_learned_with_bind_no_folder(home: Path, tmp_path: Path) -> None:
    """A typing mistake that only the network's weights show costs no new folder."""
    own = settings(home, steps=1)
    with pytest.raises(UsageError, match="lr_factors"):
        train(replace(own, lr_factors={"stme*": 0.1}), tmp_path, quiet)
    assert train(replace(own, lr_factors={"stem*": 0.1}), tmp_path, quiet).is_dir()


def test_a_test_picture_among_the_samples_is_refused_by_name(home: Path, tmp_path: Path) -> None:
    own = settings(home, tests=(HeldOutFolder(str(home / "cut outs")),))
    with pytest.raises(UsageError, match="test pictures are in what is trained on"):
        train(own, tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()
    behind = replace(own, tests=(HeldOutFolder(str(home / "backgrounds")),))
    with pytest.raises(UsageError, match="test pictures lie among the backgrounds"):
        train(behind, tmp_path / "run", quiet)
    train(replace(own, steps=1, tests=(HeldOutFolder(str(home / "further cut outs")),)), tmp_path / "run", quiet)
    assert "None of these test pictures" in (tmp_path / "run" / "model" / "MODEL_CARD.md").read_text()


def test_what_cannot_be_trained_is_one_sentence(home: Path, tmp_path: Path) -> None:
    fields = f"sets: [{{path: {home / 'set'}}}], backgrounds: {home / 'backgrounds'}, crop: 64"
    good = f"train={{loader: {{{fields}}}"
    for assignment, mend in (
        ("train={loader: {sets: [{path: nowhere}], screen: true}}", "no such folder"),
        ("train={loader: {sets: [], screen: true}}", "at least one set"),
        (good + ", network: smal}", "did you mean small"),
        (good + ", batch: 3, parts: 2}", "multiple of 2"),
        (good + ", network: indexnet, batch: 1}", "give 2 or more"),
        (good + ", begin: nowhere}", "no folder nowhere"),
        (good + ", drops: [[2, 0.1]]}", "share of the steps"),
        (good + ", ema: 1}", "train.ema"),
        (good + ", lr: -1}", "train.lr is -1"),
        (good + ", threads: 0}", "train.threads"),
        (good + ", layer_decay: 0}", "train.layer_decay"),
        (good + ", lr_factors: {stem*: -1}}", "for stem*"),
        (good + ", options: {size: tiny}}", "there are begins_with"),
        (good + ", lr_factors: {stme*: 0.1}}", "no weight's name is like 'stme*'"),
        (good + ", layer_decay: 0.5}", "no layers of a ViT"),
        (good.replace("backgrounds:", "backgrounds: nowhere/") + "}", "no picture in"),
        (good.replace("}]", ", split: test}]") + "}", "no accepted sample of a split 'test'"),
        (good + f", validation: [{{path: {home / 'further'}, split: test}}]}}", "of a split 'test'"),
        (good + f", validation: [{{path: {home / 'set'}}}]}}", "which is learned from"),
    ):
        ended = factory_here("run", _recipe(tmp_path), "--dry-run", "--set", assignment)
        assert ended.code == 2, assignment
        assert mend in ended.sentence, ended.sentence
    dry = factory_here("train-matting", _recipe(tmp_path), "--dry-run", "--out", tmp_path / "run", "--set", good + "}")
    assert dry.code == 0, dry.err
    assert "a network small" in dry.out
    assert "4 samples of train" in dry.out
    assert "0.05 GB are kept for 16 crops" in dry.out
    assert not (tmp_path / "run").exists()
    twice = factory_here("run", _recipe(tmp_path), "--dry-run", "--set", good + ", weighted: true}")
    assert "trust in labels counts twice" in twice.out


def _recipe(folder: Path) -> Path:
    (path := folder / "recipe.yaml").write_text("job: train-matting\n")
    return path


# The losses


@pytest.mark.parametrize("name", RECIPES)
def test_the_truth_has_next_to_no_loss(name: LossRecipe) -> None:
    batch = batch_of(0)
    terms = matting_losses(name, batch["alpha"], batch, weighted=False)
    terms.pop("gradient", None)  # which counts gradients that are there, too
    assert all(0 <= float(value) < 3e-6 for value in terms.values())


def test_indexnets_loss_is_the_mean_over_each_samples_unknown_pixels() -> None:
    batch = batch_of(1)
    alpha = torch.rand_like(batch["alpha"])
    terms = matting_losses("indexnet", alpha, batch, weighted=False)
    by_hand: dict[str, list[float]] = {"alpha": [], "composition": []}
    for n in range(2):
        there = batch["trimap"][n, 0] == 0.5
        off = (alpha - batch["alpha"])[n, 0][there]
        painted = [a[n] * batch["foreground"][n] + (1 - a[n]) * batch["background"][n] for a in (alpha, batch["alpha"])]
        by_hand["alpha"].append(float(off.abs().mean()))
        by_hand["composition"].append(float((painted[0] - painted[1])[:, there].abs().sum(dim=0).mean()))
    for term, values in by_hand.items():
        assert float(terms[term]) == pytest.approx(0.5 * np.mean(values), rel=1e-4)


def test_the_small_loss_is_the_mean_over_each_samples_unknown_pixels() -> None:
    batch = batch_of(3)
    alpha = torch.rand_like(batch["alpha"])
    terms = matting_losses("small", alpha, batch, weighted=False)
    by_hand: dict[str, list[float]] = {"absolute": [], "square": [], "edges": []}
    for n in range(2):
        there, off = (batch["trimap"][n, 0] == 0.5).numpy(), (alpha - batch["alpha"])[n, 0].numpy()
        by_hand["absolute"].append(float(np.abs(off[there]).mean()))
        by_hand["square"].append(2 * float((off[there] ** 2).mean()))
        steps = [np.abs(np.diff(off, axis=1))[there[:, 1:]].sum(), np.abs(np.diff(off, axis=0))[there[1:]].sum()]
        by_hand["edges"].append(float(sum(steps)) / int(there.sum()))
    for term, values in by_hand.items():
        assert float(terms[term]) == pytest.approx(float(np.mean(values)), rel=1e-4)


def test_vitmattes_loss_is_the_published_sum() -> None:
    batch = batch_of(2)
    alpha = torch.rand_like(batch["alpha"])
    terms = matting_losses("vitmatte", alpha, batch, weighted=False)
    off, unknown = (alpha - batch["alpha"]).abs(), batch["trimap"] == 0.5
    assert float(terms["unknown"]) == pytest.approx(float(off[unknown].mean()), rel=1e-5)
    assert float(terms["known"]) == pytest.approx(float(off[~unknown].mean()), rel=1e-5)
    pyramids = [[_pyramid(values[n, 0].numpy()) for n in range(2)] for values in (alpha, batch["alpha"])]
    levels = [
        2**level * np.mean([np.abs(one[level] - other[level]).mean() for one, other in zip(*pyramids, strict=True)])
        for level in range(LEVELS)
    ]
    assert float(terms["laplacian"]) == pytest.approx(sum(levels) / LEVELS, rel=1e-4)
    slopes = [[_slopes(values[n, 0].numpy()) for n in range(2)] for values in (alpha, batch["alpha"])]
    steps = np.abs(np.array(slopes[0]) - slopes[1]) + 0.01 * np.abs(slopes[0])
    expected = steps.sum(axis=1)[unknown[:, 0].numpy()].mean()
    assert float(terms["gradient"]) == pytest.approx(expected, rel=1e-4)


def _pyramid(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The Laplacian pyramid, level by level as it is published."""
    kernel, levels = np.outer(BINOMIAL, BINOMIAL) / 256, []
    for _ in range(LEVELS):
        down = cv2.filter2D(values, -1, kernel, borderType=cv2.BORDER_REFLECT_101)[::2, ::2]
        raised = np.zeros_like(values)
        raised[::2, ::2] = 4 * down
        levels.append(values - cv2.filter2D(raised, -1, kernel, borderType=cv2.BORDER_REFLECT_101))
        values = down
    return levels


def _slopes(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [cv2.Sobel(values, cv2.CV_32F, 1 - i, i, borderType=cv2.BORDER_CONSTANT) for i in (0, 1)]


@pytest.mark.parametrize("name", RECIPES)
@given(seed=st.integers(0, 2**31))
@hypothesis_settings(max_examples=10, deadline=None)
def test_shares_of_a_batch_have_the_whole_batchs_loss_as_their_mean(name: LossRecipe, seed: int) -> None:
    """As processes see them that tell each other the mean of what they divide by."""
    batch = batch_of(seed, count=4)
    alpha = torch.rand_like(batch["alpha"])
    whole = matting_losses(name, alpha, batch, weighted=True)
    shares = [slice(0, 2), slice(2, 4)]
    seen: list[list[Tensor]] = []
    for share in shares:
        seen.append([])
        matting_losses(name, alpha[share], {n: v[share] for n, v in batch.items()}, True, _noting(seen[-1]))
    means = [torch.stack(pair).mean() for pair in zip(*seen, strict=True)]
    told = [
        matting_losses(name, alpha[share], {n: v[share] for n, v in batch.items()}, True, _telling(list(means)))
        for share in shares
    ]
    for term, value in whole.items():
        assert float(sum(one[term] for one in told) / 2) == pytest.approx(float(value), rel=1e-4)


def _noting(seen: list[Tensor]) -> Callable[[Tensor], Tensor]:
    def mean(value: Tensor) -> Tensor:
        seen.append(value)
        return value

    return mean


def _telling(means: list[Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda _: means.pop(0)


@pytest.mark.parametrize("name", RECIPES)
def test_a_label_that_is_not_trusted_teaches_nothing(name: LossRecipe) -> None:
    batch = batch_of(3) | {"weight": torch.tensor([1.0, 0.0])}
    alpha = torch.rand_like(batch["alpha"]).requires_grad_()
    torch.autograd.backward(torch.stack(list(matting_losses(name, alpha, batch, weighted=True).values())).sum())
    assert alpha.grad is not None
    assert alpha.grad[0].abs().sum() > 0
    assert alpha.grad[1].abs().sum() == 0


@pytest.mark.parametrize("name", RECIPES)
def test_a_trimap_without_unknown_teaches_no_nonsense(name: LossRecipe) -> None:
    batch = batch_of(4) | {"trimap": torch.ones(2, 1, SIDE, SIDE)}
    alpha = torch.rand_like(batch["alpha"]).requires_grad_()
    torch.autograd.backward(torch.stack(list(matting_losses(name, alpha, batch, weighted=False).values())).sum())
    assert alpha.grad is not None and torch.isfinite(alpha.grad).all()


# The rates


def test_layers_of_a_vit_learn_slower_the_lower_they_lie() -> None:
    network = build("vitmatte", {"size": "tiny"})
    groups = parameter_groups(network, 1.0, 0.1, {}, 0.5)
    rates = {id(p): group["base_lr"] for group in groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    named = {name.removeprefix("model."): parameter for name, parameter in network.named_parameters()}
    for name, rate in (
        ("backbone.embeddings.projection.weight", 0.5**5),
        ("backbone.encoder.layer.0.attention.qkv.weight", 0.5**4),
        ("backbone.encoder.layer.3.attention.qkv.weight", 0.5),
        ("backbone.encoder.layer.3.residual.conv1.weight", 1.0),
        ("decoder.matting_head.matting_convs.0.weight", 1.0),
    ):
        assert rates[id(named[name])] == rate, name
    assert decays[id(named["backbone.embeddings.position_embeddings"])] == 0
    assert decays[id(named["backbone.encoder.layer.0.norm1.weight"])] == 0
    assert decays[id(named["backbone.encoder.layer.0.attention.qkv.weight"])] == 0.1


def test_indexnets_encoder_learns_at_a_hundredth() -> None:
    network = build("indexnet", {})
    groups = parameter_groups(network, 1e-2, 0.0, {"layer*": 0.01}, 1.0)
    rates = {id(p): group["base_lr"] for group in groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(1e-4 if name.startswith("layer") else 1e-2), name


def test_rates_for_weights_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match=r"lr_factors.*encoder"):
        parameter_groups(build("small", {}), 1.0, 0.0, {"encoder*": 0.1}, 1.0)
    with pytest.raises(UsageError, match="layer_decay"):
        depths_below_top(["stem.0.weight"])
