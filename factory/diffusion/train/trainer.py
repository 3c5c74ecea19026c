"""The training loop: phases one after the other, all state in one file, the same weights after any interruption.

Data order, noise, timesteps, flips and dropped captions are pure functions of (seed, phase, step): a killed run goes on
from its last saved state to the very weights of an uninterrupted one (CPU, equal software and threads).
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from factory.diffusion import model_folder
from factory.diffusion.model_folder import Components
from factory.diffusion.train import autoencoder as autoencoder_training
from factory.diffusion.train import data as training_data
from factory.diffusion.train import networks, publication
from factory.diffusion.train import report as training_report
from factory.diffusion.train.autoencoder import AutoencoderTask
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.generation import GenerationTask
from factory.diffusion.train.low_rank import LORA_FILE, LowRankChanges, fold, weights_hash, write_changes
from factory.diffusion.train.settings import FREE, Phase, TrainSettings, base_folder
from factory.engine.software import software
from factory.errors import Interrupted, MachineError, UsageError
from factory.models.folder import read_json
from factory.models.precision import device_name, uses_bf16
from factory.shards.durable import force_to_disk, write_json
from factory.shards.layout import Layout
from factory.training import log
from factory.training.ema import MovingAverage
from factory.training.folder import FINISHED_FILE, LOG_FILE, STATE_FILE
from factory.training.interrupts import interrupts_wait
from factory.training.pinned_settings import pin_settings
from factory.training.progress import TrainingProgress
from factory.training.schedule import learning_rate
from factory.training.state import load_state, save_state

STEPS_VERSION = 2  # of what a step does: another one leads from the same settings to other weights
PART = {"head": "matting_head", "lora": "unet"}  # where a module's folder has another name


def train(settings: TrainSettings, out: Path, progress: Callable[[TrainingProgress], None]) -> Path:
    """Train what `settings` say in the folder `out`, or go on there; returns the model folder.

    Where the weights are finished they are left alone, and what is missing beside them is added. Other settings than
    those the folder was started with are refused.
    """
    pin_settings(settings, out, free=FREE)
    finished = out / FINISHED_FILE
    if not finished.is_file():
        torch.set_num_threads(settings.threads)
        saved = saved_state(out)
        run = Run(settings, out, progress)
        run.resume(saved)
        while run.phase < len(settings.phases):
            run.train_phase()
            run.finish_phase()
        run.publish(out / "model")
        write_json(finished, {"seconds": round(run.seconds, 1), **machine(settings)})
    elif {"device", "software"} - read_json(finished).keys():  # finished by a version that did not record them
        write_json(finished, machine(settings) | read_json(finished))
    if settings.lora and not (out / LORA_FILE).is_file() and (state := saved_state(out)) is not None:
        write_changes(state["ema"]["averages"]["lora"], out / LORA_FILE)
    publication.complete(settings, out)
    progress(TrainingProgress("finished", 0, 0, {}, 0.0, finished=True))
    return out / "model"


def saved_state(out: Path) -> dict[str, Any] | None:
    """What a training in `out` left behind; None where it left nothing. Raises UsageError where it cannot go on."""
    state = load_state(out / STATE_FILE)
    if state is not None and state.get("steps_version", 1) != STEPS_VERSION:
        raise UsageError(
            f"{out} was begun by another version of factory, whose steps lead to other weights: finish it with that "
            "version, or start again in another --out"
        )
    return state


def training_device(settings: TrainSettings) -> torch.device:
    """CUDA where there is one, unless the settings say otherwise."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "train.device is cuda, but torch finds no CUDA device here: mend the driver, or set it to auto"
        )
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


def machine(settings: TrainSettings) -> dict[str, Any]:
    """What the weights depend on besides the settings."""
    device = training_device(settings)
    return {
        "device": device_name(device),
        "bfloat16": uses_bf16(settings.bf16, device),
        "software": dict(software()),
    }


