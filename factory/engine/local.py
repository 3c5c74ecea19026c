"""The local executor: this process, or several. For tests, debugging and machines without Ray."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from factory.engine.crew import Done, Lost, News, Ready, Working
from factory.engine.faults import Blame, Fault, fault_of
from factory.engine.order import WorkOrder
from factory.engine.threads import worker_environment
from factory.engine.worker import ShardWorker


class InProcessCrew:
    """One worker at a time, in the driver's own process: the easiest to debug."""

    def __init__(self, order: WorkOrder, on_progress: Callable[[Working], None]) -> None:
        self._order = order
        self._on_progress = on_progress
        self._worker: ShardWorker | None = None
        self._shards: deque[int] = deque()
        self._number = -1

    def hire(self) -> int:
        self._number += 1
        return self._number

    def give(self, worker: int, shard: int) -> None:
        self._shards.append(shard)

    def listen(self, seconds: float) -> list[News]:
        number = self._number
        try:
            if self._worker is None:
                self._worker = self._order.start()
                return [Ready(number, self._worker.device)]
            record = self._worker.run(self._shards.popleft(), lambda so_far: self._on_progress(Working(number, so_far)))
            return [Done(number, record)]
        except Exception as error:  # noqa: BLE001  (whatever it is, the driver judges it, as for other crews)
            fault = fault_of(error)
        self.dismiss()  # outside of the handler: the error's frames hold the line
        return [Lost(number, fault)]

    def dismiss(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = None


def _serve(order: WorkOrder, connection: Connection) -> None:
    """A worker process: makes the shards it is sent until its driver hangs up, or something raises."""

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
        tell("lost", fault_of(error))


@contextmanager
def _leaving_with_the_driver() -> Iterator[None]:
    """Ends this process in silence where the pipe is broken: the driver is gone, and nothing here is at fault."""
    try:
        yield
    except (EOFError, OSError):
        raise SystemExit from None  # passes by all that handles errors of the disk


class ProcessCrew:
    """Worker processes on this machine."""

    def __init__(self, order: WorkOrder) -> None:
        self._order = order
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, tuple[SpawnProcess, Connection]] = {}
        self._pipes = DefaultSelector()
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
        self._pipes.register(here, EVENT_READ, self._hired)
        self._hired += 1
        return self._hired - 1

    def give(self, worker: int, shard: int) -> None:
        with suppress(OSError):  # it has just died: listen() will tell
            self._workers[worker][1].send(shard)

    def listen(self, seconds: float) -> list[News]:
        return [self._hear(key.data) for key, _ in self._pipes.select(seconds)]

    def _hear(self, number: int) -> News:
        process, connection = self._workers[number]
        try:
            kind, value = connection.recv()
        except (EOFError, OSError):
            self._strike_off(number)
            return Lost(number, Fault(Blame.WORKER, _how_it_ended(process.exitcode)))
        match kind:
            case "ready":
                return Ready(number, value)
            case "working":
                return Working(number, value)
            case "done":
                return Done(number, value)
            case _:
                process.kill()  # it has said all, and may take its time to leave
                self._strike_off(number)
                return Lost(number, value)

    def _strike_off(self, number: int) -> None:
        process, connection = self._workers.pop(number)
        self._pipes.unregister(connection)
        connection.close()
        process.join()

    def dismiss(self) -> None:
        for process, connection in self._workers.values():
            connection.close()
            process.kill()
        for process, _ in self._workers.values():
            process.join()
        self._workers.clear()
        self._pipes.close()


def _how_it_ended(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"exit code {exitcode}"
