"""A training on a joint model: low-rank changes of its transformer and a matting head, by what `flow_task.py` computes.

The counterpart of `course.py`. Text encoders read every prompt once and are let go.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from factory.diffusion.flow_latents import encode
from factory.diffusion.joint_text import own_length
from factory.diffusion.plain.folder import fingerprint
from factory.diffusion.train import data as training_data
from factory.diffusion.train.flow_base import open_base, save_on_base
from factory.diffusion.train.flow_look import look_at_flow
from factory.diffusion.train.flow_task import FlowTask
from factory.diffusion.train.flow_texts import key_word, read_prompts
from factory.diffusion.train.lesson import PhaseLesson
from factory.diffusion.train.look import some_captions
from factory.diffusion.train.low_rank import LORA_FILE, LowRankChanges, fold, write_changes
from factory.diffusion.train.settings import Phase, TrainSettings, base_folder, check_joint
from factory.errors import UsageError
from factory.models.precision import uses_bf16
from factory.shards.durable import force_to_disk
from factory.training.ema import MovingAverage
from factory.training.ranks import Ranks


class FlowCourse:
    """What lasts from phase to phase."""

    def __init__(self, settings: TrainSettings, out: Path, device: torch.device, ranks: Ranks) -> None:
        """The networks before their first step. Raises UsageError where the base or the data cannot be taken."""
        check_joint(settings)
        assert settings.lora is not None  # which that asks for
        self.settings, self.out, self.device, self.ranks = settings, out, device, ranks
        s, cache, base = settings, out / "cache", base_folder(settings)
        self.data = ranks.first_alone(partial(training_data.unpack, s.data, s.size, s.key, cache))
        self.base_hash = fingerprint(base)
        dtype = torch.bfloat16 if uses_bf16(s.bf16, device) else torch.float32
        pipeline, self.parts = open_base(base, s.networks, s.seed, dtype)
        pipeline.to(device)
        self.parts.head.to(device)
        shown = training_data.templated(s.picture_prompts or some_captions(self.data), s.template, s.key)
        prompts = [*training_data.templated(self.data.captions, s.template, s.key), "", *shown]
        words = [key_word(prompt, s.template, s.key) for prompt in prompts]
        read = partial(read_prompts, pipeline, prompts, words, own_length(pipeline), cache / "texts.bf16")
        self.texts = ranks.first_alone(partial(read, made_by=self.base_hash))
        self.shown = torch.arange(len(self.data.captions) + 1, len(prompts))
        twins = 2 if s.flip else 1
        encode_all = partial(training_data.encode_all, self.parts.vae, self.data, twins, device, cache / "latents.f16")
        self.latents = ranks.first_alone(partial(encode_all, encode=encode))
        changes = LowRankChanges(self.parts.transformer, settings.lora, s.seed)
        self.modules: dict[str, nn.Module] = {"lora": changes, "head": self.parts.head}
        for module in self.modules.values():
            module.requires_grad_(False)
        if s.gradient_checkpointing:
            self.parts.transformer.enable_gradient_checkpointing()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Bring back what earlier phases taught; the present one's is the loop's.

        Raises UsageError where the base is another one than in the beginning.
        """
        if state["base_hash"] != self.base_hash:
            raise UsageError(
                f"{self.settings.base} has changed since the training began: bring back the old one, or start in "
                "another --out"
            )
        for name, weights in state["frozen"].items():
            self.modules[name].load_state_dict(weights)

    def kept(self, number: int) -> dict[str, Any]:
        """What `restore` takes, from the beginning of a phase to its end."""
        phases = self.settings.phases
        before = {name for phase in phases[:number] for name in self.learning(phase)}
        frozen = sorted(before - self.learning(phases[number]).keys())
        return {"base_hash": self.base_hash, "frozen": {name: self.modules[name].state_dict() for name in frozen}}

    def learning(self, phase: Phase) -> dict[str, nn.Module]:
        """The modules that a phase changes."""
        return {name: self.modules[name] for name in (["lora", "head"] if phase.name == "joint" else ["lora"])}

    def lesson(self, number: int) -> PhaseLesson[Any]:
        """Of a phase; its modules learn from now on."""
        s, phase = self.settings, self.settings.phases[number]
        with_head = phase.name == "joint"
        task = FlowTask(self.parts, self.data, self.latents, self.texts, s, number, self.device, with_head)
        shown = self.out / "pictures" / f"{number}-{phase.name}"
        captions = s.picture_prompts or some_captions(self.data)
        look = partial(look_at_flow, task, self.shown, captions, shown)
        return PhaseLesson(task, self.learning(phase), phase, s, look, ranks=self.ranks)

    def end(self, number: int, _average: MovingAverage) -> None:
        """Close a phase."""
        for module in self.learning(self.settings.phases[number]).values():
            module.requires_grad_(False).eval()

    def publish(self, model: Path, average: MovingAverage) -> None:
        """Write the averaged changes, as a LoRA and as part of the transformer of a model folder."""
        average.copy_to(self.modules)
        write_changes(self.modules["lora"].state_dict(), self.out / LORA_FILE, "transformer")
        fold(self.parts.transformer)
        s = self.settings
        save_on_base(self.parts, base_folder(s), model, key=s.key, template=s.template)
        force_to_disk(model)
