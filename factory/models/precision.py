"""What models compute on, and where it multiplies in bfloat16."""

import platform
from contextlib import AbstractContextManager
from pathlib import Path

import torch


def autocast(bf16: str, device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 products inside the block: "on", "off", or "auto": where the processor has them in hardware.

    On a Zen 5 core the small U-Net's step is 1.6 times as fast as in float32; without the instructions it is slower.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(bf16, device))


def uses_bf16(bf16: str, device: torch.device) -> bool:
    """Whether `autocast` has any effect."""
    return bf16 == "on" or (bf16 == "auto" and has_bf16(device))


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def device_name(device: torch.device) -> str:
    """The maker's name of the processor, as a model card states it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
