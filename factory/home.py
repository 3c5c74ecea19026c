"""The home folder in paths as people write them. Apart from the settings, for `--help` loads no pydantic."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def at_home(value: Any) -> Any:
    """JSON, or a path, with the home folder in place of the `~` or `~user` that a string begins with.

    Shells expand it only where it begins a word, YAML never does; a folder named `~` is nobody's wish.
    """
    match value:
        case str() | Path():
            return type(value)(os.path.expanduser(value))  # noqa: PTH111  (leaves alone what names no user)
        case Mapping():
            return {name: at_home(inner) for name, inner in value.items()}
        case list() | tuple():
            return [at_home(inner) for inner in value]
        case _:
            return value
