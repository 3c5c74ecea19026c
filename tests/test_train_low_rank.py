"""Low-rank changes learn on a base as its whole U-Net would, go on after a kill, and leave a file that others load."""

import copy
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_training import make_set, quiet, small_settings

from factory.diffusion import model_folder
from factory.diffusion.lora.file import read_adapter
from factory.diffusion.lora.merging import Weighted, merge
from factory.diffusion.lora.names import Known
from factory.diffusion.train.low_rank import LORA_FILE, LowRankChanges, fold
from factory.diffusion.train.outlook import outlook
from factory.diffusion.train.settings import LowRankSettings, Phase, TrainSettings
from factory.diffusion.train.trainer import train
from factory.errors import UsageError
from factory.training.progress import TrainingProgress

torch.set_num_threads(1)
PHASES = (
    Phase(name="generation", steps=4, batch=4, lr=1e-2, warmup=1),
    Phase(name="joint", steps=2, batch=4, lr=1e-2, head_lr=1e-2, warmup=1),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("low-rank") / "data")


@pytest.fixture(scope="module")
def base(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained in all its weights. Read it only."""
    return train(small_settings(data), tmp_path_factory.mktemp("low-rank") / "base", quiet)


@pytest.fixture(scope="module")
def finished(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training of low-rank changes. Read it only."""
    out = tmp_path_factory.mktemp("low-rank") / "finished"
    train(low_rank(data, base), out, quiet)
    return out


def low_rank(data: Path, base: Path, layers: str = "all") -> TrainSettings:
    lora = LowRankSettings(rank=2, layers="all" if layers == "all" else "attention")
    return small_settings(data, base=str(base), phases=PHASES, train_text_encoder=False, lora=lora)


def content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def weights_in(model: Path, part: str) -> str:
    return content(next((model / part).glob("*.safetensors")))


def test_the_file_laid_over_the_base_gives_the_published_u_net(base: Path, finished: Path) -> None:
    parts = {"unet": model_folder.load(base).unet}
    file = finished / LORA_FILE
    merge(parts, [Weighted(read_adapter(file, file.read_bytes(), Known(parts)), 1.0, lowered=True)])
    published = model_folder.load(finished / "model").unet.state_dict()
    before = model_folder.load(base).unet.state_dict()
    moved = 0.0
    for name, value in parts["unet"].state_dict().items():
        torch.testing.assert_close(value, published[name], atol=2e-3, rtol=2e-3)  # published in half precision
        moved = max(moved, float((value - before[name]).abs().max()))
    assert moved > 0.01


def test_only_the_u_net_and_the_head_are_written_anew(base: Path, finished: Path) -> None:
    for part in ("vae", "text_encoder"):
        assert weights_in(finished / "model", part) == weights_in(base, part)
    for part in ("unet", "matting_head"):
        assert weights_in(finished / "model", part) != weights_in(base, part)


def test_its_keys_are_peft_s_behind_the_part_s_name(finished: Path) -> None:
    with safe_open(finished / LORA_FILE, framework="np") as file:
        names = set(file.keys())
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    assert {f"{layer}.lora_A.weight", f"{layer}.lora_B.weight", "unet.conv_in.lora_A.weight"} <= names
    assert {name.rsplit(".", 2)[1] for name in names} == {"lora_A", "lora_B"}


def test_killed_it_goes_on_to_the_same_file(data: Path, base: Path, finished: Path, tmp_path: Path) -> None:
    for die_at in (("generation", 3), ("joint", 1)):

        def die(progress: TrainingProgress, at: tuple[str, int] = die_at) -> None:
            if (progress.phase, progress.step) == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(low_rank(data, base), tmp_path / "out", die)
    train(low_rank(data, base), tmp_path / "out", quiet)
    assert content(tmp_path / "out" / LORA_FILE) == content(finished / LORA_FILE)
    assert weights_in(tmp_path / "out" / "model", "unet") == weights_in(finished / "model", "unet")


def test_a_base_that_changed_meanwhile_is_refused(data: Path, base: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(base, tmp_path / "base"))

    def stop(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(low_rank(data, own), tmp_path / "out", stop)
    file = next((own / "unet").glob("*.safetensors"))
    save_file({name: value * 1.01 for name, value in load_file(file).items()}, file)
    with pytest.raises(UsageError, match="has changed since the training began"):
        train(low_rank(data, own), tmp_path / "out", quiet)


def test_attention_alone_changes_nothing_else(data: Path, base: Path, tmp_path: Path) -> None:
    settings = replace(low_rank(data, base, "attention"), gradient_checkpointing=True, bf16="on")  # as on one GPU
    train(settings, tmp_path, quiet)
    with safe_open(tmp_path / LORA_FILE, framework="np") as file:
        assert all(".attn1." in name or ".attn2." in name for name in file.keys())  # noqa: SIM118 - no mapping


def test_a_finished_training_writes_its_file_anew_where_it_is_gone(
    data: Path, base: Path, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    (out / LORA_FILE).unlink()
    train(low_rank(data, base), out, quiet)
    assert content(out / LORA_FILE) == content(finished / LORA_FILE)


def test_changes_lie_where_the_network_lies(base: Path) -> None:
    """On another device than the processor: the one that needs no hardware."""
    unet = model_folder.load(base).unet.to("meta")
    changes = LowRankChanges(unet, LowRankSettings(rank=2), 0)
    assert {value.device.type for value in changes.state_dict().values()} == {"meta"}


def test_what_cannot_be_learned_so_is_refused(data: Path, base: Path) -> None:
    settings = low_rank(data, base)
    with pytest.raises(UsageError, match="none is named"):
        replace(settings, base="")
    with pytest.raises(UsageError, match="train_text_encoder"):
        replace(settings, train_text_encoder=True)
    with pytest.raises(UsageError, match="rank is 0"):
        LowRankSettings(rank=0)


def test_the_outlook_says_so(data: Path, base: Path, tmp_path: Path) -> None:
    assert "low-rank changes of the U-Net, rank 2, of all its layers" in outlook(low_rank(data, base), tmp_path)


def test_a_step_keeps_no_copy_of_the_weights(base: Path) -> None:
    unet = model_folder.load(base).unet
    LowRankChanges(unet, LowRankSettings(rank=2, layers="all"), 0)
    own = {weight.data_ptr() for weight in unet.parameters()}
    shapes = {weight.shape for weight in unet.parameters() if weight.numel() > 200}
    kept = list[torch.Tensor]()

    def keep(saved: torch.Tensor) -> torch.Tensor:
        kept.append(saved)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        told = unet(torch.randn(1, 4, 12, 12), torch.tensor([10]), torch.randn(1, 7, 16)).sample
        told.square().mean().backward()
    assert kept
    assert not [saved.shape for saved in kept if saved.shape in shapes and saved.data_ptr() not in own]


def test_changes_of_a_base_in_half_precision_learn_in_float32(base: Path) -> None:
    unet = model_folder.load(base, torch.bfloat16).unet
    before = copy.deepcopy(unet)
    changes = LowRankChanges(unet, LowRankSettings(rank=2, layers="all"), 0)
    assert {factor.dtype for factor in changes.parameters()} == {torch.float32}
    given = (torch.randn(1, 4, 8, 8).bfloat16(), torch.tensor([10]), torch.randn(1, 12, 16).bfloat16())
    with torch.no_grad():
        assert torch.equal(unet(*given).sample, before(*given).sample)  # nothing at the beginning
        for factor in changes.parameters():
            factor.normal_(std=0.1)
        learnt = unet(*given).sample
        fold(unet)
        folded = unet(*given).sample
    assert learnt.dtype == torch.bfloat16
    scale = (learnt - before(*given).sample).abs().mean()
    assert (learnt - folded).abs().mean() < 0.1 * scale
