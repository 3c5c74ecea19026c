"""LayerDiffuse's files in a folder of the user's: which is which, told from the shapes in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from factory.errors import UsageError
from factory.models.weights import SAFE, refuse_pickled, shapes_in

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
DECODER, ENCODER, PATCH = "decoder", "encoder", "patch"


class Files(NamedTuple):
    """What single pictures with α are painted with."""

    patch: Path
    decoder: Path


def kind_of_file(shapes: Shapes) -> str | None:
    """What a file is, None for something else.  shapes: by key."""
    if shapes.get("latent_conv_in.weight") == (64, 4, 1, 1):
        return DECODER
    if shapes.get("blocks.16.weight") == (4, 256, 3, 3):
        return ENCODER
    of_unet = ("hookers.", "diffusion_model.", "down_blocks.", "conv_in.", "mid_block.", "up_blocks.")
    return PATCH if shapes and all(key.startswith((*of_unet, "conv_", "kwargs_encoder.")) for key in shapes) else None


def find(folder: Path) -> Files:
    """The patch and the decoder in a folder. Raises UsageError where one of them is not there, or is there twice."""
    if not folder.is_dir():
        raise UsageError(f"--layers {folder}: there is no such folder; give one with LayerDiffuse's files.")
    found: dict[str, list[Path]] = {DECODER: [], PATCH: []}
    for file in sorted(folder.glob(f"*{SAFE}")):
        kind = kind_of_file(shapes_in(file))
        if kind in found:
            found[kind].append(file)
    wanted = {
        PATCH: "layer_sd15_transparent_attn or layer_xl_transparent_attn",
        DECODER: "layer_sd15_vae_transparent_decoder or vae_transparent_decoder",
    }
    for kind, files in found.items():
        if not files:
            refuse_pickled(folder)
            raise UsageError(f"--layers {folder} has no {kind}: put {wanted[kind]}{SAFE} there.")
        if len(files) > 1:
            raise UsageError(
                f"--layers {folder} has {len(files)} of a kind, {files[0].name} and {files[1].name}: keep one."
            )
    return Files(found[PATCH][0], found[DECODER][0])
