"""Training on a base model: what is not trained stays as it is, to the byte."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_training import COLOURS, SIZE, make_set, quiet, small_settings
from test_model_folder import library_messages  # noqa: F401 - a fixture

from factory.diffusion import model_files, model_folder
from factory.diffusion.sample.settings import default_settings
from factory.diffusion.train import networks
from factory.diffusion.train.settings import Phase, TrainSettings
from factory.diffusion.train.trainer import train
from factory.diffusion.vocabulary import read_vocabulary
from factory.errors import UsageError
from factory.training.progress import TrainingProgress

torch.set_num_threads(1)  # workers multiply, not threads


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("training") / "data")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Stable Diffusion 1.5's on the hub: no matting head; a safety checker; pickles and fp16 beside."""
    from diffusers import PNDMScheduler, StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    folder = tmp_path_factory.mktemp("models") / "sd15-like"
    captions = [f"green screen, a {colour} {shape}" for colour in COLOURS for shape in ("disc", "square", "nothing")]
    c = networks.build(small_settings(Path()).networks, SIZE, captions, seed=1)
    eye = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    eye |= {"image_size": 8, "patch_size": 4}
    pipeline = StableDiffusionPipeline(
        vae=c.vae,
        text_encoder=c.text_encoder,
        tokenizer=c.tokenizer,
        unet=c.unet,
        scheduler=PNDMScheduler.from_config(c.scheduler.config, skip_prk_steps=True),
        safety_checker=StableDiffusionSafetyChecker(CLIPConfig(vision_config=eye, projection_dim=8)),
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}),
    )
    pipeline.save_pretrained(folder)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "text_encoder" / "model.fp16.safetensors").write_bytes(b"half of it")
    (folder / "v1-5-pruned.ckpt").write_bytes(b"a pickle")
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n# A base\n")
    return folder


def on_base(data: Path, base: Path, *phases: str, **changes: Any) -> TrainSettings:
    """Two steps of each phase on a base model, text encoder frozen."""
    steps = tuple(Phase(name=name, steps=2, batch=2, lr=1e-3, warmup=0) for name in phases)  # type: ignore[arg-type]
    return small_settings(data, base=str(base), phases=steps, train_text_encoder=False, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_plain_base_keeps_every_byte_that_is_not_trained(
    data: Path,
    base: Path,
    tmp_path: Path,
    library_messages: list[str],  # noqa: F811 - the fixture
) -> None:
    from diffusers import StableDiffusionPipeline

    model = train(on_base(data, base, "generation", "joint", gradient_checkpointing=True), tmp_path / "out", quiet)
    for part in ("vae", "tokenizer", "scheduler", "safety_checker", "feature_extractor"):
        assert contents(model / part) == contents(base / part), part
    text_encoder = contents(base / "text_encoder")
    del text_encoder["model.fp16.safetensors"]
    assert contents(model / "text_encoder") == text_encoder
    assert (model / "model_index.json").read_bytes() == (base / "model_index.json").read_bytes()
    assert {path.suffix for path in model.rglob("*") if path.is_file()} <= {".json", ".txt", ".md", ".safetensors"}
    assert sorted(contents(model / "unet")) == ["config.json", "diffusion_pytorch_model.safetensors"]
    before, after = model_folder.load_base(base, 8, 0).unet.state_dict(), model_folder.load(model).unet.state_dict()
    assert before.keys() == after.keys()
    assert any((before[key] - after[key]).abs().max() > 1e-3 for key in before)
    assert read_vocabulary(model) is None
    assert model_files.licence(model) == "creativeml-openrail-m"
    assert "from the base model\n`sd15-like`" in (model / "README.md").read_text()
    library_messages.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = StableDiffusionPipeline.from_pretrained(model, local_files_only=True)
    assert library_messages == []
    assert pipeline.safety_checker is not None


def test_a_base_in_half_precision_becomes_a_model_with_all_its_weights(data: Path, base: Path, tmp_path: Path) -> None:
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import load_file, save_file

    half = Path(shutil.copytree(base, tmp_path / "half"))
    (half / "text_encoder" / "model.fp16.safetensors").unlink()
    for file in half.rglob("*.safetensors"):
        weights = {
            name: value.half() if value.is_floating_point() else value for name, value in load_file(file).items()
        }
        save_file(weights, file.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        file.unlink()
    model = train(on_base(data, half, "generation"), tmp_path / "out", quiet)
    model_files.check(model)
    before, after = model_folder.load_base(half, 8, 0), model_folder.load(model)
    for part in ("vae", "text_encoder"):
        expected, found = getattr(before, part).state_dict(), getattr(after, part).state_dict()
        assert all(torch.equal(expected[name], found[name]) for name in expected), part
    assert StableDiffusionPipeline.from_pretrained(model, local_files_only=True).safety_checker is not None


def test_a_plain_base_gets_a_head_drawn_from_the_seed(base: Path) -> None:
    first, again, other = (model_folder.load_base(base, 8, seed).head.conv_in.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_matting_base_keeps_its_head_and_its_words(data: Path, tmp_path: Path) -> None:
    first = small_settings(data, phases=(Phase(name="generation", steps=1, batch=2),))
    base = train(first, tmp_path / "base", quiet)
    model = train(on_base(data, base, "generation"), tmp_path / "out", quiet)
    assert contents(model / "matting_head") == contents(base / "matting_head")
    assert contents(model / "unet") != contents(base / "unet")
    assert read_vocabulary(model) == read_vocabulary(base)
    assert default_settings(model) == default_settings(base)


def test_bases_that_cannot_be_trained_are_refused(data: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"train\.base: there is no folder .*nowhere; .* `hf download"):
        train(on_base(data, tmp_path / "nowhere", "generation"), tmp_path / "a", quiet)
    with pytest.raises(UsageError, match=r"train\.phases: a base has its autoencoder already"):
        train(on_base(data, base, "autoencoder"), tmp_path / "b", quiet)
    pickled = Path(shutil.copytree(base, tmp_path / "pickled"))
    (pickled / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"diffusion_pytorch_model\.bin is pickled and could run code"):
        model_folder.load_base(pickled, 8, 0)
    sample = Path(shutil.copytree(base, tmp_path / "sample"))
    scheduler = sample / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"prediction_type": "sample"}))
    with pytest.raises(UsageError, match="predicts sample: take a model that predicts epsilon or v"):
        model_folder.load_base(sample, 8, 0)
    shutil.rmtree(sample / "vae")
    with pytest.raises(UsageError, match="has no vae/: copy the model again, whole"):
        model_folder.load_base(sample, 8, 0)


def test_a_base_that_changed_meanwhile_is_refused(data: Path, base: Path, tmp_path: Path) -> None:
    """Also in what is not learned: a frozen text encoder gives the words their meaning."""
    own = Path(shutil.copytree(base, tmp_path / "base"))

    def stop(progress: TrainingProgress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    settings = on_base(data, own, "generation", "joint", save_every=1)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "out", stop)
    file = own / "text_encoder" / "model.safetensors"
    save_file({name: value * 1.01 for name, value in load_file(file).items()}, file)
    with pytest.raises(UsageError, match="has changed since the training began"):
        train(settings, tmp_path / "out", quiet)
    shutil.copyfile(base / "text_encoder" / "model.safetensors", file)
    train(settings, tmp_path / "out", quiet)
