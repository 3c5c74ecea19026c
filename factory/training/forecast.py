"""What a training will take, counted without computing: memory and floating-point operations.

Networks stand there as torch's fake tensors, which have shapes and a device but no numbers: each operation is the one
that the device would run, its results are weighed, and nothing is multiplied.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

FLOAT = 4  # bytes
COPIES_OF_LEARNED = 4  # of weights that learn, beside themselves: gradients, two moments of Adam, the average
BACKWARD = 2  # products of the way back, for each of the way there: by the inputs and by the weights
SIDE = {"cpu": 512, "cuda": 8192}  # of matrices that are multiplied to measure: in caches, and enough for all units
SECONDS = 0.3  # that measuring lasts


@dataclass(frozen=True)
class Pass:
    """One way through networks.  flops: multiplications and additions.  kept: bytes that the way back needs."""

    flops: int
    kept: int


@contextmanager
def nothing_computed() -> Iterator[None]:
    """Inside, tensors and networks are made without numbers, and with no memory."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def count(forward: Callable[[], object], networks: Sequence[nn.Module], checkpointed: str = "") -> Pass:
    """Count what `forward` computes and keeps, inside of `nothing_computed`.

    networks: whose weights are not among what is kept.  checkpointed: names of classes, with a space between them,
    whose inputs alone are kept, with all that the largest of them needs while it runs again.
    """
    own = {_storage(value) for network in networks for value in network.state_dict().values()}
    kept: dict[int, Tensor] = {}  # the tensors too: so is no number of a storage given again
    inside: list[dict[int, Tensor]] = []
    largest = 0

    def keep(value: Tensor) -> Tensor:
        if _storage(value) not in own:
            (inside[-1] if inside else kept)[_storage(value)] = value
        return value

    def enter(_block: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not inside:
            kept.update({_storage(value): value for value in inputs if isinstance(value, Tensor)})
        inside.append({})

    def leave(*_: object) -> None:
        nonlocal largest
        largest = max(largest, _bytes({at: value for at, value in inside.pop().items() if at not in kept}))

    with ExitStack() as stack:
        for block in (block for network in networks for block in network.modules()):
            if type(block).__name__ in checkpointed.split():
                stack.callback(block.register_forward_pre_hook(enter).remove)
                stack.callback(block.register_forward_hook(leave).remove)
        counter = stack.enter_context(FlopCounterMode(display=False, custom_mapping=_ATTENTION))
        stack.enter_context(saved_tensors_hooks(keep, lambda value: value))
        forward()
    return Pass(counter.get_total_flops(), _bytes(kept) + largest)


def weights_in(networks: Sequence[nn.Module]) -> int:
    """How many numbers they hold."""
    return sum(value.numel() for network in networks for value in network.state_dict().values())


def products_per_second(device: torch.device, bf16: bool) -> float:
    """Floating-point operations per second of a product of large matrices, the quickest of several.

    Others may be at work on the machine; no training reaches it.
    """
    kind = torch.bfloat16 if bf16 else torch.float32
    side = SIDE[device.type]
    left, right = (torch.ones(side, side, device=device, dtype=kind) for _ in range(2))
    quickest, end = float("inf"), time.monotonic() + SECONDS
    while time.monotonic() < end:
        began = time.perf_counter()
        _ = left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        quickest = min(quickest, time.perf_counter() - began)
    return 2 * side**3 / quickest


def at_least(flops: int, device: torch.device, bf16: bool) -> str:
    """The time of so many operations, for people: by multiplications alone. Whatever else is done comes on top."""
    rate = products_per_second(device, bf16)
    kind = "bfloat16" if bf16 else "float32"
    return (
        f"at least {in_words(flops / rate)}: {flops / 1e12:,.3g} TFLOP, and matrices are multiplied here at "
        f"{rate / 1e9:,.3g} GFLOP/s in {kind}, which no training reaches"
    )


def in_words(seconds: float) -> str:
    """A time that is not known well: "40 s", "12 min", "52 h"."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.{0 if seconds >= 10 * length else 1}f} {unit}"
    return f"{seconds:.0f} s"


def free_disk(place: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: object, **__: object) -> int:
    """Shapes (B, heads, L, d): queries by keys, and by values."""
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[2] * (width + value[3])


_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}  # which the counter does not know


def _storage(value: Tensor) -> int:
    return int(value.untyped_storage()._cdata)


def _bytes(tensors: dict[int, Tensor]) -> int:
    return sum(value.untyped_storage().nbytes() for value in tensors.values())
