"""DiffuMattingPipeline: prompts and seeds in, pictures on a screen and their coarse masks out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion import model_folder
from factory.diffusion.conditions import NO_HINTS, Hints, told_by_name
from factory.diffusion.given.pictures import GivenBatch
from factory.diffusion.matting_head import decode_with_features
from factory.diffusion.model_folder import Components
from factory.diffusion.new_words import in_full
from factory.diffusion.object_words import object_tokens
from factory.diffusion.sample.attention import object_attention
from factory.diffusion.sample.given_start import encoded
from factory.diffusion.sample.pointwise import use_pointwise_convolutions
from factory.diffusion.sample.recording import Recorded
from factory.diffusion.sample.samplers import noise_from, sample_latents, screen_latent, seeded
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.sample.text import TextReader, sizes_told
from factory.diffusion.sizes import Size, asked_size, square
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.models.compiling import allow_shapes

Pictures = NDArray[np.uint8]  # (B, H, W, 3) sRGB
Masks = NDArray[np.uint8]  # (B, H, W)


class DiffuMattingPipeline:
    """A DiffuMatting model on one device, ready to sample batches.

    A batch's pixels are a function of (weights, prompts, seeds, settings, device). On a CPU those of a sample are
    also the same in any place and company, as long as callers keep the batch size fixed by padding. On CUDA they are
    not: its libraries round by place (up to 4 levels apart on an H100).
    """

    def __init__(self, components: Components) -> None:
        self.components = components
        self.device: torch.device = components.unet.device
        self.dtype: torch.dtype = components.unet.dtype
        self.texts = TextReader(components)
        if components.is_xl and self.dtype is torch.float16 and components.vae.config.force_upcast:
            for model in (components.vae, components.head):  # whose activations overflow in half precision
                model.float()
        for model in (components.unet, components.vae, components.head):
            model.to(memory_format=torch.channels_last)
            if self.device.type == "cpu":
                use_pointwise_convolutions(model)
        self._screens: dict[tuple[KeyName, Size], Tensor] = {}

    @classmethod
    def from_folder(
        cls, folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> "DiffuMattingPipeline":
        """Load a model folder; without a type as `working_type`."""
        return cls(model_folder.load_to_paint(folder, dtype or working_type(device), device))

    def __call__(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: SamplerSettings
    ) -> tuple[Pictures, Masks]:
        """Sample one batch. The prompts go to the text encoder as they are, template included."""
        pictures, masks, _ = self.paint(prompts, seeds, settings)
        return pictures, masks

    @torch.inference_mode()
    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        settings: SamplerSettings,
        keys: Sequence[KeyName] | None = None,
        *,
        given: GivenBatch | None = None,
        hints: Hints | None = None,
        objects: Sequence[tuple[int, ...]] | None = None,
    ) -> tuple[Pictures, Masks, NDArray[np.bool_]]:
        """A batch's pictures, masks, and for each sample whether all its numbers stayed finite; (B,).

        keys: each sample's screen, whose word its prompt has; without them all have that of the settings.
        given: the pictures that sampling begins with, of the size that is painted.
        hints: what the U-Net is told beside the texts; then it is not compiled.
        objects: of each prompt the tokens (`objects_in`) whose attention makes the masks; then it is not either.
        """
        size = self.picture_size(settings)
        h, w = (side // self.vae_factor for side in size)
        denoise, decode = self._compiled if settings.compile and self.device.type == "cuda" else self._plain
        prompt, negative = self.texts(prompts), self.texts.negative(settings.negative_prompt)
        if self.components.is_xl:
            sizes = sizes_told(settings, size, self.device)
            prompt, negative = (*prompt, sizes.expand(len(prompts), -1)), (*negative, sizes)
        generators = seeded(seeds)
        start = None if given is None else encoded(self.components.vae, given, generators)
        with object_attention(self.components.unet, objects) if objects else nullcontext() as attention:
            latents = sample_latents(
                attention.watching(self._denoise) if attention else denoise if hints is None else self._denoise,
                self.components.scheduler,
                noise_from(generators, (self.components.unet.config.in_channels, h, w)).to(self.device),
                prompt_embeds=prompt[0],
                negative_embeds=negative[0],
                prompt_added=prompt[1:],
                negative_added=negative[1:],
                key_latent=torch.cat([self.key_latent(key, size) for key in keys or [settings.key]]),
                settings=settings,
                generators=generators,
                given=start,
                hints=hints,
            )
        picture, mask = _one_by_one(decode, latents) if size.is_large else decode(latents)
        finite = torch.stack([values.isfinite().flatten(1).all(1) for values in (latents, picture, mask)]).all(0)
        pictures = to_bytes(picture / 2 + 0.5).permute(0, 2, 3, 1)
        masks = attention.masks(Size(h, w), size) if attention else to_bytes(mask)[:, 0].cpu().numpy()
        return pictures.cpu().numpy(), masks, finite.cpu().numpy()

    def objects_in(self, prompt: str, name: str) -> tuple[int, ...]:
        """The tokens of an object's name in a prompt. Raises DataError("no_object_word") where it is not there."""
        tokenizer = self.components.tokenizer
        ids = tokenizer(in_full(prompt, tokenizer), truncation=True, max_length=tokenizer.model_max_length).input_ids
        return object_tokens(ids, tokenizer(in_full(name, tokenizer), add_special_tokens=False).input_ids)

    @property
    def vae_factor(self) -> int:
        """Pixels per latent pixel along a side: 8 for Stable Diffusion."""
        return int(2 ** (len(self.components.vae.config.block_out_channels) - 1))

    def picture_size(self, settings: SamplerSettings) -> Size:
        """Of settings with one size; one that the networks cannot halve evenly is refused."""
        unet = self.components.unet.config
        size = asked_size(settings.size, settings.sizes) or square(int(unet.sample_size) * self.vae_factor)
        multiple = self.vae_factor * 2 ** (len(unet.block_out_channels) - 1)
        if any(side % multiple for side in size):
            raise UsageError(f"size {size} does not fit this model: take a multiple of {multiple}")
        return size

    @torch.inference_mode()
    def key_latent(self, key: KeyName, size: Size) -> Tensor:
        """z_key = scaling·E(bare screen): (1, 4, h, w) float32, encoded once.

        The whole map and not its mean: the encoder pads with zeros, and the pictures it trained on had those rims too.
        """
        if (key, size) not in self._screens:
            vae = self.components.vae
            self._screens[key, size] = screen_latent(vae, KEY_COLOURS[key], size) * vae.config.scaling_factor
        return self._screens[key, size]

    def _denoise(self, latents: Tensor, t: Tensor, *told: Tensor, hints: Mapping[str, Any] = NO_HINTS) -> Tensor:
        latents = latents.to(self.dtype, memory_format=torch.channels_last)
        predicted: Tensor = self.components.unet(latents, t, return_dict=False, **told_by_name(told, hints))[0]
        return predicted.float()

    def _decode(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """One decode for (B, 3, H, W) picture in −1..1 and (B, 1, H, W) mask in 0..1, both float32."""
        vae = self.components.vae
        scaled = (latents / vae.config.scaling_factor).to(vae.dtype, memory_format=torch.channels_last)
        picture, features = decode_with_features(vae, scaled)
        return picture.float(), self.components.head(features).float()

    @property
    def _plain(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return self._denoise, self._decode

    @cached_property
    def _compiled(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        # Not max-autotune: it picks kernels by timing them, so two workers could paint different bytes.
        allow_shapes()
        denoise = torch.compile(self._denoise, dynamic=False)
        return Recorded(denoise), torch.compile(self._decode, dynamic=False)


def _one_by_one(decode: Callable[..., Any], latents: Tensor) -> tuple[Tensor, Tensor]:
    pictures, masks = zip(*(decode(one[None]) for one in latents), strict=True)
    return torch.cat(pictures), torch.cat(masks)


def working_type(device: torch.device | str) -> torch.dtype:
    """What a model paints in: bfloat16 on CUDA and float32 elsewhere."""
    return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32


def to_bytes(values: Tensor) -> Tensor:
    """0..1 to 0..255, rounded, on the device. A NaN becomes 0; `paint` says whose it was."""
    return values.nan_to_num(0).clamp(0, 1).mul(255).round().to(torch.uint8)
