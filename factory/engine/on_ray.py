"""The Ray executor: actors pinned to GPUs, one shard per call; summaries come back, never pixels.

max_restarts=0: the driver sees each death and replaces the actor itself (Ray's own restarts would hide them).
Each answer is put into a queue as it comes: what it costs the driver to hear one does not grow with the actors.
"""

import logging
import os
import re
import signal
import socket
import tempfile
import time
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeAlias

import ray
from ray.exceptions import ActorUnavailableError, NodeDiedError, RayError, RayTaskError

from factory.engine.crew import Done, Lost, News, Ready, Working
from factory.engine.faults import Blame, Fault, fault_of
from factory.engine.order import WorkOrder
from factory.engine.software import software
from factory.engine.threads import worker_environment
from factory.engine.worker import ShardProgress, ShardWorker
from factory.errors import UsageError
from factory.shards.commit import CommitRecord
from factory.shards.layout import Layout

NODE_LOSS_SECONDS = 60.0  # after which Ray has certainly made up its mind about a node
JOIN_SECONDS = 10.0  # for a cluster's address to answer
POLL_SECONDS = 1.0  # how often running actors are asked how far they are,
POLLS = 20  # and how many of them: in turn where there are more, for each question costs the driver a millisecond

Call: TypeAlias = Literal["node", "start", "run", "progress", "again"]


class _Actor:
    """Holds one ShardWorker. Two concurrent calls: one makes a shard, one answers how far it is."""

    def __init__(self) -> None:
        self._worker: ShardWorker | None = None
        self._progress: ShardProgress | None = None

    def node(self) -> str:
        """The id of the node it is on."""
        return str(ray.get_runtime_context().get_node_id())

    def start(self, order: WorkOrder, token: str, expected: dict[str, str]) -> str | Fault:
        """Build the line; returns the device."""
        try:
            _check_node(order, token, expected)
            self._worker = order.start()
        except Exception as error:  # noqa: BLE001  (whatever it is, the driver must hear of it)
            return fault_of(error)
        return self._worker.device

    def run(self, shard: int) -> CommitRecord | Fault:
        assert self._worker is not None  # the driver gives shards only to ready workers
        try:
            return self._worker.run(shard, self._note)
        except Exception as error:  # noqa: BLE001  (as above)
            return fault_of(error)
        finally:
            self._progress = None

    def _note(self, progress: ShardProgress) -> None:
        self._progress = progress

    def progress(self) -> ShardProgress | None:
        return self._progress


def _check_node(order: WorkOrder, token: str, expected: dict[str, str]) -> None:
    """Raises UsageError unless this node sees the output folder and runs the driver's software."""
    seen = Layout(order.root).scratch / order.run / "token"
    if not seen.exists() or seen.read_text() != token:
        raise UsageError(
            f"node {socket.gethostname()} does not see {order.root}: put --out on a file system all nodes share."
        )
    if dict(software()) != expected:
        raise UsageError(
            f"node {socket.gethostname()} runs other software than the driver: use one image on all nodes."
        )


def connect(gpus: int, wait_for_gpus: float) -> None:
    """Join the cluster named by RAY_ADDRESS, or start one on this machine.

    Raises UsageError where more GPUs are asked for than the cluster has (after `wait_for_gpus` seconds, for clusters
    that grow): Ray itself would queue for ever.
    """
    if not ray.is_initialized():
        _join(os.environ.get("RAY_ADDRESS", ""))
    deadline = time.monotonic() + wait_for_gpus
    while (found := int(ray.cluster_resources().get("GPU", 0))) < gpus:
        if time.monotonic() >= deadline:
            raise UsageError(
                f"{gpus} GPUs are asked for but the cluster has {found}: use --gpus {found}, "
                "or --wait-for-gpus SECONDS if it is growing."
            )
        time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


