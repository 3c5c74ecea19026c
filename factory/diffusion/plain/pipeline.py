"""Any text-to-image pipeline of diffusers on one device: prompts and seeds in, pictures out."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from factory.diffusion.plain.families import family_of
from factory.diffusion.plain.folder import bytes_of_weights, check, variant_of
from factory.diffusion.plain.screen_start import screen_start
from factory.diffusion.plain.settings import OWN, PlainSettings
from factory.diffusion.sample.samplers import make_scheduler
from factory.errors import UsageError
from factory.greenscreen.colours import KeyName

ROOM = 0.8  # of a GPU's free memory, that weights may take before parts wait on the CPU for their turn
STEPS = "num_inference_steps"


class PlainPipeline:
    """One pipeline, ready to paint batches. Each sample has its own generator, so its noise depends on its seed."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.own_scheduler = getattr(pipeline, "scheduler", None)
        self.name = type(pipeline).__name__
        self.family = family_of(self.name)
        self.arguments = inspect.signature(pipeline.__call__).parameters
        pipeline.set_progress_bar_config(disable=True)

    @torch.inference_mode()
    def paint(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: PlainSettings, keys: Sequence[KeyName]
    ) -> NDArray[np.float32]:
        """(B, H, W, 3) in 0..1, or with a fourth channel of alpha; NaN where a picture's numbers overflowed.

        keys: of each picture, the screen that sampling starts from if the settings say so.
        """
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        call = self.call_with(prompts, settings) | {"generator": generators}
        if settings.sampler:
            self.pipeline.scheduler = make_scheduler(self.own_scheduler, settings.sampler)
        if settings.start == "screen":
            call["latents"] = screen_start(self.pipeline, generators, keys, call)
        pictures = self.pipeline(**call).images
        return np.asarray(np.stack([np.asarray(picture) for picture in pictures]), np.float32)

    def call_with(self, prompts: Sequence[str], settings: PlainSettings) -> dict[str, Any]:
        """The arguments of a call, but for its noise: only such as the settings change, and the pipeline knows."""
        call: dict[str, Any] = {"prompt": list(prompts), "output_type": "np"}
        if settings.steps:
            call[STEPS] = settings.steps
        if settings.guidance != OWN:
            call[self.family.guidance] = settings.guidance
        if settings.size:
            call |= {"height": settings.size, "width": settings.size}
        if "negative_prompt" in self.arguments and settings.negative_prompt and self.guided(settings):
            call["negative_prompt"] = [settings.negative_prompt] * len(prompts)
        return call

    def guided(self, settings: PlainSettings) -> bool:
        """Whether guidance has a negative side."""
        own = self.arguments.get(self.family.guidance)
        strength = settings.guidance if settings.guidance != OWN else getattr(own, "default", None)
        return isinstance(strength, float | int) and strength > 1

    def facts(self, settings: PlainSettings) -> Mapping[str, Any]:
        """What samples say of how they were painted: sampler, steps, guidance; -1 for what cannot be told."""
        steps = settings.steps or _number(self.arguments.get(STEPS))
        own = _number(self.arguments.get(self.family.guidance))
        return {
            "sampler": settings.sampler or type(self.own_scheduler).__name__,
            "steps": int(steps),
            "guidance": float(settings.guidance if settings.guidance != OWN else own),
        }


def load_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    """Read it into memory. Raises UsageError."""
    index = check(folder)
    kind = getattr(diffusers, index.pipeline)
    check_arguments(folder, kind)
    _keep_quiet()
    no_watermark = {"add_watermarker": False} if "add_watermarker" in inspect.signature(kind).parameters else {}
    try:
        return kind.from_pretrained(
            folder,
            dtype=dtype,
            variant=variant_of(folder, index),
            local_files_only=True,
            use_safetensors=True,
            **no_watermark,
        )
    except (OSError, ValueError, TypeError, RuntimeError, AttributeError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"{folder} cannot be loaded as {index.pipeline}: {reason}") from error


def _keep_quiet() -> None:
    """Bars and warnings of theirs would break our one live line; what is wrong is an error, and that is said."""
    for library in (transformers.utils.logging, diffusers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def placed(pipeline: Any, folder: Path, device: str) -> Any:
    """On its device; where a GPU is too small for all of it, its parts take turns."""
    if device == "cuda" and bytes_of_weights(folder, check(folder)) > ROOM * torch.cuda.mem_get_info()[0]:
        pipeline.enable_model_cpu_offload()
        return pipeline
    return pipeline.to(device)


def check_arguments(folder: Path, kind: Any) -> None:
    """Raises UsageError for a pipeline that paints from more than a text."""
    arguments = inspect.signature(kind.__call__).parameters
    if "prompt" not in arguments or "generator" not in arguments:
        raise UsageError(f"{folder} is for {kind.__name__}, which does not paint from a text and a seed.")
    more = [name for name in ("image", "control_image", "mask_image", "video") if name in arguments]
    if more and not _may_be_left_out(kind, arguments[more[0]]):
        raise UsageError(f"{folder} is for {kind.__name__}, which needs a picture ({more[0]}) beside the prompt.")


def _may_be_left_out(kind: Any, argument: inspect.Parameter) -> bool:
    return argument.default is None and not any(word in kind.__name__ for word in ("Control", "Inpaint", "Img2Img"))


def _number(argument: inspect.Parameter | None) -> float:
    default = argument.default if argument is not None else None
    return default if isinstance(default, float | int) else -1
