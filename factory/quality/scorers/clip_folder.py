"""A folder with a CLIP model, looked at without loading it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from factory.errors import UsageError
from factory.models.clip_words import PAIR, word_files, words_of
from factory.models.folder import check_weights, read_mapping
from factory.models.other_inputs import CHECKER, CLIP, other_input
from factory.models.weights import shapes_in

if TYPE_CHECKING:
    from transformers import CLIPConfig

PROJECTIONS = ("visual_projection.weight", "text_projection.weight")  # of pictures and of texts
END = "<|endoftext|>"  # of every text, in every CLIP's vocabulary


def check_clip(folder: Path, setting: str) -> int:
    """How wide the embeddings of a whole and safe CLIP are.  setting: that names the folder.  Raises UsageError."""
    shapes = shapes_of(folder, setting)
    is_clip = read_mapping(folder / "config.json").get("model_type") == "clip"
    if not is_clip or not all(len(shapes.get(name, ())) == 2 for name in PROJECTIONS):
        raise UsageError(
            f"{setting} {folder} is no CLIP with both of its encoders: give a folder as transformers saves a CLIPModel "
            "(openai/clip-vit-large-patch14)."
        )
    clip_config(folder)
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
    if not word_files(folder):
        raise UsageError(f"{setting} {folder} has no tokenizer ({' and '.join(PAIR)}): copy the model whole.")
    words, size = words_of(folder), clip_config(folder).text_config.vocab_size
    if END not in words or len(words) != size:
        raise UsageError(
            f"{setting} {folder}: its tokenizer is not that of its text encoder, which knows {size} tokens: copy the "
            "model whole."
        )


def files_of(folder: Path) -> list[Path]:
    """The files that decide a score, in order."""
    return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".txt", ".safetensors"})


def clip_config(folder: Path) -> "CLIPConfig":
    """Raises UsageError where the configuration is none, or has a value that it cannot have."""
    from huggingface_hub.errors import StrictDataclassError  # noqa: PLC0415  (seconds; only where a scorer is named)
    from transformers import CLIPConfig  # noqa: PLC0415

    place = folder / "config.json"
    try:
        return CLIPConfig(**read_mapping(place))
    except (TypeError, ValueError, AttributeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{place} makes no CLIP ({reason}): copy the model again, whole.") from error
