"""Promise: whoever trains by the loop ends in the same weights, killed or not, alone or by several processes."""

import itertools
import json
import multiprocessing
import os
import pickle
import signal
import socket
from collections.abc import Callable, Generator
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from factory.errors import Interrupted, MachineError, UsageError
from factory.training.ema import MovingAverage
from factory.training.folder import LOG_FILE, STATE_FILE
from factory.training.log import read_log
from factory.training.loop import Loop, Pace
from factory.training.progress import TrainingProgress
from factory.training.ranks import device_of, joined, this_rank
from factory.training.schedule import learning_rate
from factory.training.state import load_state

PACE = Pace(name="net", steps=6, batch=4, ema=0.9, clip_norm=1.0, seed=3, log_every=1, save_every=2)


class Mixing:
    """A small network with dropout that learns to tell a mean; the losses are of the whole batch's pixels."""

    def __init__(self, pace: Pace, dropout: float = 0.0, poison: int = -1) -> None:
        self.pace, self.poison = pace, poison
        self.ranks = this_rank()
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(4, 1, 3)
        )
        self.modules = {"net": self.network}
        self.optimizer = torch.optim.AdamW([{"params": list(self.network.parameters()), "base_lr": 1e-2}], 1e-2)

    def batches(self, step: int) -> Generator[Tensor, None, None]:
        each = self.pace.batch // self.pace.parts
        for number in itertools.count(step * self.pace.parts):
            drawn = np.random.default_rng((7, number)).normal(size=(each, 1, 8, 8)).astype(np.float32)
            whole = torch.from_numpy(drawn)[self.ranks.number :: self.ranks.count]
            yield whole * float("nan") if number == self.poison else whole

    def losses(self, network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"square": (network(batch) - batch.mean(dim=(1, 2, 3), keepdim=True)).square().mean()}

    def rate(self, base: float, step: int) -> float:
        return learning_rate(base, step, steps=self.pace.steps, warmup=2, decay="cosine")

    def validate(self, step: int) -> dict[str, float]:
        assert not self.network.training
        return {"mean": float(self.network[0].weight.mean())}


