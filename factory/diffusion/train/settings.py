"""What a training run is made of: plain frozen dataclasses that a recipe embeds. Defaults are the paper's way.

This file imports no torch, so that reading a recipe stays fast. Each field that settles something the paper leaves
open says so.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from factory.diffusion.model_files import INDEX, is_xl
from factory.diffusion.plain.families import JOINT
from factory.diffusion.sample.settings import SamplerSettings
from factory.errors import UsageError, quoted
from factory.greenscreen.colours import KEY_COLOURS, Colour, KeyName
from factory.models.folder import read_mapping

COLOUR_WORDS = (
    *("red", "orange", "yellow", "blue", "purple", "pink", "brown", "black", "white", "gray", "cyan", "gold"),
    *("grey", "green", "magenta", "violet", "turquoise", "beige", "silver"),
)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Sizes of fresh networks, in Stable Diffusion's layout; the defaults are Stable Diffusion 1.5's own."""

    vae_channels: tuple[int, ...] = (128, 256, 512, 512)  # one level each; the factor is 2^(levels − 1)
    vae_layers: int = 2
    vae_attention: bool = True  # self-attention in the middle of encoder and decoder
    unet_channels: tuple[int, ...] = (320, 640, 1280, 1280)  # all levels but the last have cross-attention
    unet_layers: int = 2
    unet_heads: int = 8
    text_width: int = 768  # also the cross-attention width
    text_layers: int = 12
    text_heads: int = 12
    text_length: int = 77  # tokens, begin and end included
    norm_groups: int = 32  # of the VAE and the U-Net
    head_hidden: int = 64  # ConR: Conv3×3 C→64, SiLU, Conv3×3 64→1, and this:
    head_activation: Literal["sigmoid", "silu"] = "sigmoid"  # SiLU as in the paper leaves 0..1, where dice is defined
    # Eq. 1 predicts ε. From nothing, v teaches colour words in far fewer steps: they matter where noise is strong
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"


