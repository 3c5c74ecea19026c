"""A network as a CUDA graph: the launches of its hundreds of kernels become one call.

Launching them one by one keeps the interpreter busy nearly as long as the GPU, and whoever finishes samples in other
threads wants the interpreter too: on an H100 with 16 such threads a sampler lost a fifth of its speed.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Size, Tensor

WARM_UP = 2  # calls before recording: the first compiles, and libraries choose their kernels


class Recording(NamedTuple):
    """What one set of shapes was recorded with: a graph reads and writes the same memory at each replay."""

    inputs: tuple[Tensor, ...]
    graph: torch.cuda.CUDAGraph
    output: Tensor


class Recorded:
    """A function of tensors on a CUDA device, recorded when shapes are new and replayed from then on.

    The kernels are the same as without, and so is each byte. The memory they work in stays taken. Not for gradients.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._recordings: dict[tuple[Size, ...], Recording] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self._recordings:
            self._recordings[shapes] = self._record(*inputs)
        recording = self._recordings[shapes]
        for kept, given in zip(recording.inputs, inputs, strict=True):
            kept.copy_(given)
        recording.graph.replay()
        return recording.output.clone()

    def _record(self, *given: Tensor) -> Recording:
        inputs = tuple(tensor.clone() for tensor in given)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may use the device meanwhile
            output = self._function(*inputs)
        return Recording(inputs, graph, output)
