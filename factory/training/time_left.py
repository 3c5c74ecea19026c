"""How long a training still takes, from the pace of its last minutes."""

import time
from collections import deque
from collections.abc import Callable

from factory.engine.progress import clock
from factory.training.progress import TrainingProgress

WINDOW_SECONDS = 300.0  # several rounds of pictures and validations, which are part of the pace


class TimeLeft:
    """Hears where a training stands and tells what is left, over all its phases.

    A phase is measured by itself. Those to come were not: their images are taken to last as long as those of now, and
    the time is called "about".
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._phase = ""
        self._marks: deque[tuple[float, int]] = deque()

    def hear(self, progress: TrainingProgress) -> str:
        """What is left, for people: "0:25 left"; "" until two steps of the phase were heard of, and at the end."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            self._marks.clear()
        self._marks.append((self._now(), progress.step))
        while self._marks[0][0] < self._marks[-1][0] - WINDOW_SECONDS and len(self._marks) > 2:
            self._marks.popleft()
        (then, before), (now, step) = self._marks[0], self._marks[-1]
        left = progress.steps - step + progress.later
        if step <= before or left <= 0:
            return ""
        about = "about " if progress.later else ""
        return f"{about}{clock(left * (now - then) / (step - before))} left"
