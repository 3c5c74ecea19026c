"""What a kind of generator is: prompts and seeds in, pictures out, whatever paints them. One file a kind.

A new one is such a file with a `GeneratorKind`, and a line in kinds.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from factory.diffusion.given.settings import Given
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.greenscreen.colours import KEY_COLOURS, KeyName
from factory.models.device import Device
from factory.sample import Source

Gives: TypeAlias = Literal["mask", "picture", "matte"]
AUTO = "auto"  # as the sampler's key: each prompt's own screen


class Sampling(NamedTuple):
    """How to paint.  settings: a frozen dataclass with `key` and `size`.

    keys: the screens among which each prompt gets its own; () where all are painted on that of the settings.
    """

    settings: Any
    keys: tuple[KeyName, ...]


@dataclass(frozen=True)
class GeneratorKind:
    """A kind of generator. All but `open` only look at files: planning needs no network's weights.

    name: of its source in plans.  says: what it is, for people.
    fits: whether a folder is of this kind, told from the names in it. A kind may go by something else than a folder,
    which then stands in its place (callables.py).
    check: raises UsageError for a folder that is not whole, or not safe to read.
    facts: what is known of the folder, as name and value.
    sampling: from what a recipe changes (`sampler`) and the folder.  Raises UsageError.
    written: a prompt as the model reads it; from the prompt, the settings and the folder.
    fingerprint: SHA-256 of all that decides a pixel.
    open: the source, in a worker.
    given: raises UsageError where it cannot begin with such pictures, from them, the settings and the folder; None
    where it begins with none.
    gives: a coarse "mask" with each picture, only the "picture", which is to be keyed, or the "matte" itself.
    """

    name: str
    says: str
    fits: Callable[[Path], bool]
    check: Callable[[Path], None]
    facts: Callable[[Path], Sequence[tuple[str, str]]]
    sampling: Callable[[Mapping[str, Any], Path], Sampling]
    written: Callable[[str, Any, Path], str]
    fingerprint: Callable[[Path], str]
    open: Callable[[Plan, Device], Source]
    gives: Gives
    given: Callable[[Given, Any, Path], None] | None = None


def check_key(asked: str) -> None:
    """Raises UsageError for a screen that there is not."""
    if asked not in [*KEY_COLOURS, AUTO]:
        raise UsageError(f"--key {asked} is unknown: take one of {', '.join([*KEY_COLOURS, AUTO])}.")


def screens(keys: Sequence[KeyName]) -> str:
    """In words."""
    return f"{' and '.join(keys)} screens"
