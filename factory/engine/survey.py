"""Looking at many inputs before a run: on workers, with what was seen remembered, so that no look is done twice.

A look is a pure function of one file, or of a few. Its answer is kept under their paths, sizes and times of change; a
worker checks a file's hash again when it reads it, so a file that lies about these costs nothing but an error. A
question names the version of its look: what an older look saw is not recalled.
"""

import hashlib
import json
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from factory.engine.orphans import end_with_parent
from factory.engine.progress import LiveLine
from factory.engine.threads import pin_threads, pinned
from factory.shards.durable import make_folder

Answer: TypeAlias = dict[str, Any]
"""What a look found, as plain JSON."""

Item: TypeAlias = tuple[str, ...]
"""The absolute paths of the files that are looked at together."""

Look: TypeAlias = Callable[..., Answer]
"""Called with an item's paths. Importable by name, for it travels to other processes. Tells of bad data in its answer;
an exception is the machine's fault and ends the survey. It runs on one thread, for thread counts change pixels."""

PATIENCE = 2.0  # seconds before a live line is shown
SPAWN = multiprocessing.get_context("spawn")
IN_FLIGHT = 4  # looks per worker that are handed out ahead


class Memory:
    """A file of earlier answers, one JSON line each; a torn line is forgotten.

    file: None remembers nothing.  keeps: whether new answers are written.
    """

    def __init__(self, file: Path | None, *, keeps: bool = True) -> None:
        self._file = file
        self._keeps = keeps and file is not None
        self._known: dict[str, Answer] = {}
        if file is not None and file.exists():
            for line in file.read_bytes().split(b"\n"):
                digest, _, text = line.partition(b" ")
                if text and digest == _digest(text):
                    name, answer = json.loads(text)
                    self._known[name] = answer

    def recall(self, question: str, item: Item) -> Answer | None:
        """The answer of an earlier look at this very file."""
        return self._known.get(_name(question, item))

    def keep(self, question: str, item: Item, answer: Answer) -> None:
        """Remember, on disk at once: a killed survey loses only what was in flight."""
        if self._file is None or not self._keeps:
            return
        text = json.dumps([_name(question, item), answer]).encode()
        make_folder(self._file.parent)
        with self._file.open("ab", buffering=0) as file:
            file.write(b"\n" + _digest(text) + b" " + text)


def _name(question: str, item: Item) -> str:
    states = [(path, (status := Path(path).stat()).st_size, status.st_mtime_ns) for path in item]
    return json.dumps([question, states])


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


@dataclass(frozen=True)
class Surveyor:
    """Who looks, and who is told.

    workers: 0 is one per core.  out: where a live line goes.
    """

    executor: Literal["ray", "local"]
    workers: int
    memory: Memory
    out: TextIO = field(default_factory=lambda: sys.stderr)  # that of now, not of the import

    def __call__(
        self, what: str, question: str, look: Look, items: Sequence[Item], *, crashed: Look, few: int = 1
    ) -> list[Answer]:
        """The answers in the order of the items.

        what: "files", for the live line.  question: names look and settings; answers to another one do not count.
        crashed: the answer for files over which the process that looked at them died.
        few: so many looks are done here; starting other processes would take longer.
        """
        wanted = list(dict.fromkeys(items))
        answers = {item: answer for item in wanted if (answer := self.memory.recall(question, item)) is not None}
        unknown = [item for item in wanted if item not in answers]
        line = LiveLine(lambda: f"looked at {len(answers):,} of {len(wanted):,} {what}", self.out, PATIENCE)
        alone = len(unknown) <= few or self.workers == 1
        for item, answer in _ask(look, unknown, self.executor, 1 if alone else self.workers, crashed):
            self.memory.keep(question, item, answer)
            answers[item] = answer
            line.show()
        line.end()
        return [answers[item] for item in items]


def _ask(
    look: Look, items: Sequence[Item], executor: Literal["ray", "local"], asked: int, crashed: Look
) -> Iterator[tuple[Item, Answer]]:
    if asked == 1:
        with pinned(1):
            yield from ((item, look(*item)) for item in items)
    elif executor == "ray":
        yield from _on_ray(look, items, asked, crashed)
    else:
        yield from _in_processes(look, items, asked or os.cpu_count() or 1, crashed)


def _in_processes(look: Look, items: Sequence[Item], workers: int, crashed: Look) -> Iterator[tuple[Item, Answer]]:
    """A pool breaks as a whole when one process dies: the looks it had in hand are then done one by one."""
    waiting = deque(items)
    while waiting:
        for item in (yield from _until_broken(look, waiting, workers)):
            try:
                with ProcessPoolExecutor(1, SPAWN, _begin) as alone:
                    yield item, alone.submit(look, *item).result()
            except BrokenProcessPool:
                yield item, crashed(*item)


def _begin() -> None:
    """In a process of the pool, which would wait for work for ever."""
    pin_threads(1)
    end_with_parent()


def _until_broken(
    look: Look, waiting: deque[Item], workers: int
) -> Generator[tuple[Item, Answer], None, Iterable[Item]]:
    """Look until nothing waits, or a process dies; returns what was in hand then."""
    pool = ProcessPoolExecutor(min(workers, len(waiting)), SPAWN, _begin)
    in_hand: dict[Future[Answer], Item] = {}
    try:
        while waiting or in_hand:
            while waiting and len(in_hand) < IN_FLIGHT * workers:
                in_hand[pool.submit(look, *waiting[0])] = waiting[0]
                waiting.popleft()
            for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                answer = future.result()
                yield in_hand.pop(future), answer
    except BrokenProcessPool:
        return in_hand.values()
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or an interrupt nothing else is begun
    return ()


def _on_ray(look: Look, items: Sequence[Item], asked: int, crashed: Look) -> Iterator[tuple[Item, Answer]]:
    """A look whose process dies may have had a greedy neighbour: it is tried once more, by itself.

    asked: workers; 0 is one per core of the cluster.
    """
    import ray  # noqa: PLC0415  (0.8 s)

    from factory.engine import on_ray  # noqa: PLC0415

    on_ray.connect(0, 0)
    task: Any = ray.remote(_call).options(num_cpus=1, max_retries=0)
    shared = ray.put(look)
    ahead = asked or IN_FLIGHT * on_ray.resources()[0]
    waiting: dict[Any, Item] = {}
    queue = deque(items)
    suspects: deque[Item] = deque()
    try:
        while queue or waiting or suspects:
            while queue and len(waiting) < ahead:
                item = queue.popleft()
                waiting[task.remote(shared, *item)] = item
            is_alone = not waiting
            if is_alone:
                item = suspects.popleft()
                waiting[task.remote(shared, *item)] = item
            for ref in ray.wait(list(waiting))[0]:
                item = waiting.pop(ref)
                try:
                    yield item, ray.get(ref)
                except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                    if is_alone:
                        yield item, crashed(*item)
                    else:
                        suspects.append(item)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
    finally:
        for ref in waiting:
            ray.cancel(ref, force=True)


def _call(look: Look, *item: str) -> Answer:
    """Ray sends functions alone; a look may be an object with settings."""
    pin_threads(1)
    return look(*item)
