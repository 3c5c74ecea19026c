"""A training on a joint model: low-rank changes of its transformer and a matting head, by what `flow_task.py` computes.

The counterpart of `course.py`. Text encoders read every prompt once and are let go.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from factory.diffusion.flow_latents import encode
from factory.diffusion.joint_text import own_length
from factory.diffusion.plain.folder import fingerprint
from factory.diffusion.train import data as training_data
from factory.diffusion.train.course import HELD_OUT
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.flow_base import open_base, save_on_base
from factory.diffusion.train.flow_look import look_at_flow
from factory.diffusion.train.flow_task import FlowTask
from factory.diffusion.train.flow_texts import PromptTexts, key_word, read_prompts
from factory.diffusion.train.lesson import PhaseLesson
from factory.diffusion.train.look import some_captions
from factory.diffusion.train.low_rank import LORA_FILE, LowRankChanges, fold, write_changes
from factory.diffusion.train.phases import PhasedTraining
from factory.diffusion.train.settings import Phase, TrainSettings, base_folder, check_family
from factory.models.precision import uses_bf16
from factory.shards.durable import force_to_disk
from factory.training.ema import MovingAverage
from factory.training.ranks import Ranks


class FlowCourse(PhasedTraining):
    """Of a joint transformer."""

    def __init__(self, settings: TrainSettings, out: Path, device: torch.device, ranks: Ranks) -> None:
        """The networks before their first step. Raises UsageError where the base or the data cannot be taken."""
        check_family(settings)
        assert settings.lora is not None  # which that asks for
        super().__init__(settings, out, device, ranks)
        s, cache, base = settings, out / "cache", base_folder(settings)
        self.data = ranks.first_alone(partial(training_data.unpack, s.data, s.size, s.key, cache))
        self.base_hash = fingerprint(base)
        dtype = torch.bfloat16 if uses_bf16(s.bf16, device) else torch.float32
        pipeline, self.parts = open_base(base, s.networks, s.seed, dtype)
        pipeline.to(device)
        self.parts.head.to(device)
        self.captions = s.picture_prompts or some_captions(self.data)
        shown = training_data.templated(self.captions, s.template, s.key)
        read = partial(self._read, pipeline, self.data, shown, cache)
        self.texts, self.latents = ranks.first_alone(read)
        self.shown = torch.arange(len(self.data.captions) + 1, len(self.data.captions) + 1 + len(shown))
        self.held_out: tuple[TrainingSet, PromptTexts, NDArray[np.float16]] | None = None
        if s.validation and ranks.is_first:  # which alone looks
            held_out = training_data.unpack(s.validation, s.size, s.key, cache / HELD_OUT)
            self.held_out = held_out, *self._read(pipeline, held_out, [], cache / HELD_OUT)
        changes = LowRankChanges(self.parts.transformer, settings.lora, s.seed)
        self.modules: dict[str, nn.Module] = {"lora": changes, "head": self.parts.head}
        for module in self.modules.values():
            module.requires_grad_(False)
        if s.gradient_checkpointing:
            self.parts.transformer.enable_gradient_checkpointing()

    def _read(
        self, pipeline: Any, data: TrainingSet, shown: Sequence[str], cache: Path
    ) -> tuple[PromptTexts, NDArray[np.float16]]:
        """What is computed once: texts of the captions, of none, and of those shown; latents."""
        s = self.settings
        prompts = [*training_data.templated(data.captions, s.template, s.key), "", *shown]
        words = [key_word(prompt, s.template, s.key) for prompt in prompts]
        length, twins = own_length(pipeline), 2 if s.flip else 1
        texts = read_prompts(pipeline, prompts, words, length, cache / "texts.bf16", made_by=self.base_hash)
        file = cache / "latents.f16"
        return texts, training_data.encode_all(self.parts.vae, data, twins, self.device, file, encode=encode)

    def learning(self, phase: Phase) -> dict[str, nn.Module]:
        """The modules that a phase changes."""
        return {name: self.modules[name] for name in (["lora", "head"] if phase.name == "joint" else ["lora"])}

    def lesson(self, number: int) -> PhaseLesson[Any]:
        """Of a phase; its modules learn from now on."""
        s, phase = self.settings, self.settings.phases[number]
        with_head = phase.name == "joint"
        task = FlowTask(self.parts, self.data, self.latents, self.texts, s, number, self.device, with_head)
        held_out = None
        if self.held_out is not None:
            data, texts, latents = self.held_out
            held_out = replace(task, data=data, texts=texts, latents=latents)
        shown = self.out / "pictures" / f"{number}-{phase.name}"
        look = partial(look_at_flow, task, self.shown, self.captions, shown, held_out=held_out)
        return PhaseLesson(task, self.learning(phase), phase, s, look, ranks=self.ranks)

    def publish(self, model: Path, average: MovingAverage) -> None:
        """Write the averaged changes, as a LoRA and as part of the transformer of a model folder."""
        average.copy_to(self.modules)
        write_changes(self.modules["lora"].state_dict(), self.out / LORA_FILE, "transformer")
        fold(self.parts.transformer)
        s = self.settings
        save_on_base(self.parts, base_folder(s), model, key=s.key, template=s.template)
        force_to_disk(model)
