"""What `generate` lays over a model and puts beside it: adapters, words, given pictures, control networks, styles."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from factory.diffusion.control.planning import plan_controls
from factory.diffusion.control.settings import Control, Style
from factory.diffusion.control.style_planning import plan_styles
from factory.diffusion.generators.kind import GeneratorKind, Sampling
from factory.diffusion.given.pictures import plan_given
from factory.diffusion.given.settings import Given
from factory.diffusion.lora.laying import plan_loras
from factory.diffusion.lora.lowering import plan_lowering
from factory.diffusion.lora.settings import Lora
from factory.diffusion.new_words import Word, plan_words
from factory.diffusion.row_pictures import check_columns
from factory.diffusion.sample.few_steps import FEW_STEPS
from factory.engine.draft import Draft
from factory.errors import UsageError
from factory.greenscreen.colours import KeyName
from factory.jobs.no_screens import NO_SCREEN
from factory.quality.gates import GSG, OF_THE_KEY, UNEVEN, UNTRUSTED
from factory.settings import Strict


class Additions(Strict):
    """The part of a recipe that names them."""

    loras: tuple[Lora, ...] = ()  # adapters that are laid over the model, in any order
    lower_loras: Annotated[float, Field(ge=0, lt=1)] | None = None  # times their weights, where they bend the screen
    allow_partial: bool = False  # take of an adapter what fits, though some of its keys go unused
    words: tuple[Word, ...] = ()  # that the model learns from files of vectors
    given: Given | None = None  # columns of the prompt list that name the pictures to begin with
    controls: tuple[Control, ...] = ()  # networks that are shown where things are, a picture for each prompt
    styles: tuple[Style, ...] = ()  # and what they look like


def check_additions(recipe: Additions, kind: GeneratorKind) -> None:
    """Raises UsageError for what does not go with a kind of generator."""
    if kind.gives == "matte" and (recipe.controls or recipe.styles):
        raise UsageError(
            f"--control and --style are for models that paint on a screen, not for {kind.name}: leave out."
        )
    if recipe.given and kind.given is None:
        raise UsageError(f"--given: {kind.says}, and begins with no picture: take a DiffuMatting or a plain model.")
    if recipe.given and recipe.controls and kind.gives == "picture":
        raise UsageError("--given and --control: plain pipelines take one of them: leave the other out.")


def picture_columns(recipe: Additions, prompts: str) -> tuple[str, ...]:
    """The columns of the prompt list that name pictures. Raises UsageError."""
    shown = [*(own.column for own in recipe.controls), *(own.column for own in recipe.styles)]
    columns = tuple(dict.fromkeys([*(recipe.given.columns if recipe.given else ()), *shown]))
    check_columns(columns, prompts)
    return columns


def beginning(
    given: Given | None, asked: dict[str, Any], sampling: Sampling, kind: GeneratorKind, folder: Path
) -> Sampling:
    """How to paint, where sampling begins with given pictures. Raises UsageError.

    asked: what the recipe says of the sampler.
    """
    if given is None or kind.given is None:
        return sampling
    if "start" in asked:
        raise UsageError("sampler.start: with --given it is the pictures that sampling starts from: leave it out.")
    kind.given(given, sampling.settings, folder)
    return sampling._replace(settings=replace(sampling.settings, start="noise"))


def plan_additions(recipe: Additions, folder: Path, kind: GeneratorKind, keys: Sequence[KeyName], draft: Draft) -> None:
    """Freeze them. Raises UsageError for files that do not fit the model whose configurations lie in the folder.

    keys: the screens among which each prompt has its own, if it has.
    """
    plan_given(recipe.given, draft)
    plan_words(recipe.words, folder, draft)
    plan_loras(recipe.loras, folder, draft, partial=recipe.allow_partial)
    few_steps = draft.settings["sampler"].get("sampler") in FEW_STEPS
    plan_lowering(recipe.lower_loras, _of_a_bent_screen(kind, keys), recipe.loras, draft, few_steps=few_steps)
    plan_controls(recipe.controls, folder, draft, plain=kind.gives == "picture")
    plan_styles(recipe.styles, folder, draft, plain=kind.gives == "picture")


def _of_a_bent_screen(kind: GeneratorKind, keys: Sequence[KeyName]) -> tuple[str, ...]:
    """The reasons that speak against adapters. An object of the screen's colour first tries the other screens.

    What was keyed stands on a pure screen when it is judged: there only the keyer tells that one was bent.
    """
    if kind.gives == "matte":
        return ()
    bent = (UNTRUSTED.reason,) if kind.gives == "picture" else (GSG.reason, UNEVEN.reason)
    return (*bent, NO_SCREEN, *(() if keys else OF_THE_KEY))
