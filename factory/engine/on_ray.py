"""The Ray executor: actors pinned to GPUs, one shard per call; summaries come back, never pixels.

max_restarts=0: the driver sees each death and replaces the actor itself (Ray's own restarts would hide them).
"""

import logging
import os
import re
import signal
import socket
import time
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, NodeDiedError, RayError, RayTaskError

from factory.engine.crew import Died, Done, Failed, News, Ready, Working
from factory.engine.order import WorkOrder
from factory.engine.software import software
from factory.engine.threads import worker_environment
from factory.engine.worker import ShardProgress, ShardWorker
from factory.errors import UsageError
from factory.shards.commit import CommitRecord
from factory.shards.layout import Layout

NODE_LOSS_SECONDS = 60.0  # after which Ray has certainly made up its mind about a node
JOIN_SECONDS = 10.0  # for a cluster's address to answer
POLL_SECONDS = 1.0  # how often running actors are asked how far they are


class _Actor:
    """Holds one ShardWorker. Two concurrent calls: one makes a shard, one answers how far it is."""

    def __init__(self) -> None:
        self._worker: ShardWorker | None = None
        self._progress: ShardProgress | None = None

    def start(self, order: WorkOrder, token: str, expected: dict[str, str]) -> tuple[str, str]:
        """Prove that this node sees the output folder and runs the same software, then build the line.

        Returns the node's id and the device.
        """
        seen = Layout(order.root).scratch / order.run / "token"
        if not seen.exists() or seen.read_text() != token:
            raise UsageError(
                f"node {socket.gethostname()} does not see {order.root}: put --out on a file system all nodes share."
            )
        if dict(software()) != expected:
            raise UsageError(
                f"node {socket.gethostname()} runs other software than the driver: use one image on all nodes."
            )
        self._worker = order.start()
        return str(ray.get_runtime_context().get_node_id()), self._worker.device

    def run(self, shard: int) -> CommitRecord:
        assert self._worker is not None  # the driver gives shards only to ready workers
        try:
            return self._worker.run(shard, self._note)
        finally:
            self._progress = None

    def _note(self, progress: ShardProgress) -> None:
        self._progress = progress

    def progress(self) -> ShardProgress | None:
        return self._progress


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
        self._calls: dict[Any, tuple[int, str]] = {}
        self._polls: dict[Any, int] = {}
        self._polled = time.monotonic()
        self._hired = 0

    def hire(self) -> int:
        number = self._hired
        self._hired += 1
        actor = self._class.options(**self._options).remote()
        self._actors[number] = actor
        self._calls[actor.start.remote(self._order_ref, self._token, dict(software()))] = (number, "start")
        return number

    def give(self, worker: int, shard: int) -> None:
        self._calls[self._actors[worker].run.remote(shard)] = (worker, "run")

    def listen(self, seconds: float) -> list[News]:
        self._ask_for_progress()
        ready, _ = ray.wait([*self._calls, *self._polls], num_returns=1, timeout=seconds)
        news = []
        for ref in ready:
            if ref in self._polls:
                news += self._hear_progress(ref)
            else:
                news.append(self._hear(ref))
        return news

    def _ask_for_progress(self) -> None:
        if time.monotonic() - self._polled < POLL_SECONDS:
            return
        self._polled = time.monotonic()
        asked = set(self._polls.values())
        for number, kind in list(self._calls.values()):
            if kind == "run" and number not in asked:
                self._polls[self._actors[number].progress.remote()] = number

    def _hear_progress(self, ref: Any) -> list[News]:
        number = self._polls.pop(ref)
        try:
            progress = ray.get(ref)
        except RayError:
            return []  # its run call tells of the death
        busy = (number, "run") in self._calls.values()  # an answer may come after the shard is done
        return [Working(number, progress)] if progress is not None and busy else []

    def _hear(self, ref: Any) -> News:
        number, kind = self._calls.pop(ref)
        try:
            value = ray.get(ref)
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            return Failed(number, cause)
        except RayError as error:  # the actor died, was killed for memory, or could not be started
            actor = self._actors.pop(number)
            blameless = self._node_was_lost(number, actor, error)
            ray.kill(actor)
            return Died(number, _how_it_ended(error), blameless)
        if kind == "start":
            self._nodes[number], device = value
            return Ready(number, device)
        return Done(number, value)

    def _node_was_lost(self, number: int, actor: Any, error: RayError) -> bool:
        """Whether the death says nothing of the shard. Ray knows a lost node only after some missed heartbeats: until
        then the actor is "unavailable", and one waiting for that node is cancelled before it ever ran.
        """
        deadline = time.monotonic() + NODE_LOSS_SECONDS
        while isinstance(error, ActorUnavailableError) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            try:
                ray.get(actor.progress.remote(), timeout=POLL_SECONDS)
            except GetTimeoutError:
                continue
            except RayError as now:
                error = now
            else:
                return True  # it answers again: only the network blinked
        if isinstance(error, NodeDiedError):
            return True
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        return "never ran" in str(error) or (number in self._nodes and self._nodes[number] not in alive)

    def dismiss(self) -> None:
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
