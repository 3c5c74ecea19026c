"""The loop of a training: batches in, weights and their average out, all state in one file.

What a batch holds is a function of the step, and so is what a network draws (dropout): a killed training goes on from
its last saved state to the very weights of an uninterrupted one (on a CPU, for equal software and threads). Several
processes each take their part of every batch (ranks.py); gradients are averaged, and the first of them writes.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from factory.errors import Interrupted, MachineError, UsageError
from factory.shards.layout import Layout
from factory.training import log
from factory.training.ema import MovingAverage
from factory.training.folder import LOG_FILE, STATE_FILE
from factory.training.interrupts import interrupts_wait
from factory.training.progress import TrainingProgress
from factory.training.ranks import Ranks
from factory.training.state import load_state, save_state

VALIDATION = "validation"

B = TypeVar("B")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a training goes on, whatever it teaches."""

    name: str  # of the network, in log and state
    steps: int
    batch: int  # samples of a step, of all processes together
    ema: float
    clip_norm: float  # the longest gradient; 0 for any
    seed: int
    log_every: int
    save_every: int
    validate_every: int = 0  # 0: never
    parts: int = 1  # that a batch is taken in, one after the other


class Lesson(Protocol[B]):
    """What is taught."""

    @property
    def network(self) -> nn.Module:
        """On its device."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Each of its groups has a `base_lr`."""

    def batches(self, step: int) -> Generator[B, None, None]:
        """What this process takes of the batches from a step on, `Pace.parts` a step; closed at the end."""

    def losses(self, network: nn.Module, batch: B) -> dict[str, Tensor]:
        """The weighted terms whose sum is lowered.  network: what to call in the place of the lesson's own."""

    def rate(self, base: float, step: int) -> float:
        """The learning rate of a step."""

    def validate(self) -> dict[str, float]:
        """What the network, with averaged weights by then, reaches on what it does not learn from."""


