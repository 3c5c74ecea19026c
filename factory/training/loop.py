"""The loop of a training: batches in, weights and their average out, all state in one file.

What a batch holds is a function of the step, and so is what a network draws (dropout): a killed training goes on from
its last saved state to the very weights of an uninterrupted one (on a CPU, for equal software and threads). Several
processes each take their part of every batch (ranks.py); gradients are averaged, and the first of them writes.
A training of several phases runs a loop for each, one after the other.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

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
from factory.training.state import save_state

B = TypeVar("B")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a training goes on, whatever it teaches."""

    name: str  # of the network or the phase, in log and sentences
    steps: int
    batch: int  # samples of a step, of all processes together
    ema: float
    clip_norm: float  # the longest gradient of a module; 0 for any
    seed: int
    log_every: int
    save_every: int
    validate_every: int = 0  # and after the last step; 0: never
    parts: int = 1  # that a batch is taken in, one after the other
    some_idle: bool = False  # whether there are weights that no loss reaches
    ema_in_files: bool = False  # where averages of weights do not fit into memory
    phase: int = 0  # of several, each with its steps


class Lesson(Protocol[B]):
    """What is taught."""

    @property
    def network(self) -> nn.Module:
        """On its device; all that learns is in it."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """What of the network learns, by name. Each is clipped by itself, averaged, and kept in the saved state."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Each of its groups has a `base_lr`."""

    def batches(self, step: int) -> Generator[B, None, None]:
        """What this process takes of the batches from a step on, `Pace.parts` a step; closed at the end."""

    def losses(self, network: nn.Module, batch: B) -> dict[str, Tensor]:
        """The weighted terms whose sum is lowered.  network: what to call in the place of the lesson's own."""

    def rate(self, base: float, step: int) -> float:
        """The learning rate of a step."""

    def validate(self, step: int) -> dict[str, float]:
        """What the network, with averaged weights by then, reaches on what it does not learn from, after a step."""


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
        *,
        state: Mapping[str, Any] | None = None,
        before: "Loop[Any] | None" = None,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        """Take up a saved state of this phase, if there is one, or where the phase before ended.

        beside: what the state keeps for the whole training. Raises UsageError where the state is another network's.
        """
        self.lesson, self.pace, self.out, self.progress, self.ranks = lesson, pace, out, progress, ranks
        self.device = next(lesson.network.parameters()).device
        self.ema: MovingAverage = before.ema if before else _average(pace, out)
        self.step = 0
        self.seconds: float = before.seconds if before else 0.0
        self.waited: float = before.waited if before else 0.0
        self.beside = dict(beside or {})
        if state is not None:
            self._take_up(state)
        if ranks.is_first:
            log.rewind_log(out / LOG_FILE, pace.phase, self.step)

    def run(self) -> None:
        """All steps that are left. SIGINT and SIGTERM save first: raises Interrupted."""
        p, network = self.pace, self._shared()
        self.lesson.network.train()
        # Killed between a save and this? The first knows: the others see its log late, on some file systems
        if self.ranks.agree(self.ranks.is_first and self._must_validate() and not self._has_validated(), self.device):
            self._validate()
        told = time.monotonic(), self.step, self.waited
        with interrupts_wait() as interrupted, closing(self.lesson.batches(self.step)) as batches:
            while self.step < p.steps:
                started = time.monotonic()
                terms, norms = self._take_step(network, batches)
                self.seconds += time.monotonic() - started
                last, ending = self.step == p.steps, self.ranks.agree(interrupted(), self.device)
                logging = last or self.step % p.log_every == 0
                saving = last or ending or self.step % p.save_every == 0
                if logging or saving:
                    losses = self._finite(terms, norms)
                if logging:
                    told = self._note(losses, *told)
                if saving:
                    self._save()
                if ending:
                    self.ranks.wait()  # for the first, which writes: when the others end, torchrun ends it
                    raise Interrupted(
                        f"interrupted: {p.name} is saved at step {self.step:,}; run the same command again to go on."
                    )
                if self._must_validate():
                    self._validate()

    def averaged(self) -> dict[str, Tensor]:
        """The average of the weights, which is what is shipped, with the network's other tensors. On the CPU.

        Of several processes the first alone has it.
        """
        with self.ema.swapped_in(self.lesson.modules):
            return {name: value.detach().cpu().clone() for name, value in self.lesson.network.state_dict().items()}

    def _take_up(self, state: Mapping[str, Any]) -> None:
        modules = self.lesson.modules
        weights = state["weights"]
        if {name: _shapes(own) for name, own in weights.items()} != {
            name: _shapes(module.state_dict()) for name, module in modules.items()
        }:
            raise UsageError(f"{self.out} was begun with an earlier version's network: train into another --out.")
        for name, module in modules.items():
            module.load_state_dict(weights[name])
        self.lesson.optimizer.load_state_dict(state["optimizer"])
        if self.ranks.is_first:
            self.ema.restore(state["ema"], self.device)
        self.step, self.seconds, self.waited = state["step"], state["seconds"], state.get("waited", 0.0)

    def _shared(self) -> nn.Module:
        """The network, or what averages its gradients over all processes."""
        if self.ranks.count == 1:
            return self.lesson.network
        return DistributedDataParallel(
            self.lesson.network,
            device_ids=[self.device.index] if self.device.type == "cuda" else None,
            find_unused_parameters=self.pace.some_idle,
        )

    def _take_step(self, network: nn.Module, batches: Iterator[B]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One step; returns its losses, the mean over its parts, and how long each module's gradient was."""
        lesson, parts = self.lesson, self.pace.parts
        for group in lesson.optimizer.param_groups:
            group["lr"] = lesson.rate(group["base_lr"], self.step)
        torch.manual_seed(_seed(self.pace.seed, self.step, self.ranks.number, self.pace.phase))
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
        norms = {
            name: nn.utils.clip_grad_norm_(module.parameters(), self.pace.clip_norm)
            for name, module in lesson.modules.items()
            if self.pace.clip_norm
        }
        lesson.optimizer.step()
        lesson.optimizer.zero_grad()  # gives the memory back before the average, a save or a look ask for some
        if self.ranks.is_first:  # which shows and ships it
            self.ema.update(lesson.modules)
        self.step += 1
        return means, norms

    def _finite(self, terms: dict[str, Tensor], norms: dict[str, Tensor]) -> dict[str, float]:
        """The losses of a step as numbers. Raises MachineError where they are none any more: such are never saved."""
        losses = {name: float(self.ranks.mean(value)) for name, value in terms.items()}
        gradients = {f"gradient of {name}": float(norm) for name, norm in norms.items()}
        ill = [f"{name} {value}" for name, value in (losses | gradients).items() if not math.isfinite(value)]
        if ill:
            raise self._no_numbers(f"{', '.join(ill)}")
        return losses

    def _no_numbers(self, what: str) -> MachineError:
        return MachineError(
            f"{self.pace.name}, step {self.step:,}: what is learned is not finite any more ({what}): train with "
            "a lower lr, in another --out"
        )

    def _note(self, losses: dict[str, float], at: float, step: int, waited: float) -> tuple[float, int, float]:
        """Losses to log.jsonl and to the caller, with what share of the time since `at` was spent waiting for data."""
        now = time.monotonic()
        waiting, rate = (self.waited - waited) / (now - at), (self.step - step) * self.pace.batch / (now - at)
        self._write(self.pace.name, losses, waiting=round(waiting, 4), images_per_second=round(rate, 3))
        if self.ranks.is_first:
            self.progress(TrainingProgress(self.pace.name, self.step, self.pace.steps, losses, rate, waiting=waiting))
        return now, self.step, self.waited

    def _must_validate(self) -> bool:
        every = self.pace.validate_every
        return bool(every and self.step and (self.step == self.pace.steps or self.step % every == 0))

    def _has_validated(self) -> bool:
        last = [(record["phase"], record["step"]) for record in log.read_log(self.out / LOG_FILE) if _validates(record)]
        return (self.pace.phase, self.step) in last[-1:]

    def _validate(self) -> None:
        if self.ranks.is_first:
            lesson = self.lesson
            lesson.network.eval()
            with self.ema.swapped_in(lesson.modules), torch.no_grad():
                told = lesson.validate(self.step)
            lesson.network.train()
            self._write(log.VALIDATION, told)
        self.ranks.wait()

    def _write(self, name: str, losses: dict[str, float], **more: float) -> None:
        if self.ranks.is_first:
            record = {"phase": self.pace.phase, "name": name, "step": self.step, "losses": losses, **more}
            log.append_log(self.out / LOG_FILE, record)

    def _save(self) -> None:
        modules = self.lesson.modules
        ill = [n for n, module in modules.items() if not all(bool(v.isfinite().all()) for v in module.parameters())]
        if ill:
            raise self._no_numbers(f"weights of {', '.join(ill)}")
        if self.ranks.is_first:
            state = {
                **self.beside,
                "phase": self.pace.phase,
                "weights": {name: module.state_dict() for name, module in modules.items()},
                "optimizer": self.lesson.optimizer.state_dict(),
                "ema": self.ema.state(),
                "step": self.step,
                "seconds": self.seconds,
                "waited": self.waited,
            }
            save_state(self.out / STATE_FILE, state, Layout(self.out).scratch)
            self.ema.release()


def _average(pace: Pace, out: Path) -> MovingAverage:
    return MovingAverage(pace.ema, Layout(out).scratch if pace.ema_in_files else None)


def _shapes(weights: Any) -> Any:
    """Of a module's; an earlier version's state had one network's weights under their own names."""
    return {name: value.shape for name, value in weights.items()} if isinstance(weights, Mapping) else None


def _validates(record: Mapping[str, Any]) -> bool:
    return bool(record["name"] == log.VALIDATION)


def _seed(*of: int) -> int:
    return int(np.random.SeedSequence(of).generate_state(1, np.uint64)[0]) & (2**63 - 1)
