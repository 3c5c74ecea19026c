"""Which items a torch DataLoader asks for, and where it goes on after a stop."""

from collections.abc import Iterator
from typing import Protocol

from torch.utils.data import Sampler

from factory.errors import UsageError


class Sized(Protocol):
    """Data whose epochs have so many items."""

    def __len__(self) -> int: ...


class EpochOrder(Sampler[tuple[int, int]]):
    """Which items come after each other: (epoch, position), for a torch DataLoader's `sampler`.

    start: items that were used before, of all ranks: the order goes on after them, in the middle of an epoch too.
    epochs: after how many it ends, counted from the first; None: never.
    rank, ranks: of several trainers, each takes every so many-th item.
    """

    def __init__(self, data: Sized, start: int = 0, epochs: int | None = None, rank: int = 0, ranks: int = 1) -> None:
        if start < 0 or not 0 <= rank < ranks:
            raise UsageError(f"an order cannot start at {start} for rank {rank} of {ranks}.")
        self.start, self.epochs, self.rank, self.ranks = start, epochs, rank, ranks
        self._length = len(data)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        used = self.start + self.rank
        while self.epochs is None or used < self.epochs * self._length:
            yield divmod(used, self._length)
            used += self.ranks

    def __len__(self) -> int:
        """How many are left. Raises TypeError where the order never ends, as torch expects it."""
        if self.epochs is None:
            raise TypeError("an order without a number of epochs never ends")
        return len(range(self.start + self.rank, self.epochs * self._length, self.ranks))
