"""Several processes that train one network, as torchrun starts them: each takes its part of every batch.

Nothing is imported that is heavy: the program asks here which process it is before it does anything.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

T = TypeVar("T")
PATIENCE = timedelta(hours=12)  # with the first, which may encode a large set; torchrun ends all where one has died


@dataclass(frozen=True)
class Ranks:
    """Which process of those that train together; without torchrun it is the only one."""

    number: int = 0
    count: int = 1
    on_node: int = 0  # its number on its own machine, which is that of its GPU

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.number == 0

    def mean(self, value: "Tensor") -> "Tensor":
        """The mean of a tensor over all processes, without gradient. Each must ask at the same point."""
        if self.count == 1:
            return value.detach()
        from torch import distributed  # noqa: PLC0415  (torch takes seconds)

        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.count

    def agree(self, flag: bool, device: "torch.device") -> bool:
        """Whether any process says so. Each must ask at the same point."""
        if self.count == 1:
            return flag
        import torch  # noqa: PLC0415  (torch takes seconds)

        return bool(self.mean(torch.tensor(float(flag), device=device)) > 0)

    def first_alone(self, make: Callable[[], T]) -> T:
        """What the first makes, before the others make it, too: they find on the disk what it took."""
        made = [make()] if self.is_first else []
        self.wait()
        return made[0] if made else make()

    def take_from_first(self, network: "nn.Module") -> None:
        """Make the network's tensors the first's, in place. Each must ask at the same point."""
        if self.count > 1:
            from torch import distributed  # noqa: PLC0415  (torch takes seconds)

            for value in network.state_dict().values():
                distributed.broadcast(value, 0)

    def wait(self) -> None:
        """Until all have come this far."""
        if self.count > 1:
            from torch import distributed  # noqa: PLC0415  (torch takes seconds)

            distributed.barrier()


def this_rank() -> Ranks:
    """What torchrun's environment says of this process."""
    said = os.environ
    return Ranks(int(said.get("RANK", 0)), int(said.get("WORLD_SIZE", 1)), int(said.get("LOCAL_RANK", 0)))


def device_of(ranks: Ranks) -> "torch.device":
    """The CUDA device of this process where there is one, else the CPU."""
    import torch  # noqa: PLC0415  (torch takes seconds)

    if not torch.cuda.is_available():
        return torch.device("cpu")
    if ranks.count == 1:
        return torch.device("cuda")
    torch.cuda.set_device(ranks.on_node)
    return torch.device("cuda", ranks.on_node)


@contextmanager
def joined(ranks: Ranks, device: "torch.device") -> Iterator[None]:
    """Inside, the processes know each other: over NCCL between GPUs, over gloo between CPUs."""
    if ranks.count == 1:
        yield
        return
    from torch import distributed  # noqa: PLC0415  (torch takes seconds)

    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()
