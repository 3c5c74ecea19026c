"""All state of a training in one file: a reader finds the old one or the new one, whole."""

from collections.abc import Mapping
from errno import EINVAL
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from factory.errors import UsageError
from factory.shards.durable import appearing


def save_state(file: Path, state: Mapping[str, Any], scratch: Path) -> None:
    """Replace the state on disk.

    state: tensors, numbers, texts, and containers of them.  scratch: a folder for what a killed save leaves behind.
    """
    with appearing(file, scratch) as opened:
        torch.save(dict(state), opened)
    file.with_name(f"{file.name}.tmp").unlink(missing_ok=True)  # which a killed save of an earlier version left


def load_state(file: Path) -> dict[str, Any] | None:
    """The saved state, read as it is asked for; None where there is none. No pickled object is let in.

    Raises UsageError for a file that is no state.
    """
    if not file.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (EOFError, RuntimeError, UnpicklingError, OSError) as error:
        if isinstance(error, OSError) and error.errno != EINVAL:  # torch seeks where a cut file has not begun
            raise
        raise UsageError(f"{file} is damaged, or no state of a training: remove it to begin anew.") from error
    return state
