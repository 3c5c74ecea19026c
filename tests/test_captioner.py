"""Captions by models: the real architectures in small, through the same files and calls as the large ones."""

import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import tiny_captioners
import torch
from tiny_captioners import SIDE, ball, make

from factory.errors import DataError, UsageError
from factory.greenscreen.compositing import paint_on_screen
from factory.sample import Origin, Picture, Request, Sample
from factory.sources.captioning.captioned import GROUND, Captioned, Recaptioned, tidy
from factory.sources.captioning.captioner import DESCRIBE, Captioner, without_prompt
from factory.sources.captioning.model import CaptionSettings, Precision, check, fingerprint, resolve

RED, BLUE = "a red ball", "a blue ball"
PHOTO = "a photo of"
SMALL = CaptionSettings(batch=4, beams=2, max_new_tokens=8)
ARCHITECTURES = [
    ("blip", ""),
    ("blip", PHOTO),
    ("git", ""),
    ("git", PHOTO),
    ("blip2", ""),
    ("blip2", PHOTO),
    ("instructblip_t5", DESCRIBE),
    ("instructblip_llama", DESCRIBE),
    ("llava", DESCRIBE),
    ("encoder_decoder", ""),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def blip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BLIP that tells red balls from blue ones. Read it only."""
    return make(tmp_path_factory.mktemp("captioners") / "blip", tiny_captioners.blip)


@pytest.fixture
def folder(blip_folder: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(blip_folder, tmp_path / "model"))


@pytest.mark.parametrize(("name", "prompt"), ARCHITECTURES, ids=lambda value: value or "unasked")
def test_models_say_what_they_learnt_without_repeating_the_prompt(name: str, prompt: str, tmp_path: Path) -> None:
    make(tmp_path, getattr(tiny_captioners, name), prompt)
    asked = "" if prompt == DESCRIBE else prompt  # it is what instructed models are asked by default
    captioner = Captioner(tmp_path, replace(SMALL, prompt=asked))
    assert captioner([ball(RED), ball(BLUE), ball(BLUE), ball(RED), ball(BLUE)]) == [RED, BLUE, BLUE, RED, BLUE]


def test_a_caption_does_not_depend_on_its_company(blip_folder: Path) -> None:
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for _ in range(7)]
    captioner = Captioner(blip_folder, replace(SMALL, beams=3))
    together = captioner(pictures)
    assert together == captioner(pictures)
    assert together == [captioner([picture])[0] for picture in pictures]
    assert captioner([]) == []


def test_pictures_may_be_of_any_size(blip_folder: Path) -> None:
    large = np.kron(ball(RED), np.ones((4, 5, 1), np.uint8))
    assert Captioner(blip_folder, SMALL)([large, ball(BLUE)[:, ::-1]]) == [RED, BLUE]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_chosen(blip_folder: Path, precision: Precision) -> None:
    captioner = Captioner(blip_folder, replace(SMALL, precision=precision))
    assert captioner([ball(BLUE)]) == [BLUE]
    assert {str(p.dtype) for p in captioner._model.parameters()} == {f"torch.{precision}"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_captions_are_the_same(blip_folder: Path) -> None:
    captioner = Captioner(blip_folder, SMALL, "cuda")
    assert captioner([ball(RED), ball(BLUE)]) == [RED, BLUE]
    assert next(captioner._model.parameters()).dtype == torch.bfloat16


def test_the_fingerprint_is_of_all_that_decides_a_caption(folder: Path) -> None:
    old = fingerprint(folder)
    assert Captioner(folder, SMALL).fingerprint == old
    (folder / "README.md").write_text("a card decides nothing")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "note.json").write_text("{}")
    assert fingerprint(folder) == old
    with (folder / "generation_config.json").open("a") as file:
        file.write(" ")
    assert fingerprint(folder) != old


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights"):
        check(folder)
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"pytorch_model\.bin is pickled"):
        Captioner(folder, SMALL)


def test_cut_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="cut short"):
        check(folder)


def test_a_missing_weight_is_not_drawn_at_random(folder: Path) -> None:
    weights = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    gone = next(name for name in tensors if "crossattention" in name and name.endswith("weight"))
    safetensors.torch.save_file({n: t for n, t in tensors.items() if n != gone}, weights, {"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks 1 of its weights.*crossattention"):
        Captioner(folder, SMALL)


def test_a_missing_shard_of_weights_is_refused(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="lacks model-00002-of-00002"):
        check(folder)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "config.json").unlink(), "not a captioning model"),
        (lambda folder: (folder / "config.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "config.json").write_text("{}"), "no `model_type`"),
        (lambda folder: (folder / "processor_config.json").unlink(), "how pictures are prepared"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused(folder: Path, damage: object, sentence: str) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(UsageError, match=sentence):
        check(folder)


def test_a_model_that_does_not_caption_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "clip"}))
    with pytest.raises(UsageError, match="cannot be loaded as an image-to-text model"):
        Captioner(folder, SMALL)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_model_that_needs_torchvision_says_so(folder: Path) -> None:
    path = folder / "processor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"processor_class": "Qwen2VLProcessor"}))
    (folder / "video_preprocessor_config.json").write_text('{"video_processor_type": "Qwen2VLVideoProcessor"}')
    with pytest.raises(UsageError, match=r"[Tt]orchvision.*pip install torchvision"):
        Captioner(folder, SMALL)


def test_a_folder_laid_out_as_on_the_hub_is_read(tmp_path: Path) -> None:
    """Checkpoints older than transformers 5 keep the pictures' settings apart and name a class without a backend."""
    make(tmp_path, tiny_captioners.instructblip_llama, DESCRIBE)
    path = tmp_path / "processor_config.json"
    whole = json.loads(path.read_text())
    pictures = whole.pop("image_processor")
    path.write_text(
        json.dumps({"num_query_tokens": whole["num_query_tokens"], "processor_class": "InstructBlipProcessor"})
    )
    pictures |= {"image_processor_type": "BlipImageProcessor", "processor_class": "InstructBlipProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(pictures))
    assert Captioner(tmp_path, SMALL)([ball(RED), ball(BLUE)]) == [RED, BLUE]


def test_an_instructblip_of_the_older_form_is_refused(tmp_path: Path) -> None:
    model, processor = tiny_captioners.instructblip_t5()
    processor.num_query_tokens = None
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"older form.*download the model again"):
        Captioner(tmp_path, SMALL)


def test_an_instructblip_without_its_second_tokenizer_is_refused(tmp_path: Path) -> None:
    for part in tiny_captioners.instructblip_t5():
        part.save_pretrained(tmp_path)
    check(tmp_path)
    shutil.rmtree(tmp_path / "qformer_tokenizer")
    with pytest.raises(UsageError, match="qformer_tokenizer has no tokenizer"):
        check(tmp_path)


def test_a_prompt_for_a_model_that_takes_none_is_refused(tmp_path: Path) -> None:
    make(tmp_path, tiny_captioners.encoder_decoder)
    with pytest.raises(UsageError, match="takes no prompt"):
        Captioner(tmp_path, replace(SMALL, prompt=PHOTO))([ball(RED)])


def test_a_hub_name_is_fetched_or_the_error_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="hf download somebody/captioner --local-dir captioner"):
        resolve("somebody/captioner")
    with pytest.raises(UsageError, match="no folder"):
        resolve("no-such-folder")
    with pytest.raises(UsageError, match="no folder"):
        resolve(f"{tmp_path}/model")
    with pytest.raises(UsageError, match="no model is named"):
        resolve("")
    (tmp_path / "model").mkdir()
    assert resolve(f"{tmp_path}/model") == tmp_path / "model"


