"""What any model folder needs, looked at without loading it: found, whole, safe to read, its bytes in one hash.

Light on purpose: planning and the command line use it, and torch is seconds away.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from factory.errors import UsageError
from factory.shards.commit import sha256_of
from factory.shards.foreign_text import parse_json

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".h5", ".msgpack")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_name(name: str) -> bool:
    """Whether a name that is no folder can be meant as a model on the Hugging Face hub."""
    return HUB_NAME.fullmatch(name) is not None and not Path(name).parent.exists()


def files_fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over (path relative to the folder, SHA-256) of these files, in their order.

    Names and contents count, not times or where the folder lies.
    """
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def check_weights(folder: Path) -> None:
    """Refuse a folder whose weights are missing, pickled only, or cut short."""
    weights = sorted(folder.glob("*.safetensors"))
    pickled = sorted(path for path in folder.iterdir() if path.suffix in PICKLED)
    if pickled and not weights:
        raise UsageError(f"{pickled[0]} is pickled and could run code: convert it to safetensors and remove it")
    if not weights:
        raise UsageError(f"{folder} has no weights (*.safetensors): copy the model again, whole")
    for path in weights:
        try:
            with safe_open(path, framework="np"):
                pass
        except (SafetensorError, OSError, ValueError) as error:
            raise UsageError(f"{path} is cut short or not a safetensors file ({error}): copy it again") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file of the folder; missing or broken is a UsageError that names it."""
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing: copy the model again, whole") from error
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is not JSON ({error}): copy it again") from error
