"""Promise: the live line of a training says how long it still takes, over all its phases, and does not jump."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.engine.progress import clock
from factory.run.train import TrainingLine
from factory.training.progress import TrainingProgress
from factory.training.time_left import WINDOW_SECONDS, Stretch, TimeLeft


def told(steps: Sequence[tuple[float, TrainingProgress]], phases: Sequence[Stretch] = ()) -> list[str]:
    """What is said at each of these moments."""
    times = iter([at for at, _ in steps])
    left = TimeLeft(phases, lambda: next(times))
    return [left.hear(progress) for _, progress in steps]


def at(step: int, steps: int = 100, phase: str = "joint") -> TrainingProgress:
    return TrainingProgress(phase, step, steps, {"noise": 1.0}, 8.0)


@given(st.floats(0.01, 100), st.integers(1, 20), st.integers(2, 30))
def test_at_an_even_pace_the_time_left_is_exact(seconds: float, every: int, marks: int) -> None:
    heard = [(n * every * seconds, at(n * every, steps=1000)) for n in range(1, marks)]
    last = marks - 1
    if last > 1:
        assert told(heard)[-1] in {
            f"{clock((1000 - last * every) * seconds * (1 + slip))} left" for slip in (-1e-9, 0, 1e-9)
        }
    assert told(heard)[0] == ""


def test_phases_to_come_are_counted_by_their_images_and_called_about() -> None:
    phases = [Stretch("autoencoder", 100, 4), Stretch("generation", 100, 8), Stretch("joint", 100, 16)]
    first = told([(0, at(10, phase="autoencoder")), (10, at(20, phase="autoencoder"))], phases)
    assert first[-1] == "about 11:20 left", "80 steps, and images of 200 and 400"
    resumed = told([(0, at(10, phase="generation")), (10, at(20, phase="generation"))], phases)
    assert resumed[-1] == "about 4:40 left", "80 steps, and images of 200"
    assert told([(0, at(10)), (10, at(20))], phases)[-1] == "1:20 left"


def test_phases_of_one_name_come_one_after_the_other() -> None:
    phases = [Stretch("joint", 100, 8), Stretch("joint", 100, 8)]
    said = told([(0, at(90)), (10, at(100)), (11, at(10)), (21, at(20))], phases)
    assert said[1:] == ["about 1:40 left", "", "1:20 left"]


def test_a_new_phase_is_measured_by_itself() -> None:
    slow, fast = at(0, phase="autoencoder"), at(50, phase="autoencoder")
    said = told([(0, slow), (500, fast), (501, at(10)), (511, at(20))])
    assert said[1:] == ["8:20 left", "", "1:20 left"]


def test_drawing_pictures_now_and_then_does_not_make_it_jump() -> None:
    """A step a second, and 20 seconds of pictures at every hundredth."""
    heard = [(step + 20 * (step // 100), at(step, steps=5000)) for step in range(10, 2000, 10)]
    said = [one for one in told(heard) if one]
    seconds = [sum(60**n * int(part) for n, part in enumerate(reversed(one.split()[0].split(":")))) for one in said]
    settled = seconds[int(WINDOW_SECONDS // 10) :]
    assert all(abs(now - before) < 0.1 * before for before, now in itertools.pairwise(settled))
    assert settled[-1] == pytest.approx((5000 - 1990) * 1.2, rel=0.08)


def test_the_line_of_a_training_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    line = TrainingLine()
    for step in (1, 2, 3):
        line(at(step))
    line(TrainingProgress("finished", 0, 0, {}, 0.0, finished=True))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "joint 1/100 · 8.00 images/s · noise 1.0000"
    assert said[-2].startswith("joint 3/100 · 8.00 images/s · 0:01 left · noise")
