"""The device of a worker. Light: torch is loaded when it is asked."""

from typing import NamedTuple


class Device(NamedTuple):
    """What a worker computes on.  torch: as torch calls it.  name: for the shard's record, the GPU's name or "cpu"."""

    torch: str
    name: str


CPU = Device("cpu", "cpu")


def best_device() -> Device:
    """A GPU where there is one."""
    import torch  # noqa: PLC0415  (seconds; planning needs the words only)

    return Device("cuda", torch.cuda.get_device_name()) if torch.cuda.is_available() else CPU
