"""A folder with a CLIP model, looked at without loading it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from factory.errors import UsageError
from factory.models.folder import check_weights, read_json
from factory.models.other_inputs import CHECKER, CLIP, other_input
from factory.models.weights import shapes_in

PROJECTIONS = ("visual_projection.weight", "text_projection.weight")  # of pictures and of texts
END = "<|endoftext|>"  # of every text, in every CLIP's vocabulary


def check_clip(folder: Path, setting: str) -> int:
    """How wide the embeddings of a whole and safe CLIP are.  setting: that names the folder.  Raises UsageError."""
    shapes = shapes_of(folder, setting)
    if _config(folder).get("model_type") != "clip" or not all(len(shapes.get(name, ())) == 2 for name in PROJECTIONS):
        raise UsageError(
            f"{setting} {folder} is no CLIP with both of its encoders: give a folder as transformers saves a CLIPModel "
            "(openai/clip-vit-large-patch14)."
        )
    return shapes[PROJECTIONS[0]][0]


def shapes_of(folder: Path, setting: str) -> Mapping[str, tuple[int, ...]]:
    """The shapes of all weights in a folder. Raises UsageError where it is not there, not whole or not safe."""
    if not folder.is_dir():
        raise UsageError(
            f"{setting} {folder}: there is no such folder, and nothing is downloaded unasked; fetch the model with "
            "`hf download NAME --local-dir FOLDER` and give that folder."
        )
    if (other := other_input(folder)) not in ("", CLIP, CHECKER):
        raise UsageError(f"{setting} {folder} is {other}.")
    check_weights(folder)
    return {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in shapes_in(file).items()}


def check_tokenizer(folder: Path, setting: str) -> None:
    """Refuse a folder without the words of its text encoder: transformers would make up a tokenizer of two tokens."""
    own, whole = folder / "vocab.json", folder / "tokenizer.json"
    if own.is_file() and (folder / "merges.txt").is_file():
        words = read_json(own)
    elif whole.is_file():
        words = _inner(_inner(read_json(whole), "model"), "vocab")
    else:
        raise UsageError(f"{setting} {folder} has no tokenizer (vocab.json and merges.txt): copy the model whole.")
    size = _inner(_config(folder), "text_config").get("vocab_size", 49408)  # what CLIP's configuration leaves unsaid
    if not isinstance(words, dict) or END not in words or len(words) != size:
        raise UsageError(
            f"{setting} {folder}: its tokenizer is not that of its text encoder, which knows {size} tokens: copy the "
            "model whole."
        )


def files_of(folder: Path) -> list[Path]:
    """The files that decide a score, in order."""
    return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".txt", ".safetensors"})


def _config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / "config.json")
    return config if isinstance(config, dict) else {}


def _inner(content: Any, name: str) -> Any:
    found = content.get(name) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}