@pytest.mark.parametrize("field", ["batch", "beams", "max_new_tokens"])
def test_settings_out_of_range_are_refused(field: str) -> None:
    with pytest.raises(UsageError, match=f"{field} is 0"):
        CaptionSettings(**dict[str, Any]({field: 0}))


def test_only_a_whole_prompt_is_cut() -> None:
    prompt = torch.tensor([[2, 7, 8, 9, 3]])
    assert without_prompt(torch.tensor([[5, 7, 8, 9, 3, 11, 12]]), prompt).tolist() == [[11, 12]]
    assert without_prompt(torch.tensor([[5, 7, 8, 9, 11, 12]]), prompt).tolist() == [[11, 12]]  # BLIP: no end token
    assert without_prompt(torch.tensor([[0, 7, 8, 11, 12]]), prompt).tolist() == [[0, 7, 8, 11, 12]]  # T5: an answer
    assert without_prompt(torch.tensor([[11, 12]]), None).tolist() == [[11, 12]]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("a red ball on a gray background", "a red ball"),
        ('"A red ball, isolated on a plain grey background."', "A red ball"),
        ("green screen, a red ball", "a red ball"),
        ("a woman in a grey dress", "a woman in a grey dress"),
        ("a grey cat with a grey background cloth", "a grey cat with a grey background cloth"),
        ("a cat\n  on a mat.", "a cat on a mat"),
        ("  ", ""),
    ],
)
def test_captions_speak_of_the_object_alone(said: str, kept: str) -> None:
    assert tidy(said) == kept


