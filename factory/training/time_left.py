"""How long a training still takes, from the pace of its last minutes."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from factory.engine.progress import clock
from factory.training.progress import TrainingProgress

WINDOW_SECONDS = 300.0  # several rounds of pictures and validations, which are part of the pace


@dataclass(frozen=True)
class Stretch:
    """A phase: its name, and how many steps of how many images it takes."""

    name: str
    steps: int
    batch: int


class TimeLeft:
    """Hears where a training stands and tells what is left, over all its phases.

    A phase is measured by itself. Those to come were not: their images are taken to last as long as those of now, and
    the time is called "about".
    """

    def __init__(self, phases: Sequence[Stretch] = (), now: Callable[[], float] = time.monotonic) -> None:
        """phases: in their order; of a training that has but one it need not be told."""
        self._phases = list(phases)
        self._now = now
        self._heard: TrainingProgress | None = None
        self._marks: deque[tuple[float, int]] = deque()

    def hear(self, progress: TrainingProgress) -> str:
        """What is left, for people: "0:25 left"; "" until two steps of the phase were heard of, and at the end."""
        before = self._heard
        if before is None or before.phase != progress.phase or before.step > progress.step:
            self._marks.clear()
            names = [phase.name for phase in self._phases]
            if progress.phase in names[before is not None :]:  # those before it are done
                del self._phases[: names.index(progress.phase, before is not None)]
        self._heard = progress
        self._marks.append((self._now(), progress.step))
        while self._marks[0][0] < self._marks[-1][0] - WINDOW_SECONDS and len(self._marks) > 2:
            self._marks.popleft()
        (then, first), (now, step) = self._marks[0], self._marks[-1]
        to_come = sum(phase.steps * phase.batch for phase in self._phases[1:])
        left = progress.steps - step + (to_come / self._phases[0].batch if to_come else 0)
        if step <= first or left <= 0:
            return ""
        return f"{'about ' if to_come else ''}{clock(left * (now - then) / (step - first))} left"
