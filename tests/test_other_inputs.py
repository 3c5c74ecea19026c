"""What is given where it does not belong is told for what it is, with the flag that takes it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import factory_here
from safetensors.numpy import save_file
from tiny_scorers import write_checker, write_clip

from factory.diffusion.model_files import EMBEDDED
from factory.models.other_inputs import other_input


def weights(folder: Path, **tensors: tuple[int, ...]) -> Path:
    file = folder / "some.safetensors"
    save_file({name: np.zeros(shape, np.float32) for name, shape in tensors.items()}, file)
    return file


@pytest.mark.parametrize(
    ("tensors", "flag"),
    [
        ({"lora_unet_conv_in.lora_down.weight": (1, 4)}, "--lora"),
        ({"unet:0:up": (4, 1)}, "--lora"),
        ({"ip_adapter.1.to_k_ip.weight": (4, 4)}, "--style"),
        ({"<cat-toy>": (8,)}, "--word"),
        ({"clip_l": (1, 8), "clip_g": (1, 12)}, "--word"),
        ({"diffusion_model.out.weight::lora::0": (4, 1)}, "--layers"),
        ({"model.diffusion_model.out.2.weight": (4, 8, 3, 3), "cond_stage_model.x": (2,)}, ""),
    ],
)
def test_a_file_is_told_by_the_names_in_it(tmp_path: Path, tensors: dict[str, tuple[int, ...]], flag: str) -> None:
    told = other_input(weights(tmp_path, **tensors))
    assert told.endswith(f" to {flag}") if flag else not told


def test_the_command_names_the_flag_and_a_flag_names_the_other(tmp_path: Path) -> None:
    clip, checker = write_clip(tmp_path / "clip"), write_checker(tmp_path / "checker")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    lora = weights(tmp_path, **{"lora_unet_conv_in.lora_down.weight": (1, 4)})
    for place, said in (
        (clip, "a CLIP: give it to --clip"),
        (checker, "a safety checker: give it to --safety-checker"),
        (tmp_path / "a.png", "a picture: "),
        (lora, "an adapter: give it to --lora"),
    ):
        assert f"{place} is {said}" in factory_here("models", place).out
    assert "--model" not in factory_here("models", tmp_path / "none").sentence
    generate = ("generate", "--n", "1", "--out", tmp_path / "out", "--model", lora)
    assert f"{lora} is an adapter: give it to --lora" in factory_here(*generate).sentence
    refused = factory_here("generate", "--n", "1", "--out", tmp_path / "out", "--clip", EMBEDDED)
    assert "is a pipeline: give it to --model" in refused.sentence
