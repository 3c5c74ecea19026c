"""Tensors that lie in a file, so that the system may take back the memory that they are read into."""

import mmap
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from factory.shards.durable import reserve


class MappedTensors:
    """Tensors like others, on the CPU and zero at first.  tensors: by name; writing to them writes to the file.

    The file has no name, so that a killed process leaves none behind.
    """

    def __init__(self, like: Mapping[str, Tensor], folder: Path) -> None:
        """folder: where there is room. Raises OSError where there is none."""
        self._places: dict[str, tuple[int, int]] = {}
        end = 0
        for name, value in like.items():
            size = value.numel() * value.element_size()
            self._places[name] = end, size
            end += -(-size // mmap.PAGESIZE) * mmap.PAGESIZE  # memory is taken back by pages
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            reserve(file.fileno(), max(end, 1))
            self._map = mmap.mmap(file.fileno(), 0)
        self.tensors = {name: self._view(name, value) for name, value in like.items()}

    def _view(self, name: str, like: Tensor) -> Tensor:
        if not like.numel():
            return torch.empty_like(like, device="cpu")
        flat = torch.frombuffer(self._map, dtype=like.dtype, count=like.numel(), offset=self._places[name][0])
        return flat.view(like.shape)

    def release(self, name: str) -> None:
        """Give the memory of one back; its content stays in the file."""
        begin, size = self._places[name]
        if size and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED, begin, size)