class Run:
    """The networks, their averages and the place in the phases: what `state.pt` keeps."""

    def __init__(self, settings: TrainSettings, out: Path, progress: Callable[[TrainingProgress], None]) -> None:
        self.settings, self.out, self.progress = settings, out, progress
        self.device = training_device(settings)
        self.data = training_data.unpack(settings.data, settings.size, settings.key, out / "cache")
        self.components = start_components(settings, self.data)
        self.modules: dict[str, nn.Module] = {
            "vae": self.components.vae,
            "unet": self.components.unet,
            "text_encoder": self.components.text_encoder,
            "head": self.components.head,
        }
        self.base_hash = weights_hash(self.components.unet) if settings.lora else ""
        for module in self.modules.values():
            module.to(self.device).requires_grad_(False)
        if settings.lora:  # in the U-Net's place: that is read from the base again
            changes = LowRankChanges(self.modules.pop("unet"), settings.lora, settings.seed)
            self.modules["lora"] = changes.requires_grad_(False)
        if settings.gradient_checkpointing:
            self.components.unet.enable_gradient_checkpointing()
        self.ema = MovingAverage(settings.ema)
        self.phase, self.step, self.seconds = 0, 0, 0.0
        self.optimizer_state: dict[str, Any] | None = None

    def resume(self, state: dict[str, Any] | None) -> None:
        """Take up the saved state, if there is one."""
        if state is not None:
            if state.get("base_hash", "") != self.base_hash:
                raise UsageError(
                    f"{self.settings.base} has changed since the training began: bring back the old one, or start in "
                    "another --out"
                )
            for name, module in self.modules.items():
                module.load_state_dict(state["weights"][name])
            self.components.vae.register_to_config(scaling_factor=state["scaling_factor"])
            self.ema.restore(state["ema"], self.device)
            self.phase, self.step, self.seconds = state["phase"], state["step"], state["seconds"]
            self.optimizer_state = state["optimizer"]
        log.rewind_log(self.out / LOG_FILE, self.phase, self.step)

    def save(self) -> None:
        """Write the state."""
        state = {
            "steps_version": STEPS_VERSION,
            "weights": {name: module.state_dict() for name, module in self.modules.items()},
            "scaling_factor": self.components.vae.config.scaling_factor,
            "ema": self.ema.state(),
            "optimizer": self.optimizer_state,
            "phase": self.phase,
            "step": self.step,
            "seconds": self.seconds,
            "base_hash": self.base_hash,
        }
        save_state(self.out / STATE_FILE, state, Layout(self.out).scratch)

    def publish(self, model: Path) -> None:
        """Write the averaged weights as a model folder, on a base beside what it left frozen."""
        self.ema.copy_to(self.modules)
        if "lora" in self.modules:
            write_changes(self.modules["lora"].state_dict(), self.out / LORA_FILE)
            fold(self.components.unet)
        if self.settings.base:
            trained = {PART.get(name, name) for phase in self.settings.phases for name in self.trained(phase)}
            model_folder.save_on_base(self.components, trained, base_folder(self.settings), model, torch.float16)
        else:
            model_folder.save(self.components, model, torch.float16)
        force_to_disk(model)

    def trained(self, phase: Phase) -> dict[str, nn.Module]:
        """The modules that this phase changes."""
        if phase.name == "autoencoder":
            return {"vae": self.modules["vae"]}
        names = ["lora" if "lora" in self.modules else "unet"]
        names += ["text_encoder"] if self.settings.train_text_encoder else []
        names += ["head"] if phase.name == "joint" else []
        return {name: self.modules[name] for name in names}

    def task(self, phase: Phase) -> AutoencoderTask | GenerationTask:
        """What computes the gradients of this phase's steps."""
        s, c = self.settings, self.components
        if phase.name == "autoencoder":
            return AutoencoderTask(c.vae, self.data, s, self.phase, self.device)
        latents = self.latents()
        tokens = training_data.tokenize(c.tokenizer, self.data.captions, s.template, s.key)
        return GenerationTask(c, self.data, latents, tokens, s, self.phase, self.device, phase.name == "joint")

    def latents(self) -> NDArray[np.float16]:
        """The whole set through the frozen encoder, computed once."""
        twins = 2 if self.settings.flip else 1
        file = self.out / "cache" / "latents.f16"
        return training_data.encode_all(self.components.vae, self.data, twins, self.device, file)

    def train_phase(self) -> None:
        """Steps of the present phase, from where it stands to its end."""
        s, phase = self.settings, self.settings.phases[self.phase]
        trained, task = self.trained(phase), self.task(phase)
        for module in trained.values():
            module.requires_grad_(True).train()
        optimizer = build_optimizer(trained, phase, s)
        if self.optimizer_state is not None:
            optimizer.load_state_dict(self.optimizer_state)
        logged_at, logged_step = time.monotonic(), self.step
        with interrupts_wait() as interrupted:
            while self.step < phase.steps:
                started = time.monotonic()
                terms, norms = self.take_step(phase, task, trained, optimizer)
                self.seconds += time.monotonic() - started
                last, ending = self.step == phase.steps, interrupted()
                logging = last or self.step % s.log_every == 0
                saving = last or ending or self.step % s.save_every == 0
                if logging or saving:
                    losses = self.finite(phase, terms, norms)
                if logging:
                    now = time.monotonic()
                    self.note(phase, losses, (self.step - logged_step) * phase.batch / (now - logged_at))
                    logged_at, logged_step = now, self.step
                if saving:
                    self.optimizer_state = optimizer.state_dict()
                    self.save()
                if ending:
                    raise Interrupted(
                        f"interrupted: phase {phase.name} is saved at step {self.step:,}; run the same command again "
                        "to go on."
                    )
                if self.step % s.picture_every == 0 and not last:
                    self.draw(phase, trained)
        self.draw(phase, trained)
        for module in trained.values():
            module.requires_grad_(False).eval()

    def take_step(
        self,
        phase: Phase,
        task: AutoencoderTask | GenerationTask,
        trained: dict[str, nn.Module],
        optimizer: torch.optim.Optimizer,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One step; returns its losses, and the norm of each module's gradient before it was clipped.

        Each module is clipped by itself: the head's gradients, large at first, do not shorten the U-Net's step.
        """
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(
                group["base_lr"], self.step, steps=phase.steps, warmup=phase.warmup, decay=phase.decay
            )
        terms = task.backward(self.step, phase.batch)
        norms = {
            name: nn.utils.clip_grad_norm_(module.parameters(), self.settings.clip_norm)
            for name, module in trained.items()
        }
        optimizer.step()
        optimizer.zero_grad()
        self.ema.update(trained)
        self.step += 1
        return terms, norms

    def finish_phase(self) -> None:
        """Close the phase and save; after the autoencoder's, its average is frozen and centred on the screen."""
        s = self.settings
        if s.phases[self.phase].name == "autoencoder":
            self.ema.copy_to({"vae": self.components.vae})
            self.ema.forget("vae")
            autoencoder_training.centre_on_key(self.components.vae, s.key_rgb, s.size)
            scale = autoencoder_training.scaling_factor(self.latents())
            self.components.vae.register_to_config(scaling_factor=scale)
        self.phase, self.step, self.optimizer_state = self.phase + 1, 0, None
        self.save()

    def finite(self, phase: Phase, terms: dict[str, Tensor], norms: dict[str, Tensor]) -> dict[str, float]:
        """The losses of a step as numbers. Raises MachineError where they or the gradients are none any more.

        What once is not finite stays so: asking before each save keeps the last state that was.
        """
        losses = {name: float(value.detach()) for name, value in terms.items()}
        gradients = {f"gradient of {name}": float(norm) for name, norm in norms.items()}
        ill = [f"{name} {value}" for name, value in (losses | gradients).items() if not math.isfinite(value)]
        if ill:
            raise MachineError(
                f"phase {phase.name}, step {self.step}: a loss is not finite ({', '.join(ill)}): lower its lr in the "
                "recipe and start in another --out"
            )
        return losses

    def note(self, phase: Phase, losses: dict[str, float], images_per_second: float) -> None:
        """Losses to log.jsonl and to the caller."""
        record = {"phase": self.phase, "name": phase.name, "step": self.step, "losses": losses}
        log.append_log(self.out / LOG_FILE, record)
        self.progress(TrainingProgress(phase.name, self.step, phase.steps, losses, images_per_second))

    def draw(self, phase: Phase, trained: dict[str, nn.Module]) -> None:
        """Curves, and pictures of the averaged weights."""
        log.draw_curves(self.out / LOG_FILE, self.out / "curves.png")
        folder = self.out / "pictures"
        folder.mkdir(exist_ok=True)
        file = folder / f"{self.phase}-{phase.name}-{self.step:07d}.png"
        with self.ema.swapped_in(trained):
            if phase.name == "autoencoder":
                training_report.write_grid(training_report.reconstructions(self.components.vae, self.data), file)
            else:
                s = self.settings
                captions = s.picture_prompts or some_captions(self.data)
                rows = training_report.sample(self.components, captions, s)
                training_report.write_grid(rows, file)


def start_components(settings: TrainSettings, data: TrainingSet) -> Components:
    """The base model, or fresh networks whose vocabulary is the data's."""
    if settings.base:
        if any(phase.name == "autoencoder" for phase in settings.phases):
            raise UsageError("train.phases: a base has its autoencoder already; leave that phase out, or the base")
        head = settings.networks
        return model_folder.load_base(base_folder(settings), head.head_hidden, settings.seed, head.head_activation)
    captions = training_data.templated(data.captions, settings.template, settings.key)
    return networks.build(settings.networks, settings.size, captions, settings.seed)


def build_optimizer(trained: dict[str, nn.Module], phase: Phase, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW, one group per module; the matting head has a learning rate of its own."""
    groups = [
        {"params": list(module.parameters()), "base_lr": phase.head_lr if name == "head" else phase.lr}
        for name, module in trained.items()
    ]
    return torch.optim.AdamW(groups, lr=phase.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)


def some_captions(data: TrainingSet) -> tuple[str, ...]:
    """Eight captions, evenly spread over the data."""
    return tuple(data.captions[i * len(data.captions) // 8] for i in range(8))