@dataclass(frozen=True, kw_only=True)
class TrainingFolder:
    """One set of shards to learn from, or with `screen: false` a folder of pictures with captions in .txt files."""

    folder: str
    split: str = "train"
    repeat: int = 1  # how often each of its samples counts in an epoch: small distinct sets need more than one
    screen: bool = True  # False: its captions are prompts as they are, and only L_noise learns from its pictures
    backgrounds: str = ""  # a folder of photographs: its objects stand before these and no more before their screen
    plain: float = (
        0.0  # of these, share that stands before one colour instead: photographs teach no autoencoder pure ones
    )

    def __post_init__(self) -> None:
        if not 0 <= self.plain <= 1:
            raise UsageError(f"train.data: plain of {self.folder} is {self.plain}: it is a share, from 0 to 1")

    @property
    def on_screen(self) -> bool:
        """Whether its pictures show the training's screen."""
        return self.screen and not self.backgrounds


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training.

    autoencoder: fresh small models only. generation: U-Net (and text encoder if trained), L_noise + L_g + L_detail.
    joint: the same and the matting head's L_latent (paper §4.1: head after a stable green screen).
    """

    name: Literal["autoencoder", "generation", "joint"]
    steps: int
    batch: int = 2
    lr: float = 2e-6
    head_lr: float = 1e-4  # the matting head starts from nothing, the U-Net does not
    warmup: int = 500  # steps of linear warm-up
    decay: Literal["constant", "cosine"] = "constant"  # cosine: falls to zero at the phase's last step
    parts: int = 1  # that a batch is taken in, one after the other, where it does not fit into memory whole

    def __post_init__(self) -> None:
        self.at_once(processes=1)

    def at_once(self, processes: int) -> int:
        """Samples that each of several processes takes at once. Raises UsageError where a batch has no such parts."""
        if self.parts < 1:
            raise UsageError(f"parts of the phase {self.name} is {self.parts}: give 1 or more")
        shares = self.parts * processes
        if self.batch % shares:
            raise UsageError(
                f"batch of the phase {self.name} is {self.batch}: give a multiple of {shares}, its parts × processes"
            )
        return self.batch // shares


@dataclass(frozen=True, kw_only=True)
class LowRankSettings:
    """Low-rank changes of the base's U-Net that learn in the place of its weights."""

    rank: int = 16
    layers: Literal["attention", "all"] = "attention"  # all: convolutions and feed-forward layers, too

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UsageError(f"train.lora.rank is {self.rank}: give 1 or more")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """All that the final weights depend on (for equal software and device type), and what is laid beside them."""

    data: tuple[TrainingFolder, ...]
    phases: tuple[Phase, ...]
    base: str = ""  # a folder of Stable Diffusion 1, 2, XL, DiffuMatting or `JOINT` to start from; "": fresh networks
    networks: NetworkSettings = field(default_factory=NetworkSettings)
    lora: LowRankSettings | None = None  # on a base; None: the whole U-Net learns, as in the paper
    size: int = 512  # pixels; square
    key_rgb: Colour = KEY_COLOURS["green"]  # the screen in the data, a key colour; its word is in every prompt

    # Table 2 of the paper
    green_background: bool = True  # L_g, Eq. 3
    detail: bool = True  # L_detail, Eqs. 4–6, on z as Eq. 5 is written: decoding ẑ0 costs three times the U-Net
    green_weight: float = 1.0  # Eq. 10 sums with weight 1
    detail_weight: float = 1.0
    # magnitude = sqrt(Gx² + Gy² + eps)·M; the literal sum cancels on anti-diagonal edges and ignores dark hair
    detail_form: Literal["magnitude", "literal"] = "magnitude"

    detail_timestep_weight: bool = True  # w(t), which Eq. 5 lacks: without it L_detail is noise of the last timesteps
    binary_as_soft: bool = False  # True: binary masks teach the head and L_detail's transition band as soft ones do

    template: Literal["prefix", "suffix"] = "prefix"  # "green screen, {caption}": the token is always at index 1
    caption_dropout: float = 0.1  # for classifier-free guidance; those samples carry no L_g
    head_timestep: int = 200  # the head sees detached ẑ0 where t ≤ this (20 % of 1000), z0 = E(x) elsewhere
    # Eq. 1 draws t evenly; logit_normal (Esser et al., ICML 2024) draws the middle more often than the ends
    timesteps: Literal["uniform", "logit_normal"] = "uniform"
    min_snr_gamma: float = 0.0  # > 0: L_noise weighted by min(SNR, γ)/SNR (v: SNR + 1); 0 is Eq. 1
    flip: bool = True  # a mirrored twin of each picture
    train_text_encoder: bool = False  # a fresh small text encoder learns along
    kl_weight: float = 1e-6  # the autoencoder phase's only prior
    edge_weight: float = 1.0  # L1 on finite differences, autoencoder phase
    saturation_margin: float = 0.03  # the decoder overshoots pure colours by this much, so that they clamp exactly

    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    ema: float = 0.9999
    ema_in: Literal["memory", "files"] = "memory"  # files: of the disk, for networks whose copies do not fit; slower
    bf16: Literal["auto", "on", "off"] = "auto"  # auto: where the processor multiplies bf16 in hardware
    gradient_checkpointing: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1
    seed: int = 0

    # From here on nothing decides a weight: these may change from one start to the next
    log_every: int = 10  # steps
    save_every: int = 500
    picture_every: int = 1000
    validation: tuple[TrainingFolder, ...] = ()  # sets to be measured on as often, which nothing is learned from
    validation_items: int = 64  # samples of them
    picture_prompts: tuple[str, ...] = ()  # captions drawn while training; () takes eight from the data
    picture_guidance: float = 7.5
    sampler: SamplerSettings | None = None  # the model's sampler.json, but for its key; None: see publication.py
    colours: tuple[str, ...] = COLOUR_WORDS  # those that occur in captions stand in a fresh model's vocabulary.json
    not_offered: tuple[str, ...] = ()  # classes of the data that the model turned out to paint poorly
    licence: str = ""  # of the weights, for the model card; "" is the base's
    trackers: tuple[str, ...] = ()  # that are told of log and pictures: tensorboard, wandb, mlflow …

    def __post_init__(self) -> None:
        if self.key_rgb not in KEY_COLOURS.values():
            known = ", ".join(f"{list(colour)} ({name})" for name, colour in KEY_COLOURS.items())
            raise UsageError(f"train.key_rgb {list(self.key_rgb)} is no key colour: take one of {known}")
        if not self.phases:
            raise UsageError("train.phases is empty: name one phase at least")
        if self.data and not self.on_screen and (self.green_background or self.detail):
            raise UsageError(
                "train.data: no set shows a screen, and such teach L_noise alone: set train.green_background and "
                "train.detail to false"
            )
        learned = {(folder.folder, folder.split) for folder in self.data}
        if both := [folder for folder in self.validation if (folder.folder, folder.split) in learned]:
            raise UsageError(
                f"train.validation: {both[0].folder} is learned from: name another set, or another of its splits"
            )
        if self.lora and not self.base:
            raise UsageError(
                "train.lora changes a base, and none is named: name it in train.base, or leave train.lora out"
            )
        if self.lora and self.train_text_encoder:
            raise UsageError("train.lora changes the U-Net alone: leave train.train_text_encoder out")

    @property
    def on_screen(self) -> bool:
        """Whether a screen is learned: some set shows it."""
        return any(folder.on_screen for folder in self.data)

    @property
    def key(self) -> KeyName:
        """The key colour's name, the word of the screen in prompts."""
        return next(name for name, colour in KEY_COLOURS.items() if colour == self.key_rgb)


