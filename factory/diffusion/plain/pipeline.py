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

from factory.diffusion.given.pictures import GivenBatch
from factory.diffusion.plain.families import Family, family_of
from factory.diffusion.plain.folder import OPTIONAL, check
from factory.diffusion.plain.screen_start import Codes, has_known_noise, screen_start
from factory.diffusion.plain.settings import OWN, PlainSettings
from factory.diffusion.plain.sibling import STRENGTH, arguments_of
from factory.diffusion.sample.samplers import make_scheduler
from factory.diffusion.sizes import Size, asked_size, square
from factory.errors import UsageError
from factory.greenscreen.colours import KeyName
from factory.models.part import UNREADABLE, load_part

STEPS, BINNING = "num_inference_steps", "use_resolution_binning"
SCHEDULE, SCHEDULED = "guidance_schedule", 7.0  # Ideogram's, and what it is on nearly all steps


class PlainPipeline:
    """One pipeline, ready to paint batches. Each sample has its own generator, so its noise depends on its seed.

    family: of the text-to-image pipeline whose sibling this is, if it takes pictures beside texts.
    """

    def __init__(self, pipeline: Any, family: Family | None = None) -> None:
        self.pipeline = pipeline
        self.own_scheduler = getattr(pipeline, "scheduler", None)
        self.name = type(pipeline).__name__
        self.family = family or family_of(self.name)
        self.arguments = inspect.signature(pipeline.__call__).parameters
        self._codes: Codes = {}
        pipeline.set_progress_bar_config(disable=True)

    @torch.inference_mode()
    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        settings: PlainSettings,
        keys: Sequence[KeyName],
        *,
        given: GivenBatch | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """(B, H, W, 3) in 0..1, or with a fourth channel of alpha; NaN where a picture's numbers overflowed.

        keys: of each picture, the screen that sampling starts from if the settings say so.
        given: the pictures that it starts from, where the pipeline is one that does.
        more: further arguments of the pipeline's call, for all pictures together.
        """
        if self.family.alone and len(prompts) > 1:
            each = zip(prompts, seeds, keys, strict=True)
            return np.concatenate([self.paint([prompt], [seed], settings, [key]) for prompt, seed, key in each])
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        call = self.call_with(prompts, settings) | {"generator": generators, **(more or {})}
        if settings.sampler:
            self.pipeline.scheduler = make_scheduler(self.own_scheduler, settings.sampler)
        if given is not None:
            call |= arguments_of(given)
        elif settings.start == "screen":
            call["latents"] = screen_start(self.pipeline, generators, keys, call, self._codes)
        size = self.known_size(settings)
        vae: Any = getattr(self.pipeline, "vae", None)
        if size and hasattr(vae, "enable_slicing"):
            (vae.enable_slicing if size.is_large else vae.disable_slicing)()
        told = self.pipeline(**call)
        pictures = told.images if hasattr(told, "images") else told.image  # as Kandinsky 5 calls them
        painted = np.asarray(np.stack([np.asarray(picture) for picture in pictures]), np.float32)
        if settings.sizes and painted.shape[1:3] != size:
            raise UsageError(f"sampler.sizes: {self.name} paints {Size(*painted.shape[1:3])} for {size}: ask for that.")
        return painted

    def call_with(self, prompts: Sequence[str], settings: PlainSettings) -> dict[str, Any]:
        """The arguments of a call, but for its noise: only such as the settings change, and the pipeline knows."""
        call: dict[str, Any] = {"prompt": list(prompts), "output_type": "np"}
        if settings.steps:
            call[STEPS] = settings.steps
        if settings.guidance != OWN:
            call[self.family.guidance] = settings.guidance
        if SCHEDULE in self.arguments and (settings.steps or settings.guidance != OWN):  # it is for its own steps only
            call |= {SCHEDULE: None, self.family.guidance: settings.guidance if settings.guidance != OWN else SCHEDULED}
        if settings.eta:
            call["eta"] = settings.eta
        size = asked_size(settings.size, settings.sizes)
        if size and "height" in self.arguments:
            call |= {"height": size.height, "width": size.width}
            if BINNING in self.arguments:  # else some paint at the nearest size that they know
                call[BINNING] = False
        if settings.negative_prompt and self.guided(settings):
            call["negative_prompt"] = [settings.negative_prompt] * len(prompts)
        return call

    def picture_size(self, settings: PlainSettings) -> Size:
        """Of pipelines with a U-Net, or where the settings say it."""
        size = self.known_size(settings)
        assert size is not None  # planning saw to it
        return size

    def known_size(self, settings: PlainSettings) -> Size | None:
        """Of the pictures; None where the pipeline decides and does not say."""
        if size := asked_size(settings.size, settings.sizes):
            return size
        network = getattr(self.pipeline, "unet", None) or getattr(self.pipeline, "transformer", None)
        side = getattr(getattr(network, "config", None), "sample_size", None)
        side = getattr(self.pipeline, "default_sample_size", side)
        return square(side * getattr(self.pipeline, "vae_scale_factor", 1)) if isinstance(side, int) else None

    def guided(self, settings: PlainSettings) -> bool:
        """Whether there is a use for a negative prompt; none where the network itself is told how much to be guided."""
        if "negative_prompt" not in self.arguments or not self.family.negative:
            return False
        unet = getattr(self.pipeline, "unet", None)
        if unet is not None and unet.config.get("time_cond_proj_dim") is not None:
            return False
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
    """Read it into memory. Raises UsageError, also for weights that a part's files lack."""
    keep_quiet()  # importing a pipeline warns already
    index = check(folder)
    kind = getattr(diffusers, index.pipeline)
    check_importable(folder, kind)
    arguments = inspect.signature(kind).parameters
    without = {part: None for part in OPTIONAL if part in arguments and part not in index.parts}
    no_watermark = {"add_watermarker": False} if "add_watermarker" in arguments else {}
    try:
        networks = {
            part: load_part(network, folder / part, dtype=dtype)
            for part, said in index.parts.items()
            if (network := _network(*said)) is not None
        }
        pipeline = kind.from_pretrained(
            folder, dtype=dtype, local_files_only=True, **networks, **without, **no_watermark
        )
    except UNREADABLE as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"{folder} cannot be loaded as {index.pipeline}: {reason}") from error
    for part, words in pipeline.components.items():
        if isinstance(words, transformers.PreTrainedTokenizerBase) and len(words) <= len(set(words.all_special_ids)):
            # what a folder without a vocabulary becomes
            raise UsageError(f"{folder / part} has no words, only marks between them: copy it again, whole.")
    return pipeline


