"""`factory train` on models that read text and picture in one sequence leaves a LoRA, and a folder that paints."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from program import factory_here
from small_training import make_set, quiet, small_settings
from tiny_pipelines import build

from factory.diffusion.generators.headed import HEADED
from factory.diffusion.generators.kinds import kind_of
from factory.diffusion.joint_text import READERS
from factory.diffusion.train.low_rank import LORA_FILE
from factory.diffusion.train.settings import LowRankSettings, Phase, TrainSettings
from factory.diffusion.train.trainer import train
from factory.errors import UsageError
from factory.jobs.recipes import to_yaml
from factory.jobs.train import TrainRecipe
from factory.training.log import VALIDATION, read_log
from factory.training.progress import TrainingProgress

torch.set_num_threads(1)
PHASES = (
    Phase(name="generation", steps=2, batch=4, lr=1e-2, warmup=1),
    Phase(name="joint", steps=2, batch=4, lr=1e-2, head_lr=1e-2, warmup=1, parts=2),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("joint") / "data", slots=12)


def on(base: Path, data: Path, name: str = "Flux2KleinPipeline") -> TrainSettings:
    if not base.is_dir():
        build(name).save_pretrained(base)
    return small_settings(
        data, base=str(base), phases=PHASES, train_text_encoder=False, lora=LowRankSettings(rank=2), save_every=1
    )


def content(out: Path) -> list[str]:
    files = [out / LORA_FILE, *sorted((out / "model").rglob("*.safetensors"))]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.mark.parametrize("name", READERS)
def test_each_family_learns_and_leaves_a_model_that_paints(name: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = train(on(tmp_path / "base", data, name), out, quiet)
    assert kind_of(model) is HEADED
    told = [record["losses"] for record in read_log(out / "log.jsonl") if record["name"] == VALIDATION]
    assert [list(one) for one in told] == [["gsg"], ["gsg"]]
    assert sorted(file.name for file in (out / "pictures").iterdir()) == [
        "0-generation-0000002.png", "1-joint-0000002.png"
    ]  # fmt: skip
    card = (model / "README.md").read_text()
    assert "by low-rank changes of its transformer (rank 2)" in card
    assert "DiffusionPipeline.from_pretrained" in card


def test_killed_it_goes_on_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    settings = on(tmp_path / "base", data)
    train(settings, tmp_path / "calm", quiet)
    for die_at in (("generation", 2), ("joint", 1)):

        def die(progress: TrainingProgress, at: tuple[str, int] = die_at) -> None:
            if (progress.phase, progress.step) == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "cut", die)
    train(settings, tmp_path / "cut", quiet)
    assert content(tmp_path / "cut") == content(tmp_path / "calm")
    (tmp_path / "cut" / LORA_FILE).unlink()
    train(settings, tmp_path / "cut", quiet)
    assert content(tmp_path / "cut") == content(tmp_path / "calm")


def test_a_base_that_changed_meanwhile_is_refused(data: Path, tmp_path: Path) -> None:
    settings = on(tmp_path / "base", data)

    def stop(progress: TrainingProgress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "out", stop)
    shutil.rmtree(tmp_path / "base")
    build("StableDiffusion3Pipeline").save_pretrained(tmp_path / "base")
    with pytest.raises(UsageError, match="has changed since the training began"):
        train(settings, tmp_path / "out", quiet)


def test_what_is_not_learned_on_such_a_base_is_refused(data: Path, tmp_path: Path) -> None:
    settings = on(tmp_path / "base", data)
    with pytest.raises(UsageError, match=r"low-rank changes are learned: say `lora"):
        train(replace(settings, lora=None), tmp_path / "out", quiet)
    with pytest.raises(UsageError, match="has its autoencoder already"):
        train(replace(settings, phases=(Phase(name="autoencoder", steps=1),)), tmp_path / "other", quiet)


def test_a_dry_run_says_what_would_be_learned(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    settings = on(tmp_path / "base", data)
    recipe.write_text(to_yaml(TrainRecipe(out=tmp_path / "out", train=settings).model_dump(mode="json")))
    told = factory_here("train", recipe, "--dry-run")
    assert told.code == 0, told.err
    assert "low-rank changes of the transformer, rank 2" in told.out + told.err
    assert not (tmp_path / "out").exists()
