"""Which screen to paint a prompt on: one whose colour the object has not, by its words and by what gates saw of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, TypeAlias

from factory.diffusion.colour_words import speaking_against
from factory.diffusion.prompt_remarks import NAMED, SHOWN
from factory.diffusion.vocabulary import without_screen
from factory.engine.plan import Plan
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.settings import settings

SCREENS = "screens"  # the column of a row's screens, in the order in which they are tried

Rows: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """How samples get their screens.

    keys: those that the model knows.  moves_on: the gates' reasons that an object of the screen's colour is turned down
    for, after which its slot goes on to the next screen.
    """

    keys: tuple[KeyName, ...]
    moves_on: tuple[str, ...]

    def key(self, item: Mapping[str, Any], reasons: Sequence[str]) -> KeyName:
        """The screen of an attempt.  item: its row.  reasons: why the slot's earlier attempts came to nothing.

        After the last screen comes the first again: another seed may do.
        """
        screens: Sequence[KeyName] = item[SCREENS]
        return screens[sum(reason in self.moves_on for reason in reasons) % len(screens)]


def planned_routing(plan: Plan) -> Routing | None:
    """How a plan chooses screens; None where all samples have that of its settings."""
    return settings(Routing, plan.settings["routing"]) if "routing" in plan.settings else None


def screens_for(prompt: str, keys: Sequence[KeyName]) -> list[KeyName]:
    """All screens that the model knows, the fittest first: a pure function of the prompt's words.

    A colour that the prompt names weighs more than the nature of a thing (a blue frog is blue). What is left undecided
    keeps the order green, blue, magenta.
    """
    return sorted((key for key in KEY_COLOURS if key in keys), key=lambda key: speaking_against(prompt, key))


def routed(rows: Rows, keys: Sequence[KeyName]) -> list[dict[str, Any]]:
    """The rows with their screens. A screen's prefix that was typed goes: the choice is left to us."""
    bare = [{**row, **{name: without_screen(row[name]) for name in ("prompt", "caption")}} for row in rows]
    return [{**row, SCREENS: screens_for(row["prompt"], keys)} for row in bare]


def shares(rows: Rows) -> str:
    """A remark: how many prompts begin on which screen, with examples of them."""
    told = []
    for key in KEY_COLOURS:
        prompts = [row["prompt"] for row in rows if row[SCREENS][0] == key]
        if prompts:
            named = [shorten(prompt, SHOWN, placeholder="…") for prompt in prompts[:NAMED]]
            told.append(f"{len(prompts):,} on {key} ({', '.join(named)}{', …' if len(prompts) > NAMED else ''})")
    return f"--key auto: of {len(rows):,} prompts begin {', '.join(told)}."
