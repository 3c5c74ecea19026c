"""Training of the keyer's shape network (greenscreen/keyer/shape_network.py).

Scenes are drawn while it trains, each a pure function of (seed, step, place in the batch): no two are alike, and a
killed training goes on from its last saved state to the very weights of an uninterrupted one.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from factory.engine.software import software
from factory.errors import Interrupted, MachineError, UsageError
from factory.greenscreen.keyer.clues import clues, own_share
from factory.greenscreen.keyer.shape import WEIGHTS as SHIPPED
from factory.greenscreen.keyer.shape_network import MULTIPLE, Answers, ShapeNetwork
from factory.models.precision import device_name, uses_bf16
from factory.models.weights import weights_file
from factory.refine.shape_weights import shape_weights
from factory.refine.train.objects import read_objects
from factory.refine.train.scenes import Cutout, scene
from factory.refine.train.settings import AS_SHIPPED, FREE, KeyerTraining, check_inputs
from factory.shards.durable import appearing, write_json
from factory.shards.layout import Layout
from factory.training import log
from factory.training.ema import MovingAverage
from factory.training.interrupts import interrupts_wait
from factory.training.pinned_settings import pin_settings
from factory.training.progress import TrainingProgress
from factory.training.schedule import learning_rate
from factory.training.state import load_state, save_state

FINISHED_FILE, STATE_FILE, WEIGHTS_FILE = "finished.json", "state.pt", "shape.safetensors"
PHASE = "shape"
CLIP_NORM = 1.0
FORMATS = (1.0, 1.0, 0.75, 0.6)  # of a batch: its shorter side over the longer


class Batch(NamedTuple):
    """clues: (N, CLUES, H, W).  alpha, own: (N, H, W) in 0..1, own as in `shape_network.Answers`, but no logit."""

    clues: Tensor
    alpha: Tensor
    own: Tensor


def train(settings: KeyerTraining, out: Path, progress: Callable[[TrainingProgress], None]) -> Path:
    """Train in the folder `out`, or go on there; returns the file of weights (averaged, float16).

    Raises UsageError for other settings than the folder was started with.
    """
    check_inputs(settings)
    pin_settings(settings, out, free=FREE)
    weights, finished = out / WEIGHTS_FILE, out / FINISHED_FILE
    if finished.is_file():
        shape_weights(weights, "the training's")
    else:
        torch.set_num_threads(settings.threads)
        run = Run(settings, out, progress)
        run.train()
        half = {name: value.half().contiguous() for name, value in run.averaged().items()}
        with appearing(weights, Layout(out).scratch) as file:
            file.write(save(half))
        device = device_name(run.device)
        write_json(finished, {"seconds": round(run.seconds, 1), "device": device, "software": dict(software())})
    progress(TrainingProgress("finished", 0, 0, {}, 0.0, finished=True))
    return weights


def draw_batch(objects: Sequence[Cutout], settings: KeyerTraining, step: int) -> Batch:
    """The scenes of one step, all of one format."""
    random = [np.random.default_rng((settings.seed, step, place)) for place in range(settings.batch)]
    drawn = [scene(objects, settings.side, own) for own in random]
    seen = np.stack([clues(one.picture, one.plate, one.colour) for one in drawn])
    alpha = np.stack([one.alpha for one in drawn])
    own = np.stack([own_share(one.foreground, one.plate, one.colour) for one in drawn])
    narrow = round(float(random[0].choice(FORMATS)) * settings.side / MULTIPLE) * MULTIPLE
    begin = (settings.side - narrow) // 2
    part = [slice(None), slice(begin, begin + narrow)]
    rows, columns = part if random[0].random() < 0.5 else part[::-1]
    return Batch(*(torch.from_numpy(field[..., rows, columns].copy()) for field in (seen, alpha, own)))


def losses(answers: Answers, truth: Batch, settings: KeyerTraining) -> dict[str, Tensor]:
    """The parts of the loss, weighted.

    The deviation has a loss of its own, which does not move α: it learns the error that is left. An object's own share
    of the screen's colour counts as far as the object is there.
    """
    spread = answers.spread
    error = torch.sigmoid(answers.logits) - truth.alpha
    away = error.detach().abs()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return {
        "absolute": error.abs().mean(),
        "square": settings.square_weight * error.square().mean(),
        "edges": settings.edge_weight * edges,
        "own": settings.own_weight * (truth.alpha * (torch.sigmoid(answers.own) - truth.own).abs()).mean(),
        "deviation": settings.deviation_weight * (away * torch.exp(-spread) + spread).mean(),
    }


class Run:
    """The network, its average and the step: what the saved state keeps."""

    def __init__(self, settings: KeyerTraining, out: Path, progress: Callable[[TrainingProgress], None]) -> None:
        self.settings, self.out, self.progress = settings, out, progress
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.objects = read_objects(settings.data)
        torch.manual_seed(settings.seed)
        self.network = ShapeNetwork().to(self.device)
        if settings.begin:
            self.network.load_state_dict(_weights(settings.begin))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), settings.lr, weight_decay=settings.weight_decay)
        self.ema = MovingAverage(settings.ema)
        self.step, self.seconds = 0, 0.0
        if (state := load_state(out / STATE_FILE)) is not None:
            if {name: value.shape for name, value in state["weights"].items()} != {
                name: value.shape for name, value in self.network.state_dict().items()
            }:
                raise UsageError(f"{out} was begun with an earlier version's network: train into another --out.")
            self.network.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.ema.restore(state["ema"], self.device)
            self.step, self.seconds = state["step"], state["seconds"]
        log.rewind_log(out / "log.jsonl", 0, self.step)

    def train(self) -> None:
        """All steps that are left, the scenes of the next drawn by a thread meanwhile."""
        s = self.settings
        cv2.setNumThreads(1)
        self.network.train()
        logged_at, logged_step = time.monotonic(), self.step
        with ThreadPoolExecutor(1) as drawing, interrupts_wait() as interrupted:
            coming = drawing.submit(draw_batch, self.objects, s, self.step)
            while self.step < s.steps:
                started = time.monotonic()
                batch = coming.result()
                coming = drawing.submit(draw_batch, self.objects, s, self.step + 1)
                terms = self._take_step(batch)
                self.seconds += time.monotonic() - started
                last, ending = self.step == s.steps, interrupted()
                if last or self.step % s.log_every == 0:
                    now = time.monotonic()
                    self._note(terms, (self.step - logged_step) * s.batch / (now - logged_at))
                    logged_at, logged_step = now, self.step
                if last or ending or self.step % s.save_every == 0:
                    self._save()
                if ending and not last:
                    raise Interrupted(f"interrupted: saved at step {self.step:,}; run the same command again to go on.")

    def averaged(self) -> dict[str, Tensor]:
        """The average of the weights, which is what is shipped."""
        with self.ema.swapped_in({PHASE: self.network}):
            return {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    def _take_step(self, batch: Batch) -> dict[str, Tensor]:
        s = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(s.lr, self.step, steps=s.steps, warmup=s.warmup, decay="cosine")
        seen = batch.clues.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=uses_bf16("auto", self.device)):
            answers = self.network(seen)
        terms = losses(answers, Batch(*(field.to(self.device) for field in batch)), s)
        self.optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.ema.update({PHASE: self.network})
        self.step += 1
        return terms

    def _note(self, terms: dict[str, Tensor], rate: float) -> None:
        told = {name: float(term.detach()) for name, term in terms.items()}
        if not all(np.isfinite(value) for value in told.values()):
            raise MachineError(f"the losses at step {self.step:,} are {told}: train with a lower train.lr")
        log.append_log(self.out / "log.jsonl", {"phase": 0, "name": PHASE, "step": self.step, "losses": told})
        self.progress(TrainingProgress(PHASE, self.step, self.settings.steps, told, rate))

    def _save(self) -> None:
        state = {
            "weights": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        save_state(self.out / STATE_FILE, state, Layout(self.out).scratch)


def _weights(begin: str) -> dict[str, Tensor]:
    file = SHIPPED if begin == AS_SHIPPED else weights_file(Path(begin), "train.begin")
    return {name: value.float() for name, value in load_file(file).items()}
