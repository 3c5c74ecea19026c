"""What a file or folder is that is given where it does not belong: told from names, nothing loaded."""

from pathlib import Path
from typing import Any

from factory.errors import UsageError
from factory.models.folder import read_json
from factory.models.weights import SAFE, shapes_in

CONTROL_NETWORKS = ("ControlNetModel", "ControlNetUnionModel", "T2IAdapter")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
OF_ADAPTERS = ("lora", ".hada_w", ".lokr_w", ":up", ":down")  # in the names of their factors
OF_STYLES = "ip_adapter."
OF_LAYERS = "::"
OF_WORDS = ("emb_params", "clip_l", "clip_g")

ADAPTER = "an adapter: give it to --lora"
STYLE = "an IP-Adapter: give its folder to --style"
CLIP = "a CLIP: give it to --clip"
CHECKER = "a safety checker: give it to --safety-checker"
CONTROL = "a control network: give it to --control"
MATTING = "a matting network: give it to `factory matte --model`"

BY_FILE = {
    "model_index.json": "a pipeline: give it to --model",
    "adapter_config.json": ADAPTER,
    "matting.json": MATTING,
}
BY_TYPE = {"clip": CLIP, "vitmatte": MATTING}  # what config.json calls model_type


def other_input(place: Path) -> str:
    """What it is, and the flag that it is for; "" for what none of them takes."""
    if place.is_dir():
        return _folder(place)
    if place.suffix.lower() in PICTURES and place.is_file():
        return "a picture: name it in a column of the table of --prompts, for --given, --control or --style"
    return _weights(place) if place.suffix == SAFE and place.is_file() else ""


def _folder(folder: Path) -> str:
    for name, what in BY_FILE.items():
        if (folder / name).is_file():
            return what
    config: Any = read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    if isinstance(config, dict):
        kinds = [config.get("_class_name"), *(config.get("architectures") or ())]
        if kinds[0] in CONTROL_NETWORKS:
            return CONTROL
        if "StableDiffusionSafetyChecker" in kinds:
            return CHECKER
        return BY_TYPE.get(str(config.get("model_type")), "")
    told = {_weights(file) for file in sorted(folder.glob(f"*{SAFE}"))}
    return told.pop() if len(told) == 1 else ""


def _weights(file: Path) -> str:
    try:
        shapes = shapes_in(file)
    except UsageError:  # whoever opens it says what is wrong with it
        return ""
    if any(name.startswith(OF_STYLES) for name in shapes):
        return STYLE
    if any(OF_LAYERS in name for name in shapes):
        return "one of LayerDiffuse's files: give its folder to --layers"
    if any(mark in name.lower() for name in shapes for mark in OF_ADAPTERS):
        return ADAPTER
    if shapes and all(len(shape) <= 2 and (name in OF_WORDS or len(shapes) == 1) for name, shape in shapes.items()):
        return "a word, learnt by textual inversion: give it to --word"
    return ""
