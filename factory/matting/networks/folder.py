"""A trained matting network on the disk: `matting.json` says what it is, `model.safetensors` what it learned.

A ViTMatte is beside that a folder of transformers; such a folder without `matting.json` is read, too, and so is one
that holds the weights of the published IndexNet alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.errors import UsageError
from factory.matting.networks import vitmatte_folder
from factory.matting.networks.kinds import KINDS, build, checked
from factory.models.folder import files_fingerprint, read_mapping
from factory.models.weights import refuse_pickled, shapes_in
from factory.shards.durable import make_folder, write_durably, write_json

if TYPE_CHECKING:
    from torch import nn

    from factory.matting.networks.network import MattingNetwork

SAYS, WEIGHTS = "matting.json", "model.safetensors"
OF_INDEXNET = ("layer0.0.weight", "index0.indexnet1.0.weight", "dconv_pp.bottleneck_conv.0.weight")


@dataclass(frozen=True, slots=True)
class NetworkFolder:
    """What a folder holds, as far as its files tell.  options: none of a ViTMatte, whose config.json has them.

    files: all that decide what the network computes.
    """

    folder: Path
    kind: str
    options: Mapping[str, Any]
    files: tuple[Path, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of these files, wherever the folder lies."""
        return files_fingerprint(self.folder, self.files)


def look(folder: Path) -> NetworkFolder:
    """The network of a folder, without torch. Raises UsageError where there is none that could be loaded."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}: name one with a matting network ({SAYS} and {WEIGHTS}).")
    kind, options = _said(folder)
    own = [path for path in (folder / SAYS,) if path.is_file()]
    if kind == "vitmatte":
        return NetworkFolder(folder, kind, options, (*own, *vitmatte_folder.check_folder(folder)))
    if not (folder / WEIGHTS).is_file():
        refuse_pickled(folder)
        raise UsageError(f"{folder} has no {WEIGHTS}: copy the network again, whole.")
    shapes_in(folder / WEIGHTS)
    return NetworkFolder(folder, kind, options, (*own, folder / WEIGHTS))


def _said(folder: Path) -> tuple[str, Mapping[str, Any]]:
    if (folder / SAYS).is_file():
        said = read_mapping(folder / SAYS)
        kind, options = said.get("kind"), said.get("options", {})
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(options, dict):
            raise UsageError(f"{folder / SAYS} names no matting network that there is ({', '.join(KINDS)}).")
        own = checked(kind, options)
        return kind, {} if kind == "vitmatte" else asdict(own)
    if vitmatte_folder.is_vitmatte(folder):
        return "vitmatte", {}
    if (folder / WEIGHTS).is_file() and shapes_in(folder / WEIGHTS).keys() >= set(OF_INDEXNET):
        return "indexnet", {}
    if (trained := folder / "model" / SAYS).is_file():
        raise UsageError(f"{folder} is a training's folder: name {trained.parent}.")
    refuse_pickled(folder)
    raise UsageError(f"{folder} is no matting network: it has no {SAYS}, and is no ViTMatte of transformers.")


def save_network(folder: Path, network: "nn.Module", kind: str, options: Mapping[str, Any]) -> None:
    """Write a network, whole under its names; what the folder held before is replaced.

    kind, options: as it was built; of a ViTMatte its own configuration is written instead.
    """
    from safetensors.torch import save  # noqa: PLC0415  (torch takes seconds)

    said = {"kind": kind, "options": asdict(checked(kind, options))}
    make_folder(folder)
    if kind == "vitmatte":
        from factory.matting.networks.vitmatte import VitMatte  # noqa: PLC0415  (transformers takes seconds)

        assert isinstance(network, VitMatte)
        network.write_configuration(folder)
        network, said = network.model, {"kind": kind}
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_durably(folder / WEIGHTS, save(state, metadata={"format": "pt"}))
    write_json(folder / SAYS, said)


def load_network(folder: Path, device: str = "cpu") -> "MattingNetwork":
    """The network in float32, ready to matte (in evaluation mode), on a torch device.

    Raises UsageError where the folder is not whole, or a weight is missing, further (of a ViTMatte these are passed
    over, as transformers does) or of another shape.
    """
    found = look(folder)
    if found.kind == "vitmatte":
        from factory.matting.networks.vitmatte import load  # noqa: PLC0415  (transformers takes seconds)

        return load(folder).to(device).eval()
    from safetensors.torch import load_file  # noqa: PLC0415  (torch takes seconds)

    network, weights = build(found.kind, found.options), folder / WEIGHTS
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    shapes = shapes_in(weights)
    for name in (*wanted, *shapes):
        if (has := shapes.get(name)) != (wants := wanted.get(name)):
            told = f"{name} {has or '(none)'} where a network {found.kind!r} has {wants or '(none)'}"
            raise UsageError(f"{weights} has {told}: give the weights that belong to it.")
    network.load_state_dict(load_file(weights))
    return network.to(device).eval()
