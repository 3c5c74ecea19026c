"""Low-rank changes of a U-Net that learn in the place of its weights (Hu et al., "LoRA", ICLR 2022), and their file."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import parametrize

from factory.diffusion.train.settings import LowRankSettings
from factory.engine.input_files import digest
from factory.shards.durable import write_durably

LORA_FILE = "lora.safetensors"
IN_ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0")  # ends of the names of attention's layers


class Change(nn.Module):
    """W + B·A, as a parametrisation of a layer's weight; nothing at the beginning.

    Of a convolution A is one with its kernel to `rank` channels, and B one of 1×1.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, *weight.shape[1:]) / weight[0].numel() ** 0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, *[1] * (weight.dim() - 2)))

    def forward(self, weight: Tensor) -> Tensor:
        """As `weight` is shaped."""
        return weight + (self.up.flatten(1) @ self.down.flatten(1)).view_as(weight)


class LowRankChanges(nn.Module):
    """Those of a whole U-Net."""

    def __init__(self, unet: nn.Module, settings: LowRankSettings, seed: int) -> None:
        """Lays them into the U-Net; drawn from `seed`."""
        super().__init__()
        self.names, changes = list[str](), list[nn.Module]()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, layer in list(unet.named_modules()):
                if isinstance(layer, nn.Linear | nn.Conv2d) and (settings.layers == "all" or _in_attention(name)):
                    change = Change(layer.weight, settings.rank)
                    parametrize.register_parametrization(layer, "weight", change)
                    self.names.append(name)
                    changes.append(change)
        self.changes = nn.ModuleList(changes)

    def save(self, file: Path) -> None:
        """A LoRA as diffusers saves it, in PEFT's names; it counts in full at weight 1."""
        tensors = {
            f"unet.{name}.lora_{part}.weight": value.detach().cpu().contiguous()
            for name, change in zip(self.names, self.changes, strict=True)
            for part, value in (("A", change.get_parameter("down")), ("B", change.get_parameter("up")))
        }
        write_durably(file, save(tensors))


def merge(unet: nn.Module) -> None:
    """Make the changes part of the U-Net's weights."""
    for layer in list(unet.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


def weights_hash(folder: Path) -> str:
    """Of the files of a part of a model, which a training of low-rank changes reads again when it goes on."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return hashlib.sha256("".join(f"{path.name}\0{digest(path)[1]}\n" for path in files).encode()).hexdigest()


def _in_attention(name: str) -> bool:
    return name.endswith(IN_ATTENTION)