class Loop(Generic[B]):
    """The network, its average and the step: what the saved state keeps.

    seconds, waited: of all steps so far, and of these how long the training waited for its data.
    """

    def __init__(
        self,
        lesson: Lesson[B],
        pace: Pace,
        out: Path,
        progress: Callable[[TrainingProgress], None],
        ranks: Ranks = Ranks(),  # noqa: B008  (frozen)
    ) -> None:
        """Take up the state that `out` holds, if there is one. Raises UsageError where it is another network's."""
        self.lesson, self.pace, self.out, self.progress, self.ranks = lesson, pace, out, progress, ranks
        self.device = next(lesson.network.parameters()).device
        self.ema = MovingAverage(pace.ema)
        self.step, self.seconds, self.waited = 0, 0.0, 0.0
        if (state := load_state(out / STATE_FILE)) is not None:
            if {name: value.shape for name, value in state["weights"].items()} != {
                name: value.shape for name, value in lesson.network.state_dict().items()
            }:
                raise UsageError(f"{out} was begun with an earlier version's network: train into another --out.")
            lesson.network.load_state_dict(state["weights"])
            lesson.optimizer.load_state_dict(state["optimizer"])
            self.ema.restore(state["ema"], self.device)
            self.step, self.seconds, self.waited = state["step"], state["seconds"], state.get("waited", 0.0)
        if ranks.is_first:
            log.rewind_log(out / LOG_FILE, 0, self.step)

    def run(self) -> None:
        """All steps that are left. SIGINT and SIGTERM save first: raises Interrupted."""
        p, network = self.pace, self._shared()
        told = time.monotonic(), self.step, self.waited
        self.lesson.network.train()
        with interrupts_wait() as interrupted, closing(self.lesson.batches(self.step)) as batches:
            while self.step < p.steps:
                started = time.monotonic()
                terms = self._take_step(network, batches)
                self.seconds += time.monotonic() - started
                last, ending = self.step == p.steps, self.ranks.agree(interrupted(), self.device)
                logging = last or self.step % p.log_every == 0
                saving = last or ending or self.step % p.save_every == 0
                if logging or saving:
                    losses = self._finite(terms)
                if logging:
                    told = self._note(losses, *told)
                if p.validate_every and (last or self.step % p.validate_every == 0):
                    self._validate()
                if saving:
                    self._save()
                if ending and not last:
                    raise Interrupted(f"interrupted: saved at step {self.step:,}; run the same command again to go on.")

    def averaged(self) -> dict[str, Tensor]:
        """The average of the weights, which is what is shipped, with the network's other tensors. On the CPU."""
        with self.ema.swapped_in({self.pace.name: self.lesson.network}):
            return {name: value.detach().cpu().clone() for name, value in self.lesson.network.state_dict().items()}

    def _shared(self) -> nn.Module:
        """The network, or what averages its gradients over all processes."""
        if self.ranks.count == 1:
            return self.lesson.network
        return DistributedDataParallel(
            self.lesson.network, device_ids=[self.device.index] if self.device.type == "cuda" else None
        )

    def _take_step(self, network: nn.Module, batches: Iterator[B]) -> dict[str, Tensor]:
        """One step; returns its losses, the mean over its parts."""
        lesson, parts = self.lesson, self.pace.parts
        for group in lesson.optimizer.param_groups:
            group["lr"] = lesson.rate(group["base_lr"], self.step)
        torch.manual_seed(_seed(self.pace.seed, self.step, self.ranks.number))
        lesson.optimizer.zero_grad()
        means: dict[str, Tensor] = {}
        for part in range(parts):
            asked = time.monotonic()
            batch = next(batches)
            self.waited += time.monotonic() - asked
            more = part < parts - 1  # to come, before gradients are averaged
            with network.no_sync() if more and isinstance(network, DistributedDataParallel) else nullcontext():
                terms = lesson.losses(network, batch)
                torch.autograd.backward(torch.stack(list(terms.values())).sum() / parts)
            for name, value in terms.items():
                means[name] = means.get(name, 0) + value.detach() / parts
        if self.pace.clip_norm:
            nn.utils.clip_grad_norm_(lesson.network.parameters(), self.pace.clip_norm)
        lesson.optimizer.step()
        self.ema.update({self.pace.name: lesson.network})
        self.step += 1
        return means

    def _finite(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """The losses of a step as numbers. Raises MachineError where they are none any more: such are never saved."""
        losses = {name: float(self.ranks.mean(value)) for name, value in terms.items()}
        if not all(math.isfinite(value) for value in losses.values()):
            raise MachineError(f"the losses at step {self.step:,} are {losses}: train with a lower train.lr")
        return losses

    def _note(self, losses: dict[str, float], at: float, step: int, waited: float) -> tuple[float, int, float]:
        """Losses to log.jsonl and to the caller, with what share of the time since `at` was spent waiting for data."""
        now = time.monotonic()
        waiting, rate = (self.waited - waited) / (now - at), (self.step - step) * self.pace.batch / (now - at)
        self._write(self.pace.name, losses, waiting=round(waiting, 4))
        if self.ranks.is_first:
            self.progress(TrainingProgress(self.pace.name, self.step, self.pace.steps, losses, rate, waiting=waiting))
        return now, self.step, self.waited

    def _validate(self) -> None:
        if self.ranks.is_first:
            network = self.lesson.network.eval()
            with self.ema.swapped_in({self.pace.name: network}), torch.inference_mode():
                told = self.lesson.validate()
            network.train()
            self._write(VALIDATION, told)
        self.ranks.wait()

    def _write(self, name: str, losses: dict[str, float], **more: float) -> None:
        if self.ranks.is_first:
            record = {"phase": 0, "name": name, "step": self.step, "losses": losses, **more}
            log.append_log(self.out / LOG_FILE, record)

    def _save(self) -> None:
        if not all(bool(value.isfinite().all()) for value in self.lesson.network.parameters()):
            raise MachineError(f"the weights after step {self.step:,} are no numbers: train with a lower train.lr")
        if self.ranks.is_first:
            state = {
                "weights": self.lesson.network.state_dict(),
                "optimizer": self.lesson.optimizer.state_dict(),
                "ema": self.ema.state(),
                "step": self.step,
                "seconds": self.seconds,
                "waited": self.waited,
            }
            save_state(self.out / STATE_FILE, state, Layout(self.out).scratch)


def _seed(*of: int) -> int:
    return int(np.random.SeedSequence(of).generate_state(1, np.uint64)[0]) & (2**63 - 1)