FREE = frozenset(
    {"ema_in", "log_every", "save_every", "picture_every", "picture_prompts", "picture_guidance"}
    | {"validation", "validation_items", "trackers", "sampler", "colours", "not_offered", "licence"}
)
"""The fields of TrainSettings that decide no weight."""


def base_folder(settings: TrainSettings) -> Path:
    """The base model. Nothing is fetched: the error for a missing one says what to run."""
    folder = Path(settings.base)
    if not folder.is_dir():
        raise UsageError(
            f"train.base: there is no folder {folder}; get a model, for example with "
            f"`hf download stable-diffusion-v1-5/stable-diffusion-v1-5 --local-dir {quoted(folder)}`"
        )
    check_family(settings)
    return folder


def is_joint(base: Path) -> bool:
    """Whether a base reads text and picture in one sequence (`flow_task.py`), and has no U-Net."""
    return (base / INDEX).is_file() and read_mapping(base / INDEX).get("_class_name") in JOINT


def check_joint(settings: TrainSettings) -> None:
    """Raises UsageError for what is not learned on such a base, or means nothing there."""
    if settings.lora is None:
        raise UsageError(f"train.base: on {settings.base} low-rank changes are learned: say `lora: {{rank: 16}}`.")
    if settings.min_snr_gamma > 0:
        raise UsageError("train.min_snr_gamma is for noise schedules; this base's paths are straight: leave it out.")
    if settings.timesteps != "uniform" or settings.sampler is not None:
        raise UsageError(
            "train.timesteps and train.sampler are for noise schedules; on this base t has a normal logit, and the "
            "pipeline's own steps are taken: leave them out"
        )
    if any(phase.name == "autoencoder" for phase in settings.phases):
        raise UsageError("train.phases: a base has its autoencoder already; leave that phase out, or the base")
    if settings.size % 16:
        raise UsageError(f"train.size {settings.size} does not fit this base: take a multiple of 16.")


def check_family(settings: TrainSettings) -> None:
    """Raises UsageError for what is not learned on a base of this family."""
    base = Path(settings.base)
    if is_joint(base):
        check_joint(settings)
    elif (base / INDEX).is_file() and is_xl(base) and settings.train_text_encoder:
        raise UsageError("train.train_text_encoder: Stable Diffusion XL has two, which stay: leave it out")
