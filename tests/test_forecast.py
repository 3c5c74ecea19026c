"""Promise: a dry run says what a training takes, and counts what a real step would compute and keep."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_training import PHASES, small_settings
from tiny_model import save_tiny_model
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as nnf

from factory.diffusion.train.settings import LowRankSettings, NetworkSettings, TrainSettings
from factory.diffusion.train.work import CountedNetworks, Work
from factory.training.forecast import FLOAT, count, in_words, nothing_computed, products_per_second, weights_in

CPU = torch.device("cpu")


class Block(nn.Module):
    """A convolution among a few other operations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + nnf.silu(nnf.group_norm(self.conv(x), 2))


class Attention(nn.Module):
    """Queries, keys and values are the input itself."""

    def forward(self, x: Tensor) -> Tensor:
        return nnf.scaled_dot_product_attention(x, x, x)


def really_kept(network: nn.Module, forward: Callable[[], object]) -> int:
    """Bytes that a computation keeps for its way back."""
    own = {value.untyped_storage().data_ptr() for value in network.state_dict().values()}
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        if value.untyped_storage().data_ptr() not in own:
            kept[value.untyped_storage().data_ptr()] = value
        return value

    with saved_tensors_hooks(keep, lambda value: value):
        forward()
    return sum(value.untyped_storage().nbytes() for value in kept.values())


def test_what_is_counted_is_what_a_computation_keeps() -> None:
    network = nn.Sequential(Block(4), nn.Conv2d(4, 8, 1), Block(8))
    with nothing_computed():
        fake = nn.Sequential(Block(4), nn.Conv2d(4, 8, 1), Block(8))
        counted = count(lambda: fake(torch.empty(2, 4, 16, 16)), [fake])
    x = torch.randn(2, 4, 16, 16)
    assert counted.kept == really_kept(network, lambda: network(x))


def test_operations_are_those_of_the_formulae() -> None:
    with nothing_computed():
        conv, linear, attention = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(7, 9), Attention()
        assert count(lambda: conv(torch.empty(2, 3, 8, 8)), [conv]).flops == 2 * 2 * 64 * 5 * 27
        assert count(lambda: linear(torch.empty(4, 7)), [linear]).flops == 2 * 4 * 7 * 9
        asked = torch.empty(2, 3, 16, 8, requires_grad=True)
        assert count(lambda: attention(asked), [attention]).flops == 2 * 2 * 3 * 16 * 16 * (8 + 8)


def test_of_checkpointed_blocks_their_inputs_are_kept_and_the_largest_whole() -> None:
    with nothing_computed():
        blocks = nn.Sequential(*(Block(4) for _ in range(9)))
        x = torch.empty(1, 4, 32, 32)
        whole = count(lambda: blocks(x), [blocks]).kept
        one = count(lambda: blocks[0](x), [blocks]).kept
        again = count(lambda: blocks(x), [blocks], "Block").kept
    assert again == 8 * x.nbytes + one
    assert again < whole / 2


def work(settings: TrainSettings) -> list[Work]:
    with nothing_computed():
        counted = CountedNetworks(settings, ["a red disc", "a white square"], CPU)
        return [counted.work(phase) for phase in settings.phases]


def test_phases_count_what_they_train(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    autoencoder, generation, joint = work(settings)
    assert autoencoder.learned < generation.learned < joint.learned
    assert joint.flops > generation.flops * settings.phases[2].batch / settings.phases[1].batch
    frozen = work(replace(settings, train_text_encoder=False))
    assert frozen[1].learned < generation.learned
    assert frozen[1].flops < generation.flops
    for one in (autoencoder, generation, joint):
        assert one.held >= 5 * FLOAT * one.learned
    doubled = work(replace(settings, phases=tuple(replace(phase, batch=2 * phase.batch) for phase in PHASES)))
    assert [one.flops for one in doubled] == [2 * one.flops for one in (autoencoder, generation, joint)]


def test_low_rank_changes_and_checkpointing_need_less(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    settings = small_settings(
        tmp_path, base=str(base), size=64, phases=PHASES[1:], train_text_encoder=False, bf16="off"
    )
    whole = work(settings)[0]
    low_rank = work(replace(settings, lora=LowRankSettings(rank=2)))[0]
    assert low_rank.learned < whole.learned / 4
    assert low_rank.held < whole.held
    again = work(replace(settings, gradient_checkpointing=True))[0]
    assert again.kept < whole.kept
    assert again.flops > whole.flops
    assert (again.learned, again.held) == (whole.learned, whole.held)


def test_averages_in_files_are_not_in_memory(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    for inside, outside in zip(work(settings), work(replace(settings, ema_in="files")), strict=True):
        assert inside.held - outside.held == FLOAT * inside.learned


def test_a_base_is_counted_by_its_configurations_alone(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    for weights in base.rglob("*.safetensors"):
        weights.write_bytes(b"")
    assert work(small_settings(tmp_path, base=str(base), phases=PHASES[1:], train_text_encoder=False))[0].learned > 0


def test_the_paper_s_training_takes_what_is_known_of_it(tmp_path: Path) -> None:
    """Stable Diffusion 1.5: 860 million weights, five copies of them in float32, 0.8 TFLOP there at 512²."""
    phases = tuple(replace(phase, batch=1) for phase in PHASES[1:2])
    settings = small_settings(
        tmp_path, networks=NetworkSettings(), size=512, phases=phases, train_text_encoder=False, bf16="off"
    )
    (one,) = work(settings)
    assert one.learned == 859_520_964
    assert 17.2e9 < one.held < 18e9
    assert 2.2e12 < one.flops < 2.6e12


def test_the_machine_is_asked_how_fast_it_multiplies() -> None:
    torch.set_num_threads(1)
    assert 1e8 < products_per_second(CPU, bf16=False) < 1e13


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (90, "1.5 min"), (2000, "33 min"), (5400, "1.5 h"), (2e5, "56 h")]
)
def test_times_are_not_said_more_exactly_than_they_are_known(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


def test_weights_are_counted_without_making_them() -> None:
    with nothing_computed():
        large = nn.Linear(1_000_000, 1_000_000)  # 4 TB
        assert weights_in([large]) == 1_000_001_000_000
