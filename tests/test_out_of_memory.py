"""A batch that does not fit a device's memory: what to lower is said, and nothing is lost."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from program import Ended, factory_here
from tiny_model import OPEN_GATES, save_tiny_model
from tiny_pipelines import build

import factory
from factory.engine.faults import Blame, fault_of
from pipelines import OPEN

MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB."


@pytest.mark.parametrize("door", ["diffumatting", "plain"])
def test_it_says_which_field_to_lower_and_the_same_command_goes_on(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out, prompts = tmp_path / "model", tmp_path / "out", tmp_path / "prompts.txt"
    prompts.write_text("a red feather\n")
    if door == "diffumatting":
        save_tiny_model(model)
    else:
        build("StableDiffusionPipeline").save_pretrained(model)

    def generated() -> Ended:
        return factory_here(
            *("generate", "--model", model, "--prompts", prompts, "--n", "4", "--batch", "2", "--shard-size", "2"),
            *("--steps", "1", "--max-attempts", "1", "--executor", "local", "--out", out),
            *("--set", OPEN_GATES if door == "diffumatting" else OPEN, "--allow-short"),
        )

    real, calls = UNet2DConditionModel.forward, list[int]()

    def forward(*arguments: Any, **more: Any) -> Any:
        """The first pass goes well, which is the first shard's only one; then the device is full."""
        calls.append(len(calls))
        if len(calls) > 1:
            raise torch.OutOfMemoryError(MESSAGE)
        return real(*arguments, **more)

    with monkeypatch.context() as full:
        full.setattr(UNet2DConditionModel, "forward", forward)
        ended = generated()
    assert ended.code != 0
    assert "it ran out of memory: use fewer --workers, or a smaller --batch" in ended.err + ended.out
    assert "Traceback" not in ended.err
    before = {sample.key: sample.rgb.tobytes() for sample in factory.open(out)}
    assert before
    generated()
    after = {sample.key: sample.rgb.tobytes() for sample in factory.open(out)}
    assert before.items() < after.items(), "what was made stays"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(MESSAGE),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_libraries_say_it_in_several_words(error: Exception) -> None:
    fault = fault_of(error)
    assert fault.blame is Blame.WORKER
    assert "--batch" in fault.reason