def _network(library: str, name: str) -> Any:
    """The class of a part, where it has weights; None for another, and for one that diffusers alone knows of."""
    place = {"diffusers": diffusers, "transformers": transformers}.get(library) or getattr(diffusers.pipelines, library)
    kind = getattr(place, name, None)
    has_weights = isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin | transformers.PreTrainedModel)
    return kind if has_weights else None


def keep_quiet() -> None:
    """Bars and warnings of theirs would break our one live line; what is wrong is an error, and that is said."""
    for library in (transformers.utils.logging, diffusers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def check_importable(folder: Path, kind: Any) -> None:
    """Raises UsageError for a pipeline that cannot be had here."""
    if backends := getattr(kind, "_backends", None):  # what diffusers puts in the place of what it cannot import
        raise UsageError(
            f"{folder} is for {kind.__name__}, which needs {' and '.join(backends)}: install what of it is missing."
        )


def check_settings(pipeline: PlainPipeline, settings: PlainSettings) -> None:
    """Raises UsageError for a setting that the pipeline has no argument for."""
    of_given = STRENGTH in pipeline.arguments  # then it has the size of the pictures
    sized = bool(settings.size or settings.sizes) and not of_given
    asked = {"guidance": settings.guidance != OWN, "steps": bool(settings.steps), "size": sized}
    names = {"guidance": pipeline.family.guidance, "steps": STEPS, "size": "height"}
    if settings.start == "screen" and not has_known_noise(pipeline.own_scheduler):
        kind = type(pipeline.own_scheduler).__name__
        raise UsageError(f"sampler.start: {kind} does not say how much noise it begins with: set it to noise.")
    for setting, name in names.items():
        if asked[setting] and name not in pipeline.arguments:
            raise UsageError(f"sampler.{setting}: {pipeline.name} has no {name}: leave it out.")


def _number(argument: inspect.Parameter | None) -> float:
    default = argument.default if argument is not None else None
    return default if isinstance(default, float | int) else -1
