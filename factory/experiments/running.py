"""The cells at work, one after the other in this process, or several at a time in a process each."""

import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.context import SpawnProcess
from threading import Lock

from factory.engine.orphans import end_with_parent
from factory.engine.threads import pin_threads
from factory.errors import Interrupted, MachineError
from factory.experiments.cells import C, Outcome, Runner, outcome_of, write_about, write_failure, write_result
from factory.shards.durable import write_durably

THREADS = 1  # of each cell: another number changes what is learned
TRACE = "failed.txt"


def run_cells(cells: Sequence[C], run: Runner[C], workers: int, tell: Callable[[Outcome], None]) -> None:
    """Run those cells that are not done; what became of each lies in its folder, and is told.

    One that fails costs no other.  Raises Interrupted, and MachineError where there is no going on.
    """
    missing = list({cell.fingerprint: cell for cell in cells if not outcome_of(cell).measured}.values())
    pin_threads(THREADS)  # children inherit it
    if workers == 1:
        for cell in missing:
            run_cell(cell, run)
            tell(outcome_of(cell))
        return
    apart = _Processes()
    pool = ThreadPoolExecutor(workers)
    try:
        for done in as_completed([pool.submit(apart.run, cell, run) for cell in missing]):
            tell(done.result())
    finally:
        apart.stop()
        pool.shutdown(cancel_futures=True)


def run_cell(cell: C, run: Runner[C]) -> None:
    """Into the cell's folder."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    write_about(cell)
    try:
        write_result(cell, run(cell, cell.folder))
    except (Interrupted, MachineError):
        raise
    except Exception as error:  # noqa: BLE001  (whatever is wrong with one arm, the others go on; the table says so)
        write_failure(cell, " ".join(f"{type(error).__name__}: {error}".split()))
        write_durably(cell.folder / TRACE, "".join(traceback.format_exception(error)).encode())


def _alone(cell: C, run: Runner[C]) -> None:
    """A process's whole work. Were it to outlive a killed run, the next would train in the same folder beside it."""
    end_with_parent()
    pin_threads(THREADS)
    try:
        run_cell(cell, run)
    except MachineError as error:
        write_failure(cell, str(error))
    except (Interrupted, KeyboardInterrupt):
        raise SystemExit(Interrupted.exit_code) from None


class _Processes:
    """One process a cell, so that none outlives its memory, and all end with the run."""

    def __init__(self) -> None:
        self._running: set[SpawnProcess] = set()
        self._lock = Lock()
        self._stopped = False

    def run(self, cell: C, run: Runner[C]) -> Outcome:
        """Wait for it; a process that was killed is a failed cell."""
        process = multiprocessing.get_context("spawn").Process(target=_alone, args=(cell, run))
        with self._lock:
            if self._stopped:
                return Outcome(cell)
            process.start()
            self._running.add(process)
        process.join()
        with self._lock:
            self._running.discard(process)
        if process.exitcode and not self._stopped:
            how = f"of signal {-process.exitcode}" if process.exitcode < 0 else f"with {process.exitcode}"
            write_failure(cell, f"its process ended {how}")
        return outcome_of(cell)

    def stop(self) -> None:
        """Trainings save before they end."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
