"""Batches that other processes make while the training goes on; their mistakes and deaths are one sentence, too."""

import signal
import threading
from collections.abc import Generator

from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from factory.engine.orphans import end_with_parent
from factory.errors import FactoryError, MachineError
from factory.matting.data.dataset import MattingData
from factory.matting.data.item import Item


class Told(Dataset[Item | FactoryError]):
    """Errors of users as values: torch raises a worker's again with all of its traceback as their sentence."""

    def __init__(self, data: MattingData) -> None:
        self._data = data

    def __getitem__(self, at: tuple[int, int]) -> Item | FactoryError:
        try:
            return self._data[at]
        except FactoryError as error:
            return error


def batches(
    data: MattingData, order: Sampler[tuple[int, int]], size: int, *, workers: int, pinned: bool
) -> Generator[Item, None, None]:
    """The items of an order, so many at a time.  workers: 0: they are made when they are asked for.

    pinned: in memory that a GPU reads. Raises FactoryError as `data` does; MachineError where a process dies.
    """
    loader = DataLoader(
        Told(data),
        batch_size=size,
        sampler=order,
        num_workers=workers,
        collate_fn=_collated,
        worker_init_fn=_belong_to_the_training,
        pin_memory=pinned,
    )
    made = iter(loader)
    if threading.current_thread() is threading.main_thread():
        # Torch raises a worker's death from this signal's handler, anywhere: in the middle of a save that aborts the
        # process. Without, it is found within seconds where the next batch is asked for.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        try:
            batch = next(made)
        except StopIteration:
            return
        except (RuntimeError, ConnectionError, EOFError) as error:
            # Of a worker that dies while it hands a batch over, the broken connection is seen before its death.
            broken = isinstance(error, ConnectionError | EOFError) and not str(error).startswith("Caught ")
            if not (broken or str(error).startswith("DataLoader worker")):
                raise
            reason = " ".join(str(error).split()).rstrip(".")
            raise MachineError(
                f"a process that makes batches died ({reason}): it may have lacked memory. Lower train.workers if so; "
                "the same command goes on from what is saved."
            ) from error
        if isinstance(batch, FactoryError):
            raise batch
        yield batch


def _collated(items: list[Item | FactoryError]) -> Item | FactoryError:
    for item in items:
        if isinstance(item, FactoryError):
            return item
    batch: Item = default_collate(items)
    return batch


def _belong_to_the_training(_worker: int) -> None:
    """Ctrl-C and a batch system reach all processes, but the step that the training waits for still needs its batch.

    When the training is killed, torch's own watch leaves a worker waiting to hand over its last batches.
    """
    end_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
