"""Trackers of experiments (TensorBoard, Weights & Biases, MLflow, …), told by accelerate's classes of what is logged.

They follow log.jsonl and pictures/ as these grow, so that every training has them. They decide nothing: one that fails
is named once and left alone, and the training goes on.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factory.errors import UsageError, nearest, some
from factory.training.folder import LOG_FILE
from factory.training.grids import drawn, read_pixels
from factory.training.progress import TrainingProgress

PACKAGES = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow"),
    "comet_ml": ("comet_ml", "comet-ml"),
    "aim": ("aim", "aim"),
    "clearml": ("clearml", "clearml"),
    "dvclive": ("dvclive", "dvclive"),
    "swanlab": ("swanlab", "swanlab"),
    "trackio": ("trackio", "trackio"),
}
"""Name of a tracker → the module it needs, and what pip calls that."""

TAKES_PICTURES: Mapping[str, Mapping[str, Any]] = {
    "tensorboard": {"dataformats": "NHWC"},
    "wandb": {},
    "clearml": {},
    "swanlab": {},
}
"""Whose `log_images` takes arrays of pictures, and with which words."""

OF_TORCHRUN = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}
FOLDER = "trackers"  # in OUT, for those that write files


def check_trackers(names: Collection[str]) -> None:
    """Raises UsageError for a tracker that is not known, or whose package is not installed."""
    for name in names:
        if name in PACKAGES:
            module, package = PACKAGES[name]
            if find_spec(module) is None:
                raise UsageError(
                    f"train.trackers: {name} is not installed: run `pip install {package}`, or leave it out."
                )
        elif name not in _classes():
            raise UsageError(
                f"train.trackers: there is no tracker {name}{nearest(name, PACKAGES)}: take {some(list(PACKAGES), 9)}."
            )


class Trackers:
    """All that a training was asked for.

    configuration: what is kept of a run beside its numbers.  steps: of each phase, for numbers are put at steps of the
    whole training.  warn: is told, once, of a tracker that fails.
    """

    def __init__(
        self,
        names: Sequence[str],
        out: Path,
        *,
        configuration: Mapping[str, str],
        steps: Sequence[int],
        warn: Callable[[str], None],
    ) -> None:
        """Nothing is opened yet. Raises UsageError as `check_trackers`."""
        check_trackers(names)
        self._names, self._out, self._configuration, self._steps, self._warn = names, out, configuration, steps, warn
        self._open: dict[str, Any] | None = None
        self._at = 0  # bytes of the log that were told
        self._shown = {file for file, *_ in drawn(out)}

    def __call__(self, progress: TrainingProgress) -> None:
        """Tell what the log and the pictures have that was not told; the first time begins with the last line.

        A resumed training has dropped the lines after its saved state by then: those before were told in their day.
        """
        if self._names and self._open is None and not progress.finished:
            self._open = dict.fromkeys(self._names)
            self._each(lambda name, _: self._start(name))
            self._at = (self._out / LOG_FILE).read_bytes().rstrip(b"\n").rfind(b"\n") + 1
        self._tell()

    def close(self) -> None:
        """Tell the rest, and that it was all."""
        self._tell()
        self._each(lambda _, tracker: tracker.finish())

    def _tell(self) -> None:
        for values, step in self._news() if self._open else ():
            self._each(lambda _, tracker, values=values, step=step: tracker.log(values, step=step))
        for file, phase, called, step in drawn(self._out) if self._open else ():
            if file not in self._shown and (pixels := read_pixels(file)) is not None:
                self._shown.add(file)
                pictures, at = {f"{called}/pictures": pixels[None]}, sum(self._steps[:phase]) + step
                self._each(lambda name, tracker, pictures=pictures, at=at: _show(name, tracker, pictures, at))

    def _news(self) -> Iterator[tuple[dict[str, float], int]]:
        """Whole lines that were not told: their numbers by name, and the step of the whole training."""
        with (self._out / LOG_FILE).open("rb") as log:
            log.seek(self._at)
            whole = log.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            record = json.loads(line)
            own = {key: value for key, value in record.items() if key not in {"phase", "name", "step", "losses"}}
            values = {f"{record['name']}/{key}": value for key, value in (record["losses"] | own).items()}
            yield values, sum(self._steps[: record["phase"]]) + record["step"]

    def _start(self, name: str) -> None:
        from accelerate.state import PartialState  # noqa: PLC0415  (accelerate takes seconds)

        with _as_if_alone():
            PartialState(cpu=True)  # which its classes want before anything is logged
        kind, run = _classes()[name], self._out.resolve().name
        tracker = kind(run, str(self._out / FOLDER)) if kind.requires_logging_directory else kind(run)
        tracker.start()
        tracker.store_init_configuration(dict(self._configuration))
        assert self._open is not None
        self._open[name] = tracker

    def _each(self, call: Callable[..., object]) -> None:
        """Call it with each tracker's name and itself. One that fails is told nothing more."""
        for name, tracker in list((self._open or {}).items()):
            try:
                call(name, tracker)
            except Exception as error:  # noqa: BLE001  (whatever a tracker raises, the training is worth more)
                assert self._open is not None
                del self._open[name]
                reason = next(iter(str(error).splitlines()), "") or type(error).__name__
                self._warn(f"the tracker {name} failed ({reason}) and is told nothing more; the training goes on")


@contextmanager
def _as_if_alone() -> Iterator[None]:
    """Of several processes only the first tells trackers: accelerate must not wait for the others, nor set threads."""
    import torch  # noqa: PLC0415  (torch takes seconds)

    threads, hidden = torch.get_num_threads(), {}
    for name in OF_TORCHRUN & os.environ.keys():
        hidden[name] = os.environ.pop(name)
    try:
        yield
    finally:
        os.environ.update(hidden)
        torch.set_num_threads(threads)


def _show(name: str, tracker: Any, pictures: Mapping[str, NDArray[np.uint8]], step: int) -> None:
    if name in TAKES_PICTURES:
        tracker.log_images(pictures, step=step, **TAKES_PICTURES[name])


def _classes() -> Mapping[str, Any]:
    """Those of accelerate, and of who registered one there."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS  # noqa: PLC0415  (accelerate takes seconds)

    known: dict[str, Any] = LOGGER_TYPE_TO_CLASS
    return known
