"""How to sample: one frozen record that recipes and flags fill and every sample's metadata quotes."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from factory.diffusion.sample.few_steps import check_steps, with_few_steps
from factory.diffusion.sizes import check_sizes
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.models.folder import read_json
from factory.settings import UNSAID, changed

Sampler = Literal["ddim", "dpm++2m", "lcm", "tcd", "euler", "dmd2"]
Start = Literal["marginal", "noise"]
Coarse = Literal["head", "attention"]
DEFAULTS_FILE = "sampler.json"
KEYS = "keys"  # there: the screens that the model was trained on, where they are more than its default `key`


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSettings:
    """The paper is silent on all of these. Its parity: ddim, 50 steps, guidance 7.5, no negative prompt, "noise".

    sampler: "ddim" or "dpm++2m" (multistep DPM-Solver++ of order 2 on Karras' noise levels); "lcm", "tcd", "euler" and
        "dmd2" for models that paint in a few steps (few_steps.py).
    guidance: classifier-free guidance scale; at 1 or below the negative prompt is not evaluated.
    guidance_until: share of the steps after which guidance is off, which halves what is left of the work.
    eta: share of the noise that ddim or tcd (its γ) draws anew at each step.
    negative_prompt: shadows on the screen are the main matte error, so the default names them.
    start: "marginal" begins where training ended, at √ᾱ·z_key + √(1−ᾱ)·ε: Stable Diffusion's schedule never reaches
        pure noise, and the network was always told the screen's colour by the mean. "noise" begins at ε.
    size: side of the picture in pixels; 0 is the size the model was trained at.
    sizes: in its place several, as "640x448" (width and height), which slots take in turn.
    key: the screen's colour and its word in the prompt, unless samples have each their own (diffusion/routing.py).
    compile: on CUDA, compile the networks (about a minute once per worker); elsewhere of no effect.
    original_size, crop: what Stable Diffusion XL is told of where a picture comes from: the longer side of what
        it was shrunk from, in pixels (0: it was not), and the top and left of the crop. Small originals look blurred,
        crops cut off.
    coarse: where coarse masks come from: the matting head, or cross-attention to the words of the object's class, as
        DiffuMask has it (attention_mask.py). The U-Net is then watched and not compiled.
    """

    sampler: Sampler = "dpm++2m"
    steps: int = 25
    guidance: float = 7.5
    negative_prompt: str = "shadow, gradient background, vignette, text, watermark, cropped"
    start: Start = "marginal"
    size: int = 0
    key: KeyName = "green"
    compile: bool = True
    guidance_until: float = field(default=1.0, metadata=UNSAID)
    eta: float = field(default=0.0, metadata=UNSAID)
    original_size: int = field(default=0, metadata=UNSAID)
    crop: tuple[int, int] = field(default=(0, 0), metadata=UNSAID)
    sizes: tuple[str, ...] = field(default=(), metadata=UNSAID)
    coarse: Coarse = field(default="head", metadata=UNSAID)

    def __post_init__(self) -> None:
        choices = {"sampler": get_args(Sampler), "start": get_args(Start), "key": tuple(KEY_COLOURS)}
        choices["coarse"] = get_args(Coarse)
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise UsageError(f"{name} {value!r} is unknown: take one of {', '.join(allowed)}")
        if not 1 <= self.steps <= 1000:
            raise UsageError(f"steps {self.steps} is out of range: take 1 to 1000")
        check_steps(self.sampler, self.steps, self.eta)
        if not 0 <= self.guidance <= 100:
            raise UsageError(f"guidance {self.guidance} is out of range: take 0 to 100")
        if not 0 <= self.guidance_until <= 1:
            raise UsageError(f"guidance_until {self.guidance_until} is out of range: take 0 to 1")
        if self.size < 0:
            raise UsageError(f"size {self.size} is out of range: take pixels, or 0 for the model's own size")
        check_sizes(self.sizes)
        if self.original_size < 0 or min(self.crop) < 0:
            raise UsageError(
                f"original_size {self.original_size} or crop {list(self.crop)} is out of range: take pixels"
            )


def default_settings(folder: Path) -> SamplerSettings:
    """The settings a model is best sampled with: its folder's sampler.json, whose missing fields keep our defaults."""
    return _read(folder)[0]


def known_keys(folder: Path) -> tuple[KeyName, ...]:
    """The screens that a model was trained on, green before blue before magenta; () where its folder does not say."""
    return _read(folder)[1]


def _read(folder: Path) -> tuple[SamplerSettings, tuple[KeyName, ...]]:
    path = folder / DEFAULTS_FILE
    if not path.is_file():
        return SamplerSettings(), ()
    chosen: Any = read_json(path)
    known = {KEYS, *(each.name for each in fields(SamplerSettings))}
    if not isinstance(chosen, dict) or not chosen.keys() <= known:
        raise UsageError(f"{path} must be an object with fields among {', '.join(sorted(known))}: mend or remove it")
    own = {name: value for name, value in chosen.items() if name != KEYS}
    settings = changed(str(path), SamplerSettings(), with_few_steps(own))
    keys = chosen.get(KEYS, [settings.key] if "key" in own else [])
    are_known = isinstance(keys, list) and all(key in list(KEY_COLOURS) for key in keys)
    if not are_known or (KEYS in chosen and settings.key not in keys):
        raise UsageError(
            f"{path}: {KEYS} must list the screens that the model was trained on, {settings.key} (its key) among them, "
            f"of {', '.join(KEY_COLOURS)}: mend or remove it"
        )
    return settings, tuple(key for key in KEY_COLOURS if key in keys)