def _request(index: int, **item: str) -> Request:
    return Request(key=f"{index:010d}", slot=index, attempt=0, seed=index, item=item)


def _inner(requests: Sequence[Request]) -> list[Sample | DataError]:
    """Balls on a green screen, every third one undecodable."""
    made: list[Sample | DataError] = []
    for request in requests:
        if request.slot % 3 == 2:
            made.append(DataError("undecodable", "the item is broken"))
            continue
        alpha = np.zeros((SIDE, SIDE), np.uint8)
        alpha[4:12, 4:12] = 255
        foreground = ball((RED, BLUE)[request.slot % 2])
        origin = Origin(kind="composited", class_name="thing", caption="a thing")
        green = paint_on_screen(foreground, alpha, (0, 255, 0))
        made.append(Sample(request=request, origin=origin, rgb=green, alpha=alpha, foreground=foreground))
    return made


def test_a_batch_is_captioned_on_grey_and_keeps_its_classes(blip_folder: Path) -> None:
    requests = [_request(index) for index in range(7)]
    whole = [sample for sample in _inner(requests) if isinstance(sample, Sample)]
    made = Captioned(Captioner(blip_folder, SMALL), "cpu").begin()(whole)
    for given, sample in zip(whole, made, strict=True):
        assert isinstance(sample, Sample)
        assert sample.origin == replace(given.origin, caption=(RED, BLUE)[given.request.slot % 2])
        assert np.array_equal(sample.rgb, given.rgb)


def test_what_the_captioner_sees_has_no_screen_in_it() -> None:
    seen: list[Picture] = []

    def silent(pictures: Sequence[Picture]) -> list[str]:
        seen.extend(pictures)
        return [""] * len(pictures)

    whole = [sample for sample in _inner([_request(0), _request(1)]) if isinstance(sample, Sample)]
    made = Captioned(silent, "cpu").begin()(whole)
    assert [sample.origin.caption for sample in made if isinstance(sample, Sample)] == ["a thing", "a thing"]
    assert all((picture[0, 0] == GROUND).all() for picture in seen)
    assert [tuple(picture[8, 8]) for picture in seen] == [tiny_captioners.COLOURS[RED], tiny_captioners.COLOURS[BLUE]]


def test_a_sample_without_a_matte_cannot_be_captioned() -> None:
    (whole,) = _inner([_request(0)])
    assert isinstance(whole, Sample)
    (fault,) = Captioned(lambda pictures: [], "cpu").begin()([replace(whole, alpha=None)])
    assert isinstance(fault, DataError)
    assert fault.kind == "unfinished"


def test_an_item_with_a_caption_gives_it_to_its_sample() -> None:
    requests = [_request(0, caption="corrected – ä"), _request(1, caption=""), _request(2, caption="x"), _request(3)]
    made = Recaptioned(_inner)(requests)
    captions = [sample.origin.caption if isinstance(sample, Sample) else sample.kind for sample in made]
    assert captions == ["corrected – ä", "a thing", "undecodable", "a thing"]
