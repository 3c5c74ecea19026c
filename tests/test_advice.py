"""Promise: a training whose numbers go wrong says what to change; one that wavers is left in peace."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.training.advice import GSG_MINDED, RISES, SHARE, advice, has_worsened


def told(
    measure: str, values: Sequence[float], losses: Sequence[float], phase: int = 0, name: str = "joint"
) -> list[dict[str, Any]]:
    """A log: between each two validations a step with that loss."""
    lines: list[dict[str, Any]] = []
    for number, (value, loss) in enumerate(zip(values, losses, strict=True), 1):
        lines.append({"phase": phase, "name": name, "step": number * 10, "losses": {"noise": loss}})
        lines.append({"phase": phase, "name": "validation", "step": number * 10, "losses": {measure: value}})
    return lines


FALLING, RISING = [0.5, 0.4, 0.3, 0.2], [0.2, 0.3, 0.4, 0.5]


def test_screens_that_get_less_pure_are_told() -> None:
    said = advice(told("gsg", [4.0, 6.0, 8.0, 9.5], FALLING))
    assert said.startswith("gsg went from 4 to 9.5 in 3 validations, steps 10 to 40: screens get less pure")
    assert "green_weight" in said
    assert advice(told("gsg", [1.0, 1.5, 2.0, 3.0], FALLING)) == "", "no eye sees it"


def test_learning_by_heart_and_long_steps_are_told_apart() -> None:
    assert "by heart; take more data or fewer steps" in advice(told("mse", [1, 2, 3, 4], FALLING))
    assert "steps are too long; lower the lr" in advice(told("mse", [1, 2, 3, 4], RISING))
    assert "steps are too long" in advice(told("levels", [1, 2, 3, 4], FALLING)), "of pictures that are learned from"


def test_of_an_overlap_less_is_worse() -> None:
    assert advice(told("iou", [0.9, 0.8, 0.7, 0.6], FALLING))
    assert advice(told("iou", [0.6, 0.7, 0.8, 0.9], FALLING)) == ""


def test_numbers_that_are_none_are_told() -> None:
    lines = [{"phase": 0, "name": "generation", "step": 7, "losses": {"noise": float("nan"), "green": 1.0}}]
    assert advice(lines) == "noise at step 7 is no number: train with a lower lr, in another --out."


def test_only_the_phase_that_goes_on_counts() -> None:
    before = told("gsg", [10, 20, 30, 40], RISING, name="generation")
    assert advice(before)
    assert advice(before + told("gsg", [30], [0.1], phase=1)) == ""


def test_an_empty_log_says_nothing() -> None:
    assert advice([]) == ""
    assert advice([{"phase": 0, "name": "validation", "step": 1, "losses": {}}]) == ""


positive = st.floats(GSG_MINDED, 1e6)


@given(st.lists(positive, max_size=20), positive)
def test_a_last_validation_that_is_no_worse_is_never_complained_of(values: list[float], last: float) -> None:
    assert not has_worsened("mse", [*values, last, last])
    assert not has_worsened("mse", [*values, 2 * last, last])


@given(st.lists(positive, max_size=20), positive, st.sampled_from(["mse", "gsg", "levels"]))
def test_a_steady_rise_always_is(values: list[float], first: float, measure: str) -> None:
    rise = [first * (1 + 1.01 * SHARE * number / RISES) for number in range(RISES + 1)]
    assert has_worsened(measure, [*values, *rise])


@pytest.mark.parametrize("number", range(RISES + 1))
def test_fewer_validations_say_nothing(number: int) -> None:
    assert not has_worsened("mse", [1.0, 2.0, 3.0][:number])
