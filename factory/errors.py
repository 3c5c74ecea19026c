"""The errors a user may meet. Each is one sentence that names the file or flag and the mend."""

import shlex
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

NAMED = 5  # of many, in one sentence


class FactoryError(Exception):
    """Base of all errors that are shown without a traceback. `exit_code` is the process's."""

    exit_code = 1


class UsageError(FactoryError):
    """Wrong flags, recipe or input: nothing was started. Exit code 2."""

    exit_code = 2


class MachineError(FactoryError):
    """The disk or too many machines failed: the run stops, shards in flight stay uncommitted. Exit code 1."""


class InputChanged(FactoryError):
    """A frozen input differs from what was planned: the run stops and names it. Exit code 1."""


class Interrupted(FactoryError):
    """SIGINT or SIGTERM: shards in flight are given up, committed ones stay. Exit code 130."""

    exit_code = 130


class DataError(Exception):
    """One item's data is bad: it becomes a manifest row and costs nothing else.

    kind: a short word that is counted ("undecodable", "size", "nan", "empty" …).
    The message is our own sentence, without paths of this machine.
    final: whether another attempt at the item would fail of the same.
    """

    def __init__(self, kind: str, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.kind, self.final = kind, final


def some(names: Sequence[str], named: int = NAMED) -> str:
    """The first few of many, for a sentence, and how many more there are."""
    rest = len(names) - named
    return ", ".join(names[:named]) + (f" and {rest:,} more" if rest > 0 else "")


def count_of(number: int, one: str, many: str) -> str:
    """A number with its noun: "1 shard", "2 shards"."""
    return f"{number:,} {one if number == 1 else many}"


def nearest(name: str, known: Iterable[str]) -> str:
    """What of the known was probably meant, to be said in brackets; "" where nothing is like it."""
    names = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), names, n=1, cutoff=0.53)  # below: as like as red and green
    return f" (did you mean {names[close[0]]}?)" if close else ""


def quoted(path: Path | str) -> str:
    """A path in a command that people paste into a shell."""
    return shlex.quote(str(path))


def what_failed(error: OSError, place: Path) -> str:
    """An error of the file system in people's words, with the file; `place` stands for it where none is known."""
    return f"{error.strerror or error}: {place if error.filename is None else error.filename}"
