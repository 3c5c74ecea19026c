"""Promise: trackers are told of what is logged and drawn, at the right steps; a failing one harms no training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, register_tracker_class

from factory.errors import UsageError
from factory.matting.data.settings import LoaderSettings, SetEntry
from factory.matting.train.settings import FREE, MattingTraining
from factory.training.grids import write_grid
from factory.training.log import append_log
from factory.training.progress import TrainingProgress
from factory.training.trackers import PACKAGES, Trackers, check_trackers

MOMENT = TrainingProgress("generation", 1, 10, {}, 1.0)


class Notebook(GeneralTracker):  # type: ignore[misc]
    """A tracker of a user's own. It breaks at a step, if told so."""

    name = "notebook"
    requires_logging_directory = True
    told: ClassVar[list[tuple[int, dict[str, float]]]] = []
    began: ClassVar[list[tuple[str, str, dict[str, str]]]] = []
    ended: ClassVar[list[bool]] = []
    breaks_at: ClassVar[int] = -1

    def __init__(self, run_name: str, logging_dir: str) -> None:
        super().__init__()
        self.place = run_name, logging_dir

    def start(self) -> None:
        """Nothing to open."""

    @property
    def tracker(self) -> list[Any]:
        return self.told

    def store_init_configuration(self, values: dict[str, str]) -> None:
        self.began.append((*self.place, values))

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:
        if step == self.breaks_at:
            raise ConnectionError("the network is gone\nfor good")
        self.told.append((step or 0, values))

    def finish(self) -> None:
        self.ended.append(True)


@pytest.fixture(autouse=True)
def notebook() -> Iterator[None]:
    register_tracker_class(Notebook)
    yield
    del LOGGER_TYPE_TO_CLASS["notebook"]
    Notebook.breaks_at = -1
    for seen in (Notebook.told, Notebook.began, Notebook.ended):
        seen.clear()


def log(out: Path, step: int, phase: int = 0, name: str = "generation", **losses: float) -> None:
    append_log(out / "log.jsonl", {"phase": phase, "name": name, "step": step, "losses": losses, "waiting": 0.25})


def trackers(out: Path, said: list[str], names: tuple[str, ...] = ("notebook",)) -> Trackers:
    return Trackers(names, out, configuration={"lr": "0.1"}, steps=[10, 5], warn=said.append)


def test_each_line_of_the_log_is_told_once_at_its_step_of_the_whole(tmp_path: Path) -> None:
    told = trackers(tmp_path, said := [])
    log(tmp_path, 1, noise=0.5)
    told(MOMENT)
    log(tmp_path, 1, name="validation", gsg=20.0)
    log(tmp_path, 2, noise=0.25)
    told(MOMENT)
    log(tmp_path, 3, phase=1, name="joint", noise=0.125, latent=1.0)
    told.close()
    assert [step for step, _ in Notebook.told] == [1, 1, 2, 13]
    assert Notebook.told[0][1] == {"generation/noise": 0.5, "generation/waiting": 0.25}
    assert Notebook.told[1][1]["validation/gsg"] == 20.0
    assert Notebook.told[3][1]["joint/latent"] == 1.0
    assert Notebook.began == [(tmp_path.name, str(tmp_path / "trackers"), {"lr": "0.1"})]
    assert Notebook.ended == [True]
    assert said == []


def test_a_resumed_training_goes_on_where_it_stood(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        log(tmp_path, step, noise=1.0)
    told = trackers(tmp_path, [])
    log(tmp_path, 4, noise=1.0)
    told(MOMENT)
    log(tmp_path, 5, noise=1.0)
    told(MOMENT)
    assert [step for step, _ in Notebook.told] == [4, 5]


def test_a_tracker_that_fails_is_named_once_and_left_alone(tmp_path: Path) -> None:
    Notebook.breaks_at = 2
    told = trackers(tmp_path, said := [])
    for step in range(1, 5):
        log(tmp_path, step, noise=1.0)
        told(MOMENT)
    told.close()
    assert [step for step, _ in Notebook.told] == [1]
    assert said == ["the tracker notebook failed (the network is gone) and is told nothing more; the training goes on"]
    assert Notebook.ended == []


def test_without_trackers_nothing_is_read(tmp_path: Path) -> None:
    told = trackers(tmp_path, said := [], ())
    told(MOMENT)
    told.close()
    assert said == []


def test_what_is_not_known_or_not_installed_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"no tracker tensorbord \(did you mean tensorboard\?\): take tensorboard"):
        check_trackers(["tensorbord"])
    missing = next(name for name in ("dvclive", "aim", "swanlab") if name in PACKAGES)
    with pytest.raises(UsageError, match=f"{missing} is not installed: run `pip install {missing}`"):
        check_trackers([missing])
    check_trackers(["notebook"])


def test_trackers_decide_no_weight() -> None:
    loader = LoaderSettings((SetEntry("runs/objects"),), backgrounds="photographs", crop=64)
    assert MattingTraining(loader=loader, trackers=("tensorboard",)).trackers == ("tensorboard",)
    assert "trackers" in FREE


def test_tensorboard_has_numbers_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = trackers(tmp_path, said := [], ("tensorboard",))
    log(tmp_path, 1, noise=0.5)
    told(MOMENT)
    (tmp_path / "pictures").mkdir()
    pictures = [np.full((16, 16, 3), 99, np.uint8)] * 2
    write_grid([pictures, pictures], tmp_path / "pictures" / "1-joint-0000003.png", ("a", "b"))
    told.close()
    assert said == []
    seen = EventAccumulator(str(tmp_path / "trackers" / tmp_path.name)).Reload()
    assert seen.Scalars("generation/noise")[0].value == 0.5
    assert seen.Images("joint/pictures")[0].step == 13
