"""What differs between the text-to-image pipelines of diffusers, as far as a screen is asked for."""

from typing import NamedTuple

TAGS = "{prompt}, isolated, centered, full view, solid pure {key} background, {key} screen, chroma key, even light"
"""For CLIP, which reads 77 tokens and knows the captions of pictures."""

SENTENCE = (
    "{prompt}. It stands alone and whole in the middle of the picture. Everything behind and around it is one flat, "
    "evenly lit, pure {key} chroma key screen without shadow, floor, gradient or texture."
)
"""For text encoders that read sentences."""


RGBA = (
    "This is an RGBA image with transparency. {prompt}. The image has alpha channel and the background is transparent."
)
"""What Qwen-Image-2.1 was taught to answer with a transparent background."""


class Family(NamedTuple):
    """template: how the screen is asked for.  guidance: the pipeline's argument.

    rgba: whether its pictures come with α, if asked so.
    negative: whether it takes a negative prompt beside generators for each picture.
    alone: whether it is given one prompt at a time: of several it would make none, or such as depend on each other.
    from_screen: whether sampling may begin at a screen: its latents are an `AutoencoderKL`'s, with the noise of a
    diffusion schedule added, and it takes them as `latents`.
    sampler: the one that it can step by; "" where it takes any.
    """

    template: str = SENTENCE
    guidance: str = "guidance_scale"
    rgba: bool = False
    negative: bool = True
    alone: bool = False
    from_screen: bool = False
    sampler: str = ""


JOINT = frozenset(
    {"StableDiffusion3Pipeline", "FluxPipeline", "Flux2KleinPipeline", "QwenImagePipeline", "ZImagePipeline"}
)
"""Whose transformers read text and picture in one sequence, and can be taught a screen (train/flow_task.py)."""

OTHERS = Family()
FAMILIES = {
    "StableDiffusionPipeline": Family(TAGS, from_screen=True),
    "StableDiffusionXLPipeline": Family(TAGS, from_screen=True),
    "StableDiffusionPAGPipeline": Family(TAGS, from_screen=True),
    "StableDiffusionXLPAGPipeline": Family(TAGS, from_screen=True),
    "LatentConsistencyModelPipeline": Family(TAGS, from_screen=True, sampler="lcm"),
    "KandinskyCombinedPipeline": Family(TAGS, negative=False),
    "KandinskyV22CombinedPipeline": Family(TAGS, negative=False),
    "WuerstchenCombinedPipeline": Family(TAGS, guidance="prior_guidance_scale", alone=True),
    "StableCascadeCombinedPipeline": Family(TAGS, guidance="prior_guidance_scale"),
    "FluxPipeline": Family(negative=False),
    "FluxKontextPipeline": Family(negative=False),
    "GlmImagePipeline": Family(alone=True),
    "PRXPipeline": Family(alone=True),
    "QwenImagePipeline": Family(guidance="true_cfg_scale"),
    "QwenImage21Pipeline": Family(RGBA, guidance="true_cfg_scale", rgba=True),
    "HunyuanImagePipeline": Family(guidance="distilled_guidance_scale"),
}


def family_of(pipeline: str) -> Family:
    """By the name of a pipeline's class."""
    return FAMILIES.get(pipeline, OTHERS)
