"""Masks by a segmentation network of transformers in a folder of the user's: one mask for each frame.

Semantic ones (SegFormer, UPerNet, BEiT …) tell the scores of labels for each pixel, universal ones (MaskFormer,
Mask2Former; Cheng et al., 2022) those of masks and of labels for each mask: their product is the former.
"""

from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from factory.errors import UsageError, nearest, some
from factory.greenscreen.compositing import as_levels
from factory.matting.video.footage import Footage
from factory.matting.video.masks import Masks
from factory.models.device import Device
from factory.models.folder import check_weights, files_fingerprint, read_mapping
from factory.sources.clips.colour import Floats

PREPROCESSOR = "preprocessor_config.json"
PERSON = "person"
UNIVERSAL = ("MaskFormerForInstanceSegmentation", "Mask2FormerForUniversalSegmentation")


def open_segmenter(folder: Path, clip: Footage, label: str | None, device: Device) -> Masks:
    """The clip's masks by the network, as they are asked for.

    label: the object's, by name or number; None takes "person", or the second of two labels.
    Raises UsageError for a folder that holds no such network, or pickled weights, and for a label it does not know.
    """
    if not folder.is_dir():
        raise UsageError(
            f"--segmenter {folder}: there is no such folder; give a segmentation model as transformers saves it."
        )
    configuration = read_mapping(folder / "config.json")
    if configuration.get("auto_map"):
        raise UsageError(
            f"--segmenter {folder} brings code of its own, which is never run: give a model of transformers."
        )
    check_weights(folder)
    read_mapping(folder / PREPROCESSOR)
    network, prepare = _loaded(folder, configuration, device)
    number = _label(network.config.id2label, label, folder)

    def prepared(picture: Floats) -> Any:
        try:
            return prepare(images=as_levels(picture), return_tensors="pt", input_data_format="channels_last")
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise _unfit(folder, error) from error

    def masks() -> Iterator[Floats]:
        is_seen = False
        for picture in clip.rgb():
            mask = _mask(network, prepared(picture), picture.shape[:2], number)
            if not np.isfinite(mask).all():
                raise UsageError(f"{folder} answers with what is no number: its weights are broken, give others.")
            is_seen |= bool((mask > 0.5).any())
            yield mask
        if not is_seen:
            raise UsageError(
                f"{folder} finds no {network.config.id2label[number]} in any frame of {clip.path}: choose another with "
                "--object, or give --masks."
            )

    return masks


def fingerprint(folder: Path) -> str:
    """SHA-256 of the files that decide what the network tells."""
    return files_fingerprint(folder, [*sorted(folder.glob("*.json")), *sorted(folder.glob("*.safetensors"))])


def _loaded(folder: Path, configuration: dict[str, Any], device: Device) -> tuple[Any, Any]:
    import transformers  # noqa: PLC0415  (seconds)
    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation  # noqa: PLC0415  (as above)

    from factory.models.part import UNREADABLE, load_part  # noqa: PLC0415  (torch)

    transformers.utils.logging.disable_progress_bar()  # a bar of its own would break our one live line
    architectures = configuration.get("architectures")
    universal = [name for name in UNIVERSAL if isinstance(architectures, list) and name in architectures]
    kind = getattr(transformers, universal[0]) if universal else AutoModelForSemanticSegmentation
    network = load_part(kind, folder).float().to(device.torch).eval()
    try:
        prepare = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except UNREADABLE as error:
        raise _unfit(folder, error) from error
    return network, prepare


def _unfit(folder: Path, error: Exception) -> UsageError:
    said = shorten(str(error), 200, placeholder=" …")
    return UsageError(f"{folder / PREPROCESSOR} says what cannot be done ({said}): copy the model again.")


def _label(labels: dict[int, str], wanted: str | None, folder: Path) -> int:
    """The number of a label."""
    known = some(list(labels.values()))
    names = {name.casefold(): number for number, name in labels.items()}
    if wanted is not None:
        number = int(wanted) if wanted.isdecimal() else names.get(wanted.casefold(), -1)
        if number not in labels:
            meant = nearest(wanted, names)
            raise UsageError(f"--object {wanted} is no label of {folder}{meant}: it knows {known}.")
        return number
    if PERSON in names:
        return names[PERSON]
    if len(labels) == 2:
        return max(labels)
    raise UsageError(f"{folder} knows {len(labels)} labels and no person: say which with --object ({known}).")


def _mask(network: Any, inputs: Any, shape: tuple[int, ...], number: int) -> Floats:
    """(H, W) in 0..1: the label's share at each pixel."""
    import torch  # noqa: PLC0415  (seconds)

    with torch.inference_mode():
        told = network(**inputs.to(network.device))
        if hasattr(told, "class_queries_logits"):
            classes = told.class_queries_logits.softmax(-1)[..., :-1]  # the last is "none"
            scores = torch.einsum("nqc,nqhw->nchw", classes, told.masks_queries_logits.sigmoid())
            shares = scores / scores.sum(1, keepdim=True).clamp_min(1e-6)
        else:
            shares = told.logits.softmax(1)
        mask = torch.nn.functional.interpolate(
            shares[:, number : number + 1].float(), shape, mode="bilinear", align_corners=False
        )
    return np.asarray(mask[0, 0].cpu().numpy(), np.float32)
