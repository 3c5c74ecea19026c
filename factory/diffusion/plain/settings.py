"""How to paint with a model that nobody taught about screens: one frozen record that recipes and flags fill."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from factory.diffusion.sample.few_steps import check_steps
from factory.diffusion.sample.settings import Sampler
from factory.diffusion.sizes import check_sizes
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.settings import UNSAID

PlainSampler: TypeAlias = Literal[Sampler, ""]
PlainStart: TypeAlias = Literal["screen", "noise"]
OWN = -1.0  # of guidance: what the pipeline does by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainSettings:
    """What a pipeline of diffusers is called with; 0 and "" leave it what it does by itself.

    sampler: one of those of sample/settings.py in the place of the pipeline's scheduler, if it works with such noise.
    steps: of sampling.  guidance: of the text, under whatever name the pipeline has for it; -1 is the pipeline's own.
    negative_prompt: given where the pipeline takes one and guidance is above 1.
    start: "screen" begins where a picture that is all screen would be, as far as the pipeline lets itself be told;
        "noise" as the pipeline does it.
    size: side of the picture in pixels.  sizes: as in sample/settings.py.
    key: the screen's colour, unless samples have each their own (diffusion/routing.py).
    template: how the screen is asked for, with {prompt} and {key} in it.
    eta: as in sample/settings.py, of a sampler that is named here.
    compile: on CUDA, the blocks of which its networks have many; elsewhere of no effect.
    """

    sampler: PlainSampler = ""
    steps: int = 0
    guidance: float = OWN
    negative_prompt: str = "shadow, gradient background, vignette, text, watermark, cropped"
    start: PlainStart = "noise"
    size: int = 0
    key: KeyName = "green"
    template: str = ""
    eta: float = field(default=0.0, metadata=UNSAID)
    sizes: tuple[str, ...] = field(default=(), metadata=UNSAID)
    compile: bool = field(default=False, metadata=UNSAID)

    def __post_init__(self) -> None:
        if self.key not in KEY_COLOURS:
            raise UsageError(f"key {self.key!r} is unknown: take one of {', '.join(KEY_COLOURS)}")
        if self.sampler not in ("", *get_args(Sampler)):
            raise UsageError(f"sampler {self.sampler!r} is unknown: take one of {', '.join(get_args(Sampler))}")
        if self.start not in ("screen", "noise"):
            raise UsageError(f"start {self.start!r} is unknown: take screen or noise")
        if not 0 <= self.steps <= 1000:
            raise UsageError(f"steps {self.steps} is out of range: take 1 to 1000, or 0 for the pipeline's own")
        check_steps(self.sampler, self.steps, self.eta)
        if self.guidance != OWN and not 0 <= self.guidance <= 100:
            raise UsageError(f"guidance {self.guidance} is out of range: take 0 to 100, or -1 for the pipeline's own")
        if not 0 <= self.size <= 8192:
            raise UsageError(f"size {self.size} is out of range: take pixels, or 0 for the pipeline's own size")
        check_sizes(self.sizes)
        if self.template and "{prompt}" not in self.template:
            raise UsageError(f"sampler.template {self.template!r} does not say where {{prompt}} goes: write it there.")


def asked(prompt: str, key: KeyName, template: str) -> str:
    """The prompt with the screen in it."""
    return template.replace("{key}", key).replace("{prompt}", prompt.strip())
