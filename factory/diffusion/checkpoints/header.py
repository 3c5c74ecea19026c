"""A model in one file under the names of the original code: which one it is, told from the file's header.

Its configurations are not in it. Those of Stable Diffusion 1, 2 and XL ship (configurations/), as the published models
have them; the words that tell the families apart are those by which diffusers' `from_single_file` does it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from factory.errors import UsageError, quoted
from factory.models.weights import shapes_in

CONFIGURATIONS = Path(__file__).parent / "configurations"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"
AUTOENCODER = "first_stage_model.decoder.conv_in.weight"
WORDS = {  # the text encoder's table of words, by family
    "xl": "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
    "sd2": "cond_stage_model.model.token_embedding.weight",
    "sd1": "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
}
SECOND = "conditioner.embedders.1.model.token_embedding.weight"  # of XL's second text encoder
NAMES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2 (768 pixels, predicts velocity)",
    "sd2-base": "Stable Diffusion 2 base (512 pixels, predicts noise)",
    "xl": "Stable Diffusion XL",
}
VELOCITY = "v_pred"  # a key without content, by which XL's that predict velocity are told
PREDICTING_VELOCITY = ("v", "v_prediction")
PREDICTS, ARCHITECTURE = "modelspec.prediction_type", "modelspec.architecture"  # metadata, which few files have


@dataclass(frozen=True)
class Header:
    """family: a folder of CONFIGURATIONS.  words: how many tokens its text encoder knows.

    guessed: what the file leaves open, in a sentence; "" for nothing.
    velocity: whether it says that it predicts velocity, where the family's published models predict noise.
    """

    family: str
    words: int
    guessed: str = ""
    velocity: bool = False


def read_header(file: Path, *, other: bool = False) -> Header:
    """Raises UsageError for a file that is none, not whole, or of another family.

    other: whether its configurations are given, as for a model that is built otherwise.
    """
    shapes = shapes_in(file)
    family = next((family for family, key in WORDS.items() if key in shapes), "")
    if lack := _lack(shapes, family):
        raise UsageError(f"{file} {lack}: take a whole checkpoint, or a folder that diffusers saved.")
    words = shapes[WORDS[family]][0]
    if other:
        return Header(family, words)
    if (channels := shapes[FIRST][1]) != 4:
        raise UsageError(f"{file} takes {channels} channels, not 4: it is for inpainting; take a text-to-image model.")
    with safe_open(file, framework="np") as opened:
        metadata: Mapping[str, str] = opened.metadata() or {}
    predicts = metadata.get(PREDICTS, "").strip().lower()
    if family != "sd2":
        return Header(family, words, velocity=VELOCITY in shapes or predicts in PREDICTING_VELOCITY)
    family, guessed = _kind_of_2(file, predicts, metadata.get(ARCHITECTURE, "").lower())
    return Header(family, words, guessed)


def _kind_of_2(file: Path, predicts: str, architecture: str) -> tuple[str, str]:
    """2 and its base have the same weights' names and shapes. The family, and what is guessed."""
    if predicts == "epsilon" or "v2-512" in architecture:
        return "sd2-base", ""
    if predicts in PREDICTING_VELOCITY or "v2-768" in architecture:
        return "sd2", ""
    guess = (
        f"{file.name} does not say whether it is Stable Diffusion 2 or its base: taken for {NAMES['sd2']}; "
        f"if pictures are noise, give --config {quoted(CONFIGURATIONS / 'sd2-base')}"
    )
    return "sd2", guess


def _lack(shapes: Mapping[str, tuple[int, ...]], family: str) -> str:
    """What is missing of a checkpoint, in words; "" for nothing.  family: told from the words; "" where none are."""
    if len(shapes.get(FIRST, ())) != 4:
        return "is no checkpoint of Stable Diffusion 1, 2 or XL"
    if AUTOENCODER not in shapes:
        return "lacks the autoencoder"
    if not family or len(shapes[WORDS[family]]) != 2:
        return "lacks the text encoder, or has it under names of another kind"
    return "lacks the second text encoder" if family == "xl" and SECOND not in shapes else ""
