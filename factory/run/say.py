"""What a run says to people while it works."""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

Say: TypeAlias = Callable[[str], None]


def say_on_stderr(sentence: str) -> None:
    with suppress(OSError):  # whoever read it is gone; the run goes on
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
