"""Where training multiplies in bfloat16."""

from contextlib import AbstractContextManager

import torch


def autocast(bf16: str, device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 products inside the block: "on", "off", or "auto": where the processor has them in hardware.

    On a Zen 5 core the small U-Net's step is 1.6 times as fast as in float32; without the instructions it is slower.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 == "on" or (bf16 == "auto" and has_bf16(device)))


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
