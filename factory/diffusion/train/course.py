"""The networks of a DiffuMatting training, the data they learn from, and which of them learn in each phase."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from factory.diffusion import model_folder
from factory.diffusion.model_folder import Components
from factory.diffusion.plain.folder import fingerprint
from factory.diffusion.train import autoencoder as autoencoder_training
from factory.diffusion.train import data as training_data
from factory.diffusion.train import networks
from factory.diffusion.train.autoencoder import AutoencoderTask
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.generation import GenerationTask
from factory.diffusion.train.lesson import PhaseLesson
from factory.diffusion.train.look import look_at_autoencoder, look_at_generation
from factory.diffusion.train.low_rank import LORA_FILE, LowRankChanges, fold, write_changes
from factory.diffusion.train.phases import PhasedTraining
from factory.diffusion.train.settings import Phase, TrainSettings, base_folder
from factory.errors import UsageError
from factory.shards.durable import force_to_disk
from factory.training.ema import MovingAverage
from factory.training.ranks import Ranks

HELD_OUT = "held-out"  # of the cache: samples to measure on
PART = {"head": "matting_head", "lora": "unet"}  # where a module's folder has another name


class Course(PhasedTraining):
    """Of a U-Net."""

    def __init__(self, settings: TrainSettings, out: Path, device: torch.device, ranks: Ranks) -> None:
        """The networks before their first step. Raises UsageError where the base or the data cannot be taken."""
        super().__init__(settings, out, device, ranks)
        self.data = ranks.first_alone(
            partial(training_data.unpack, settings.data, settings.size, settings.key, out / "cache")
        )
        self.held_out: TrainingSet | None = None
        if settings.validation and ranks.is_first:
            self.held_out = training_data.unpack(
                settings.validation, settings.size, settings.key, out / "cache" / HELD_OUT
            )
        self.components = start_components(settings, self.data)
        self.modules: dict[str, nn.Module] = {
            "vae": self.components.vae,
            "unet": self.components.unet,
            "text_encoder": self.components.text_encoder,
            "head": self.components.head,
        }
        if self.components.text_encoder_2 is not None:  # XL's, which stays as it was loaded
            self.components.text_encoder_2.to(device)
        self.base_hash = fingerprint(base_folder(settings)) if settings.base else ""
        for module in self.modules.values():
            module.to(device).requires_grad_(False)
        if settings.lora:  # in the U-Net's place: that is read from the base again
            changes = LowRankChanges(self.modules.pop("unet"), settings.lora, settings.seed)
            self.modules["lora"] = changes.requires_grad_(False)
        if settings.gradient_checkpointing:
            self.components.unet.enable_gradient_checkpointing()

    def restore(self, state: Mapping[str, Any]) -> None:
        """With the scale of the latents, too."""
        super().restore(state)
        self.components.vae.register_to_config(scaling_factor=state["scaling_factor"])

    def kept(self, number: int) -> dict[str, Any]:
        """With the scale of the latents, too."""
        return {**super().kept(number), "scaling_factor": self.components.vae.config.scaling_factor}

    def learning(self, phase: Phase) -> dict[str, nn.Module]:
        """The modules that a phase changes."""
        if phase.name == "autoencoder":
            return {"vae": self.modules["vae"]}
        names = ["lora" if "lora" in self.modules else "unet"]
        names += ["text_encoder"] if self.settings.train_text_encoder else []
        names += ["head"] if phase.name == "joint" else []
        return {name: self.modules[name] for name in names}

    def lesson(self, number: int) -> PhaseLesson[Any]:
        """Of a phase; its modules learn from now on."""
        phase = self.settings.phases[number]
        shown = self.out / "pictures" / f"{number}-{phase.name}"
        if phase.name == "autoencoder":
            task = AutoencoderTask(self.components.vae, self.data, self.settings, number, self.device)
            look = partial(look_at_autoencoder, task, shown)
            return PhaseLesson(task, self.learning(phase), phase, self.settings, look, ranks=self.ranks)
        generation, held_out = self.generation(number), None
        if self.held_out is not None and self.ranks.is_first:  # which alone looks
            held_out = replace(self.generation(number, self.held_out), attention=generation.attention)
        look = partial(look_at_generation, generation, shown, held_out=held_out)
        return PhaseLesson(generation, self.learning(phase), phase, self.settings, look, ranks=self.ranks)

    def generation(self, number: int, data: TrainingSet | None = None) -> GenerationTask:
        """What a step's losses are computed from in a phase that paints.  data: the samples held out."""
        s, c = self.settings, self.components
        samples, latents = (self.data, self.latents()) if data is None else (data, self._encoded(data, HELD_OUT))
        tokens = training_data.tokenize(c.tokenizer, samples.captions, s.template, s.key, c.tokenizer_2)
        with_head = s.phases[number].name == "joint"
        return GenerationTask(c, samples, latents, tokens, s, number, self.device, with_head)

    def latents(self) -> NDArray[np.float16]:
        """The whole set through the frozen encoder, computed once."""
        return self.ranks.first_alone(partial(self._encoded, self.data, ""))

    def _encoded(self, data: TrainingSet, folder: str) -> NDArray[np.float16]:
        twins = 2 if self.settings.flip else 1
        file = self.out / "cache" / folder / "latents.f16"
        return training_data.encode_all(self.components.vae, data, twins, self.device, file)

    def end(self, number: int, average: MovingAverage) -> None:
        """Close a phase; after the autoencoder's, its average is frozen and centred on the screen."""
        super().end(number, average)
        s = self.settings
        if s.phases[number].name == "autoencoder":
            average.copy_to({"vae": self.components.vae})
            self.ranks.take_from_first(self.components.vae)
            average.forget("vae")
            if self.data.on_screen.any():
                autoencoder_training.centre_on_key(self.components.vae, s.key_rgb, s.size)
            scale = autoencoder_training.scaling_factor(self.latents())
            self.components.vae.register_to_config(scaling_factor=scale)

    def publish(self, model: Path, average: MovingAverage) -> None:
        """Write the averaged weights as a model folder, on a base beside what it left frozen."""
        average.copy_to(self.modules)
        if "lora" in self.modules:
            write_changes(self.modules["lora"].state_dict(), self.out / LORA_FILE)
            fold(self.components.unet)
        if self.settings.base:
            learned = {PART.get(name, name) for phase in self.settings.phases for name in self.learning(phase)}
            model_folder.save_on_base(self.components, learned, base_folder(self.settings), model, torch.float16)
        else:
            model_folder.save(self.components, model, torch.float16)
        force_to_disk(model)


def start_components(settings: TrainSettings, data: TrainingSet) -> Components:
    """The base model, or fresh networks whose vocabulary is the data's."""
    if settings.base:
        if any(phase.name == "autoencoder" for phase in settings.phases):
            raise UsageError("train.phases: a base has its autoencoder already; leave that phase out, or the base")
        head = settings.networks
        return model_folder.load_base(base_folder(settings), head.head_hidden, settings.seed, head.head_activation)
    captions = training_data.templated(data.captions, settings.template, settings.key)
    return networks.build(settings.networks, settings.size, captions, settings.seed)
