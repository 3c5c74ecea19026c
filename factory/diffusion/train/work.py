"""What the steps of a training compute and keep in memory, counted without weights: for a dry run."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from factory.diffusion.matting_head import MattingHead, decoder_features
from factory.diffusion.train import networks
from factory.diffusion.train.data import templated
from factory.diffusion.train.low_rank import LowRankChanges
from factory.diffusion.train.settings import Phase, TrainSettings, base_folder
from factory.errors import UsageError
from factory.models.folder import read_mapping
from factory.models.part import UNREADABLE
from factory.models.precision import autocast
from factory.training.forecast import BACKWARD, COPIES_OF_LEARNED, FLOAT, Pass, count, weights_in

CHECKPOINTED = "ResnetBlock2D BasicTransformerBlock"  # of diffusers: what runs again with gradient_checkpointing


@dataclass(frozen=True)
class Work:
    """Of a phase.  learned: how many weights learn.  held: bytes of all weights, gradients, moments, and of averages
    that are not in files.

    kept: bytes that the way back needs.  flops: of a step.
    """

    learned: int
    held: int
    kept: int
    flops: int


class CountedNetworks:
    """The networks of a training without numbers, and one picture's way through each. Inside of `nothing_computed`.

    captions: of the data, which are the words of fresh networks.
    """

    def __init__(self, settings: TrainSettings, captions: Sequence[str], device: torch.device) -> None:
        s = self.settings = settings
        self.device = device
        with device:
            self.vae, self.unet, self.text_encoder, self.head = _of_base(s) if s.base else _fresh(s, captions)
            self.all = [self.vae, self.unet, self.text_encoder, self.head]
            for network in (self.vae, self.unet, *(() if s.train_text_encoder else (self.text_encoder,))):
                network.requires_grad_(False)
            self.painter: nn.Module = LowRankChanges(self.unet, s.lora, s.seed) if s.lora else self.unet
        self.painter.requires_grad_(True)
        self.side = s.size // 2 ** (len(self.vae.config.block_out_channels) - 1)

    def work(self, phase: Phase) -> Work:
        """Of one phase's steps, in its parts, by one process."""
        s, there_and_back = self.settings, 1 + BACKWARD
        if phase.name == "autoencoder":
            learned, passes = [self.vae], [(self.through_autoencoder, there_and_back)]
        else:
            learned = [self.painter, *([self.text_encoder] if s.train_text_encoder else [])]
            passes = [
                (self.reading, there_and_back if s.train_text_encoder else 1),
                (self.painting, there_and_back + s.gradient_checkpointing),
            ]
        if phase.name == "joint":
            learned.append(self.head)
            passes += [(self.decoding, 1), (self.masking, there_and_back)]
        copies = COPIES_OF_LEARNED - (s.ema_in == "files")
        return Work(
            learned=weights_in(learned),
            held=FLOAT * (weights_in(self.all) + copies * weights_in(learned)),
            kept=phase.at_once(processes=1) * sum(one.kept for one, _ in passes),
            flops=phase.batch * sum(one.flops * times for one, times in passes),
        )

    @cached_property
    def encoding(self) -> Pass:
        """A picture into its latent, once for the whole training."""
        with self.device, torch.no_grad(), autocast(self.settings.bf16, self.device):
            x = torch.empty(1, 3, self.settings.size, self.settings.size)
            return count(lambda: self.vae.encode(x).latent_dist.mean, [self.vae])

    @cached_property
    def through_autoencoder(self) -> Pass:
        """A picture into its latent and back."""
        self.vae.requires_grad_(True)
        with self.device, autocast(self.settings.bf16, self.device):
            x = torch.empty(1, 3, self.settings.size, self.settings.size)
            found = count(lambda: self.vae.decode(self.vae.encode(x).latent_dist.mean).sample, [self.vae])
        self.vae.requires_grad_(False)
        return found

    @cached_property
    def reading(self) -> Pass:
        """A caption through the text encoder."""
        with self.device, nullcontext() if self.settings.train_text_encoder else torch.no_grad():
            tokens = torch.zeros(1, self.text_encoder.config.max_position_embeddings, dtype=torch.long)
            return count(lambda: self.text_encoder(tokens).last_hidden_state, [self.text_encoder])

    @cached_property
    def painting(self) -> Pass:
        """A latent through the U-Net."""
        with self.device, autocast(self.settings.bf16, self.device):
            z, t = torch.empty(1, 4, self.side, self.side), torch.zeros(1, dtype=torch.long)
            words = self.text_encoder.config.max_position_embeddings
            context = torch.empty(1, words, self.unet.config.cross_attention_dim)
            again = CHECKPOINTED if self.settings.gradient_checkpointing else ""
            return count(lambda: self.unet(z, t, context).sample, [self.unet, self.painter], again)

    @cached_property
    def decoding(self) -> Pass:
        """A latent through the decoder, which is frozen by then."""
        with self.device, torch.no_grad(), autocast(self.settings.bf16, self.device):
            z = torch.empty(1, 4, self.side, self.side)
            return count(lambda: decoder_features(self.vae, z), [self.vae])

    @cached_property
    def masking(self) -> Pass:
        """The decoder's features through the matting head."""
        with self.device:
            features = torch.empty(1, self.head.config.in_channels, self.settings.size, self.settings.size)
            return count(lambda: self.head(features), [self.head])


Four = tuple[AutoencoderKL, UNet2DConditionModel, CLIPTextModel, MattingHead]


def _fresh(s: TrainSettings, captions: Sequence[str]) -> Four:
    made = networks.build(s.networks, s.size, templated(captions, s.template, s.key), s.seed)
    return made.vae, made.unet, made.text_encoder, made.head


def _of_base(s: TrainSettings) -> Four:
    """By the configurations alone: no file of weights is opened. Raises UsageError."""
    base, own = base_folder(s), s.networks
    configs = [read_mapping(base / part / "config.json") for part in ("vae", "unet", "text_encoder")]
    try:
        vae, unet = AutoencoderKL.from_config(configs[0]), UNet2DConditionModel.from_config(configs[1])
        text_encoder = CLIPTextModel(CLIPTextConfig(**configs[2]))
    except UNREADABLE as error:
        raise UsageError(f"{base} is no model that can be read ({error}): copy it again, whole.") from error
    if (head := base / "matting_head" / "config.json").is_file():
        return vae, unet, text_encoder, MattingHead.from_config(read_mapping(head))
    width = vae.config.block_out_channels[0]
    return vae, unet, text_encoder, MattingHead(width, own.head_hidden, own.head_activation)
