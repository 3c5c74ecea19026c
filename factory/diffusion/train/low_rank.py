"""Low-rank changes of a U-Net that learn in the place of its weights (Hu et al., "LoRA", ICLR 2022), and their file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as nnf
from torch.utils.hooks import RemovableHandle

from factory.diffusion.train.settings import LowRankSettings
from factory.shards.durable import write_durably

LORA_FILE = "lora.safetensors"
Part: TypeAlias = Literal["unet", "transformer"]
IN_ATTENTION = (  # ends of the names of attention's layers
    *(".to_q", ".to_k", ".to_v", ".to_out.0"),
    *(".add_q_proj", ".add_k_proj", ".add_v_proj", ".to_add_out"),  # of the text, where it is read with the picture
    *(".to_qkv_mlp_proj", ".attn.to_out"),  # of Flux 2's single stream
)
PEFT_NAME = {"down": "lora_A", "up": "lora_B"}


class Change(nn.Module):
    """B·A beside a layer's weight W: laid on as a forward hook, the layer gives (W + B·A)x. Nothing at the beginning.

    Of a convolution A is one with its kernel to `rank` channels, and B one of 1×1. In float32 whatever W is. Beside W
    and not added to it: the sum would be kept for the backward pass, a copy of each weight, and in bfloat16 it would
    round away what is small.
    """

    laid: RemovableHandle

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        down = torch.randn(rank, *weight.shape[1:]) / weight[0].numel() ** 0.5  # the same numbers on every device
        up = torch.zeros(weight.shape[0], rank, *[1] * (weight.dim() - 2))
        self.down, self.up = nn.Parameter(down.to(weight.device)), nn.Parameter(up.to(weight.device))

    def forward(self, layer: nn.Module, entering: tuple[Tensor, ...], told: Tensor) -> Tensor:
        """What the layer gives with its change, from what enters it and what it told."""
        x = entering[0]
        down, up = self.down.to(x.dtype), self.up.to(x.dtype)
        if isinstance(layer, nn.Conv2d):
            low = nnf.conv2d(x, down, None, layer.stride, layer.padding, layer.dilation)
            return told + nnf.conv2d(low, up)
        return told + nnf.linear(nnf.linear(x, down), up)

    def whole(self) -> Tensor:
        """B·A, as W is shaped."""
        return (self.up.flatten(1) @ self.down.flatten(1)).view(self.up.shape[0], *self.down.shape[1:])


class LowRankChanges(nn.ModuleDict):
    """Those of a whole U-Net, by the names of its layers with `/` for `.`."""

    def __init__(self, unet: nn.Module, settings: LowRankSettings, seed: int) -> None:
        """Lays them into the U-Net; drawn from `seed`."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, layer in list(unet.named_modules()):
                wanted = settings.layers == "all" or name.endswith(IN_ATTENTION)
                if wanted and isinstance(layer, nn.Linear | nn.Conv2d):
                    self[name.replace(".", "/")] = change = Change(layer.weight, settings.rank)
                    change.laid = layer.register_forward_hook(change)


def write_changes(factors: Mapping[str, Tensor], file: Path, part: Part = "unet") -> None:
    """A LoRA under the names that diffusers gives it when it saves one; it counts in full at weight 1.

    factors: the state of `LowRankChanges`.  part: of the model, that they are for.
    """
    tensors = {}
    for key, value in factors.items():
        layer, _, factor = key.rpartition(".")
        tensors[f"{part}.{layer.replace('/', '.')}.{PEFT_NAME[factor]}.weight"] = value.detach().cpu().contiguous()
    write_durably(file, save(tensors, {"format": "pt"}))


@torch.no_grad()
def fold(network: nn.Module) -> None:
    """Make the changes part of its weights."""
    for layer in network.modules():
        for change in list(layer._forward_hooks.values()):
            if isinstance(change, Change):
                assert isinstance(layer.weight, Tensor)
                layer.weight += change.whole().to(layer.weight)
                change.laid.remove()