def trained(
    out: Path,
    pace: Pace = PACE,
    hear: Callable[[TrainingProgress], None] = lambda _: None,
    dropout: float = 0.0,
    poison: int = -1,
) -> dict[str, Tensor]:
    """The averaged weights after all steps."""
    out.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    ranks = this_rank()
    with joined(ranks, device_of(ranks)):
        loop = Loop(Mixing(pace, dropout, poison), pace, out, hear, ranks, state=load_state(out / STATE_FILE))
        loop.run()
        ranks.wait()
        return loop.averaged()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def train_and_die(out: Path, step: int) -> None:
    """What a child process runs: it kills itself when it hears of this step."""

    def hear(progress: TrainingProgress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    trained(out, hear=hear, dropout=0.5)


def train_as_rank(out: Path, number: int, count: int, port: int) -> None:
    """What each of several processes runs."""
    os.environ |= {"RANK": str(number), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    weights = trained(out)
    torch.save(weights, out / f"weights-{number}.pt")


@pytest.fixture(scope="module")
def children() -> ForkServerContext:
    """Child processes that find torch already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_training_loop"])
    return context


@pytest.mark.slow
def test_a_killed_training_ends_in_the_same_weights(tmp_path: Path, children: ForkServerContext) -> None:
    """Dropout too: what a step draws follows from the step."""
    calm = trained(tmp_path / "calm", dropout=0.5)
    for step in (1, 3, 5):  # 1 comes before any saved state
        child = children.Process(target=train_and_die, args=(tmp_path / "cut", step))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert equal(trained(tmp_path / "cut", dropout=0.5), calm)
    steps = [[record["step"] for record in read_log(tmp_path / name / LOG_FILE)] for name in ("cut", "calm")]
    assert steps[0] == steps[1] == [1, 2, 3, 4, 5, 6]


def test_an_interrupted_training_saves_first(tmp_path: Path) -> None:
    def interrupt(progress: TrainingProgress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="step 4"):
        trained(tmp_path / "cut", replace(PACE, save_every=1000), interrupt)
    assert torch.load(tmp_path / "cut" / STATE_FILE, weights_only=True)["step"] == 4
    assert equal(trained(tmp_path / "cut"), trained(tmp_path / "calm"))


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path, children: ForkServerContext) -> None:
    alone = trained(tmp_path / "alone")
    (tmp_path / "both").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [children.Process(target=train_as_rank, args=(tmp_path / "both", n, 2, port)) for n in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
        assert rank.exitcode == 0
    first = torch.load(tmp_path / "both" / "weights-0.pt", weights_only=True)  # which alone has the average
    assert (tmp_path / "both" / STATE_FILE).is_file()
    losses = [
        [record["losses"]["square"] for record in read_log(tmp_path / name / LOG_FILE)] for name in ("both", "alone")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, atol=1e-6, rtol=1e-5)


def test_a_batch_in_parts_leads_to_the_same_weights(tmp_path: Path) -> None:
    class Split(Mixing):
        def batches(self, step: int) -> Generator[Tensor, None, None]:
            for batch in Mixing(PACE).batches(step):
                yield from batch.split(PACE.batch // self.pace.parts)

    ends = []
    for pace in (PACE, replace(PACE, parts=2)):
        (out := tmp_path / str(pace.parts)).mkdir()
        loop = Loop(Split(pace), pace, out, lambda _: None)
        loop.run()
        ends.append(loop.averaged())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, atol=1e-6, rtol=1e-5)


def test_validating_changes_no_weight_and_is_logged(tmp_path: Path) -> None:
    watched = trained(tmp_path / "watched", replace(PACE, validate_every=2))
    assert equal(watched, trained(tmp_path / "unwatched"))
    told = [record for record in read_log(tmp_path / "watched" / LOG_FILE) if record["name"] == "validation"]
    assert [record["step"] for record in told] == [2, 4, 6]
    assert told[-1]["losses"]["mean"] == pytest.approx(float(watched["0.weight"].mean()), rel=1e-5)


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    state = tmp_path / "run" / STATE_FILE
    for content in (b"", state.read_bytes()[:-100], pickle.dumps({"step": print}, 2), b"no state"):
        state.write_bytes(content)
        with pytest.raises(UsageError, match=r"state\.pt .*remove it"):
            trained(tmp_path / "run")


def test_losses_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="with a lower"):
        trained(tmp_path / "run", replace(PACE, log_every=1000), poison=3)
    assert torch.load(tmp_path / "run" / STATE_FILE, weights_only=True)["step"] == 2


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    """The losses of a step are those before it: its gradients alone may be none."""

    class Kinked(Mixing):
        def losses(self, network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
            kink = next(iter(network.parameters())).square().sum() * 0
            return {**super().losses(network, batch), "kink": kink.sqrt()}

    loop = Loop(Kinked(PACE), replace(PACE, clip_norm=0, save_every=1), tmp_path, lambda _: None)
    with pytest.raises(MachineError, match="with a lower"):
        loop.run()
    assert not (tmp_path / STATE_FILE).exists()


def test_how_long_it_waited_for_data_is_told(tmp_path: Path) -> None:
    told: list[TrainingProgress] = []
    trained(tmp_path / "run", hear=told.append)
    assert all(progress.waiting is not None and 0 <= progress.waiting <= 1 for progress in told)
    lines = (tmp_path / "run" / LOG_FILE).read_text().splitlines()
    assert all(0 <= json.loads(line)["waiting"] <= 1 for line in lines)


def test_rates_drop_at_shares_of_the_steps() -> None:
    drops = ((2 / 3, 0.1), (13 / 15, 0.01))
    rates = [learning_rate(1, step, steps=30, warmup=0, decay="constant", drops=drops) for step in range(30)]
    assert rates == [1.0] * 20 + [0.1] * 6 + [0.01] * 4


def test_running_statistics_are_averaged_with_the_weights(tmp_path: Path) -> None:
    """Batch normalisation's belong to the weights that made them."""
    norm, average = nn.BatchNorm2d(2), MovingAverage(0.5)
    average.update({"norm": norm})
    norm(torch.randn(8, 2, 4, 4) + 5)
    average.update({"norm": norm})
    live = norm.running_mean.clone()
    with average.swapped_in({"norm": norm}):
        assert 0 < float(norm.running_mean.mean()) < float(live.mean())
    assert torch.equal(norm.running_mean, live)


def test_averages_in_files_are_those_in_memory(tmp_path: Path) -> None:
    """Also where the training goes on, and in another way than it began."""
    in_memory = trained(tmp_path / "memory", replace(PACE, validate_every=2))

    def interrupt(progress: TrainingProgress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    for out, ways in (("kept", (True, True)), ("moved", (True, False)), ("back", (False, True))):
        begun, ended = (replace(PACE, validate_every=2, ema_in_files=way) for way in ways)
        with pytest.raises(Interrupted):
            trained(tmp_path / out, begun, interrupt)
        assert equal(trained(tmp_path / out, ended), in_memory)


def test_memory_of_what_lies_in_a_file_is_given_back(tmp_path: Path) -> None:
    def resident() -> float:
        """Megabytes of mapped files, of this process."""
        lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["RssShmem"].split()[0]) / 1024 + int(lines["RssFile"].split()[0]) / 1024

    big = nn.Linear(4096, 4096, bias=False)  # 67 MB
    average = MovingAverage(0.5, tmp_path)
    before = resident()
    average.update({"big": big})
    average.update({"big": big})
    assert resident() - before < 10
    assert float(average.state()["averages"]["big"]["weight"].sum()) == pytest.approx(
        float(big.weight.detach().sum()), rel=1e-3
    )
    assert resident() - before > 50
    average.release()
    assert resident() - before < 10
    assert list(tmp_path.iterdir()) == []  # nothing that a killed process would leave
