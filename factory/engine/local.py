"""The local executor: this process, or several. For tests, debugging and machines without Ray."""

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from factory.engine.crew import Died, Done, Failed, News, Ready, Working
from factory.engine.order import WorkOrder
from factory.engine.threads import worker_environment
from factory.engine.worker import ShardWorker


class InProcessCrew:
    """One worker, in the driver's own process: the easiest to debug."""

    def __init__(self, order: WorkOrder, on_progress: Callable[[Working], None]) -> None:
        self._order = order
        self._on_progress = on_progress
        self._worker: ShardWorker | None = None
        self._shards: deque[int] = deque()
        self._hired = 0

    def hire(self) -> int:
        self._hired += 1
        return self._hired - 1

    def give(self, worker: int, shard: int) -> None:
        self._shards.append(shard)

    def listen(self, seconds: float) -> list[News]:
        try:
            if self._worker is None:
                self._worker = self._order.start()
                return [Ready(0, self._worker.device)]
            shard = self._shards.popleft()
            return [Done(0, self._worker.run(shard, lambda progress: self._on_progress(Working(0, progress))))]
        except Exception as error:  # noqa: BLE001  (whatever it is, the driver judges it, as for other crews)
            return [Failed(0, error)]

    def dismiss(self) -> None:
        if self._worker is not None:
            self._worker.close()


def _serve(order: WorkOrder, connection: Connection) -> None:
    """A worker process: makes the shards it is sent until its driver hangs up."""

    def tell(kind: str, value: Any) -> None:
        with _leaving_with_the_driver():
            connection.send((kind, value))

    try:
        worker = order.start()
        tell("ready", worker.device)
        while True:
            with _leaving_with_the_driver():
                shard = connection.recv()
            tell("done", worker.run(shard, lambda progress: tell("working", progress)))
    except Exception as error:  # noqa: BLE001  (whatever it is, the driver must hear of it)
        tell("failed", portable(error))


@contextmanager
def _leaving_with_the_driver() -> Iterator[None]:
    """Ends this process in silence where the pipe is broken: the driver is gone, and nothing here is at fault."""
    try:
        yield
    except (EOFError, OSError):
        raise SystemExit from None  # passes by all that handles errors of the disk


def portable(error: Exception) -> Exception:
    """The error itself, or its text where it cannot travel to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  (an error's own code may raise anything here)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class ProcessCrew:
    """Worker processes on this machine."""

    def __init__(self, order: WorkOrder) -> None:
        self._order = order
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[SpawnProcess, Connection]] = {}
        self._hired = 0

    def hire(self) -> int:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._order, there), daemon=True)
        before = dict(os.environ)
        os.environ.update(worker_environment(self._order.plan.threads))  # libraries read it while they load
        resource_tracker.ensure_running()  # its own start would unblock the signals again
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()  # a child keeps the mask: on Ctrl-C in a terminal the driver alone decides
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.environ.clear()
            os.environ.update(before)
        there.close()
        self._workers[self._hired] = (process, here)
        self._hired += 1
        return self._hired - 1

    def give(self, worker: int, shard: int) -> None:
        with suppress(OSError):  # it has just died: listen() will tell
            self._workers[worker][1].send(shard)

    def listen(self, seconds: float) -> list[News]:
        ready = wait([connection for _, connection in self._workers.values()], seconds)
        return [self._hear(number) for number, (_, connection) in list(self._workers.items()) if connection in ready]

    def _hear(self, number: int) -> News:
        process, connection = self._workers[number]
        try:
            kind, value = connection.recv()
        except (EOFError, OSError):
            process.join()
            del self._workers[number]
            return Died(number, _how_it_ended(process.exitcode))
        return _news(number, kind, value)

    def dismiss(self) -> None:
        for process, connection in self._workers.values():
            connection.close()
            process.kill()
        for process, _ in self._workers.values():
            process.join()
        self._workers.clear()


def _news(number: int, kind: str, value: Any) -> News:
    match kind:
        case "ready":
            return Ready(number, value)
        case "working":
            return Working(number, value)
        case "done":
            return Done(number, value)
        case _:
            return Failed(number, value)


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"
