"""`factory train` on Stable Diffusion XL: what its U-Net is told, what is written, and that the model paints."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import SIZE, course_of, make_set, quiet, small_settings
from test_families import stable_diffusion_xl

from factory.diffusion import model_folder
from factory.diffusion.sample.pipeline import DiffuMattingPipeline
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.train.course import Course
from factory.diffusion.train.low_rank import LORA_FILE
from factory.diffusion.train.outlook import outlook
from factory.diffusion.train.report import drawing_settings, sample
from factory.diffusion.train.settings import LowRankSettings, Phase, TrainSettings
from factory.diffusion.train.trainer import train
from factory.errors import UsageError

torch.set_num_threads(1)
PHASES = (
    Phase(name="generation", steps=2, batch=4, lr=1e-2, warmup=1),
    Phase(name="joint", steps=2, batch=4, lr=1e-2, head_lr=1e-2, warmup=1),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xl") / "base"
    stable_diffusion_xl().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("xl") / "data", slots=12)


def on(base: Path, data: Path, **changes: object) -> TrainSettings:
    fields: dict[str, object] = {"base": str(base), "phases": PHASES, "train_text_encoder": False}
    return small_settings(data, **(fields | changes))


def content(model: Path, part: str) -> str:
    return hashlib.sha256(next((model / part).glob("*.safetensors")).read_bytes()).hexdigest()


def test_the_network_is_told_what_sampling_tells_it(base: Path, data: Path, tmp_path: Path) -> None:
    """The states of both readers, the projection, and sizes; an empty prompt is zeros where the base was taught so."""
    course = course_of(on(base, data, caption_dropout=0.5, bf16="off"), tmp_path)
    heard: list[dict[str, object]] = []
    task, c = course.generation(1), course.components
    b = task.batch(0, 8)
    assert 0 < int(b.has_caption.sum()) < 8
    handle = c.unet.register_forward_pre_hook(lambda *seen: heard.append(seen[2]), with_kwargs=True)
    with torch.no_grad(), task.watching():
        task.losses(b)
    handle.remove()
    told, added = heard[0]["encoder_hidden_states"], heard[0]["added_cond_kwargs"]
    assert isinstance(told, torch.Tensor)
    assert isinstance(added, dict)
    assert added["time_ids"].tolist() == [[SIZE, SIZE, 0, 0, SIZE, SIZE]] * 8
    reader = DiffuMattingPipeline(c).texts
    captions = [f"green screen, {caption}" for caption in course.data.captions]
    rows = {tuple(ids): caption for ids, caption in zip(task.tokens.ids.tolist(), captions, strict=False)}
    states, pooled = reader([rows[tuple(ids)] for ids in b.token_ids[b.has_caption].tolist()])
    torch.testing.assert_close(told[b.has_caption], states, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(added["text_embeds"][b.has_caption], pooled, atol=1e-5, rtol=1e-5)
    states, pooled = reader.negative("")
    torch.testing.assert_close(told[~b.has_caption], states.expand_as(told[~b.has_caption]), atol=1e-5, rtol=1e-5)
    assert c.zeros_for_empty == bool((told[~b.has_caption] == 0).all())


@pytest.mark.parametrize("lora", [None, LowRankSettings(rank=2)])
def test_it_learns_and_leaves_a_model_that_paints(
    lora: LowRankSettings | None, base: Path, data: Path, tmp_path: Path
) -> None:
    model = train(on(base, data, lora=lora), tmp_path, quiet)
    for part in ("vae", "text_encoder", "text_encoder_2"):
        assert content(model, part) == content(base, part)
    assert content(model, "unet") != content(base, "unet")
    assert (tmp_path / LORA_FILE).is_file() == (lora is not None)
    pictures, masks = DiffuMattingPipeline.from_folder(model)(
        ["green screen, a red disc"], [1], SamplerSettings(steps=2, negative_prompt="", size=SIZE)
    )
    assert pictures.shape == (1, SIZE, SIZE, 3)
    assert masks.shape == (1, SIZE, SIZE)
    assert "DiffusionPipeline.from_pretrained" in (model / "README.md").read_text()


def test_pictures_drawn_while_training_are_those_that_generate_paints(base: Path, data: Path, tmp_path: Path) -> None:
    course: Course = course_of(on(base, data), tmp_path)
    captions = ("a red disc", "a blue square")
    pictures, _ = sample(course.components, captions, course.settings)
    model_folder.save(course.components, tmp_path / "model")
    painter = DiffuMattingPipeline.from_folder(tmp_path / "model")
    prompts = [f"green screen, {caption}" for caption in captions]
    rgb, _ = painter(prompts, range(2), replace(drawing_settings(course.settings), size=SIZE))
    assert np.abs(np.stack(pictures).astype(int) - rgb).max() <= 1


def test_its_text_encoders_stay(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="XL has two, which stay"):
        train(on(base, data, train_text_encoder=True), tmp_path, quiet)


def test_a_dry_run_says_what_would_be_learned(base: Path, data: Path, tmp_path: Path) -> None:
    assert "joint: 2 steps of 4" in outlook(on(base, data), tmp_path / "new")