def _join(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        if place := re.fullmatch(r"(?:ray://)?([\w.-]+):(\d+)", address):  # ray.init would try it for ever
            socket.create_connection((place[1], int(place[2])), JOIN_SECONDS).close()
        ray.init(
            address or "local",  # without an address Ray would join whatever cluster happens to run on this machine
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        if "AF_UNIX path length" in str(error):
            folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
            raise UsageError(
                f"Ray's sockets do not fit under {folder}, its path is too long: set RAY_TMPDIR to a short folder of "
                "this machine, such as /tmp, or use --executor local."
            ) from error
        where = f"the Ray cluster at RAY_ADDRESS={address} cannot be joined" if address else "Ray does not start here"
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{where} ({reason}): mend that, or use --executor local.") from error
    signal.signal(signal.SIGTERM, on_terminate)  # Ray puts its own there, which ends the process with exit code 15


def resources() -> tuple[int, int]:
    """CPUs and GPUs of the cluster."""
    found = ray.cluster_resources()
    return int(found.get("CPU", 1)), int(found.get("GPU", 0))


def _how_it_ended(error: RayError) -> str:
    """The first sentence of what Ray knows; pages of general advice follow it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    _, found, detail = lines[-1].rpartition("Worker exit detail: ")
    return (detail.partition(". ")[0] if found else lines[0]).rstrip(".")


class RayCrew:
    """Actors of one run."""

    def __init__(self, order: WorkOrder, workers: int, gpus_per_worker: float) -> None:
        self._order = order
        threads = order.plan.threads
        # More CPU workers than cores are let in on purpose (tests, tiny machines): they share what there is.
        cpus = min(float(threads), ray.cluster_resources().get("CPU", 1.0) / workers)
        environment = worker_environment(threads)
        if gpus_per_worker == 0:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        self._options: dict[str, Any] = {
            "num_cpus": round(cpus, 3),
            "num_gpus": gpus_per_worker,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 2,
            "runtime_env": {"env_vars": environment},
        }
        self._class: Any = ray.remote(_Actor)
        self._order_ref = ray.put(order)
        self._token = os.urandom(16).hex()
        scratch = Layout(order.root).scratch / order.run
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "token").write_text(self._token)
        self._actors: dict[int, Any] = {}
        self._nodes: dict[int, str] = {}
        self._answers: SimpleQueue[tuple[int, Call, Future[Any]]] = SimpleQueue()
        self._busy: set[int] = set()
        self._turns: dict[int, None] = {}  # busy actors to be asked how far they are, the longest unasked first
        self._doubted: dict[int, tuple[RayError, float]] = {}  # actors out of reach: why, and until when to ask again
        self._polled = time.monotonic()
        self._hired = 0

    def hire(self) -> int:
        number = self._hired
        self._hired += 1
        actor = self._class.options(**self._options).remote()
        self._actors[number] = actor
        self._expect(number, "node", actor.node.remote())
        self._expect(number, "start", actor.start.remote(self._order_ref, self._token, dict(software())))
        return number

    def give(self, worker: int, shard: int) -> None:
        self._busy.add(worker)
        self._turns[worker] = None
        self._expect(worker, "run", self._actors[worker].run.remote(shard))

    def _expect(self, number: int, call: Call, ref: Any) -> None:
        ref.future().add_done_callback(lambda answer: self._answers.put((number, call, answer)))

    def listen(self, seconds: float) -> list[News]:
        news = self._ask()
        with suppress(Empty):
            news += self._hear(*self._answers.get(timeout=0 if news else seconds))
            while True:
                news += self._hear(*self._answers.get_nowait())
        return news

    def _ask(self) -> list[News]:
        """Once a second, some actors how far they are, and those out of reach whether they are there again."""
        now = time.monotonic()
        if now - self._polled < POLL_SECONDS:
            return []
        self._polled = now
        for number in list(islice(self._turns, POLLS)):
            del self._turns[number]
            self._expect(number, "progress", self._actors[number].progress.remote())
        given_up = [number for number, (_, deadline) in self._doubted.items() if now > deadline]
        news: list[News] = [self._bury(number, self._doubted[number][0]) for number in given_up]
        for number in self._doubted:
            self._expect(number, "again", self._actors[number].node.remote())
        return news

    def _hear(self, number: int, call: Call, answer: Future[Any]) -> list[News]:
        if number not in self._actors:  # it was let go before it answered
            return []
        try:
            value = answer.result()
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            return [self._let_go(number, fault_of(cause, str(error)))]
        except RayError as error:  # the actor died, was killed for memory, or could not be started
            return self._hear_of_trouble(number, call, error)
        return self._hear_answer(number, call, value)

    def _hear_answer(self, number: int, call: Call, value: Any) -> list[News]:
        match call:
            case "node":
                self._nodes[number] = value
            case "progress" if number in self._busy:  # an answer may come after the shard is done
                self._turns[number] = None
                return [Working(number, value)] if value is not None else []
            case "again" if number in self._doubted:  # only the network blinked, but its shard is lost
                return [self._let_go(number, _out_of_reach(self._doubted[number][0]), blameless=True)]
            case "start" | "run" if isinstance(value, Fault):
                return [self._let_go(number, value)]
            case "start":
                return [Ready(number, value, self._nodes.get(number, ""))]
            case "run":
                self._rest(number)
                return [Done(number, value)]
        return []

    def _hear_of_trouble(self, number: int, call: Call, error: RayError) -> list[News]:
        """Ray knows a lost node only after some missed heartbeats; until then its actors are "unavailable"."""
        if call in ("node", "progress"):  # its start or its shard tells of it too
            return []
        if not isinstance(error, ActorUnavailableError):
            return [self._bury(number, error)]
        self._rest(number)
        self._doubted.setdefault(number, (error, time.monotonic() + NODE_LOSS_SECONDS))
        return []

    def _bury(self, number: int, error: RayError) -> Lost:
        """Whether the death says nothing of the shard: an actor waiting for a lost node is cancelled before it ran."""
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        node_is_lost = number in self._nodes and self._nodes[number] not in alive
        blameless = isinstance(error, NodeDiedError) or "never ran" in str(error) or node_is_lost
        return self._let_go(number, _out_of_reach(error), blameless)

    def _let_go(self, number: int, fault: Fault, blameless: bool = False) -> Lost:
        ray.kill(self._actors.pop(number))
        self._rest(number)
        self._doubted.pop(number, None)
        return Lost(number, fault, self._nodes.pop(number, ""), blameless)

    def _rest(self, number: int) -> None:
        self._busy.discard(number)
        self._turns.pop(number, None)

    def dismiss(self) -> None:
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()


def _out_of_reach(error: RayError) -> Fault:
    return Fault(Blame.WORKER, _how_it_ended(error))
