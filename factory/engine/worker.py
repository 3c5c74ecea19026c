"""Makes one shard: rounds of attempts over its open slots, in fixed batches, and one atomic commit.

Nothing here depends on scheduling: round a takes the shard's open slots in slot order, cuts them into batches of
the plan's size, and takes results up in that same order, however many threads finish them.
"""

import errno
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, TypeAlias
from uuid import uuid4

from factory.engine.inputs import ATTEMPTS, InputTable
from factory.engine.legs import Leg, Passing, Singly, begin, go, go_singly
from factory.engine.line import Line
from factory.engine.plan import Plan, Shard, read_plan, sample_seed
from factory.engine.software import software
from factory.errors import DataError, MachineError, what_failed
from factory.sample import Admission, Rejection, Request, Sample
from factory.shards.commit import CommitRecord, FileRecord, commit, digest_file
from factory.shards.keys import attempt_name, make_key, shard_name
from factory.shards.layout import Layout
from factory.shards.manifest import (
    accepted_row,
    extent_columns,
    failed_row,
    hash_columns,
    rejected_row,
    write_table,
)
from factory.shards.members import are_there
from factory.shards.writer import ShardWriter

SPOOL_BYTES = 256 << 20  # encoded samples of an open shard stay in memory up to this size
BATCHES_IN_FLIGHT = 2  # sampled, not yet taken up: bounds memory and keeps the finishing threads fed
THUMBNAILS_PER_REASON = 2
FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """How far an open shard is."""

    shard: int
    attempts: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample as it will lie in the shard, or, where a gate turned it down, in the tar of rejected attempts."""

    sample: Sample
    members: Mapping[str, bytes]
    meta: Mapping[str, Any]
    rejection: Rejection | None = None


Outcome: TypeAlias = Encoded | Rejection | DataError
Timed: TypeAlias = tuple[Outcome, Mapping[str, float]]  # with the seconds spent by stage
Pending: TypeAlias = tuple[Request, Future[Timed]]
Spooled: TypeAlias = tuple[Request, Mapping[str, tuple[int, int]]]  # with the place of each member in the spool


@dataclass
class OpenShard:
    """The state of the shard in work; dropped whole if anything of the machine fails."""

    shard: Shard
    admit: Admission
    spool: IO[bytes]
    legs: Sequence[Leg] = ()  # that each batch goes before its samples are finished
    finishing: Singly = field(default_factory=dict)  # the stages that are left then
    rows: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)  # by (slot, attempt)
    filled: dict[int, Spooled] = field(default_factory=dict)  # by slot
    kept: dict[tuple[int, int], Spooled] = field(default_factory=dict)  # rejected, by (slot, attempt)
    hopeless: set[int] = field(default_factory=set)  # slots whose item would fail of the same again
    reasons: dict[int, tuple[str, ...]] = field(default_factory=lambda: defaultdict(tuple))  # by slot, see Request
    thumbnails: dict[tuple[str, int], tuple[str, bytes]] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def progress(self) -> ShardProgress:
        """Attempts whose outcome is known."""
        return ShardProgress(self.shard.number, len(self.rows), len(self.filled))

    def keep(self, encoded: Encoded) -> None:
        """Spool the members and let go of the pictures; the tars are written in key order when the shard is full."""
        request, split = encoded.sample.request, self.shard.segment.split
        place = (request.slot, request.attempt)
        places = {}
        for extension, body in encoded.members.items():
            places[extension] = (self.spool.tell(), len(body))
            self.spool.write(body)
        if (rejection := encoded.rejection) is None:
            self.filled[request.slot] = (request, places)
            self.rows[place] = accepted_row(encoded.sample, split, encoded.meta)
        else:
            self.kept[place] = (request, places)
            row = rejected_row(encoded.sample, split, rejection.reason, rejection.detail)
            self.rows[place] = row | hash_columns(encoded.meta)

    def members(self, places: Mapping[str, tuple[int, int]]) -> dict[str, bytes]:
        """The spooled bytes of one sample."""
        members = {}
        for extension, (offset, size) in places.items():
            self.spool.seek(offset)
            members[extension] = self.spool.read(size)
        return members


@contextmanager
def faults_name(folder: Path) -> Iterator[None]:
    """Faults of the disk that name no file name this folder."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise


@contextmanager
def full_for_all(folder: Path) -> Iterator[None]:
    """A set's folder that is full is so for every worker: only people can mend it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise MachineError(
                f"{folder} is full ({what_failed(error, folder)}): make room, then run the same command again."
            ) from error
        raise


class ShardWorker:
    """Holds the built line (models, open tables) and makes shards with it, in whatever process it lives."""

    def __init__(
        self,
        root: Path,
        run: str,
        plan: Plan,
        line: Line,
        *,
        thumbnail: Callable[[Rejection], bytes],
        finishing_threads: int = 1,
    ) -> None:
        self._layout = Layout(root)
        self._store = self._layout.store
        self._run = run
        self._plan = plan
        self._line = line
        self._thumbnail = thumbnail
        self._scratch = self._layout.scratch / run / uuid4().hex  # a lost worker may still be at the same shard
        self._tables = {
            segment.table: InputTable(self._layout.inputs / f"{segment.table}.arrow")
            for segment in plan.segments
            if segment.table
        }
        self._pool = ThreadPoolExecutor(finishing_threads, thread_name_prefix="finish")
        self._ahead = finishing_threads  # samples that wait for a thread, where the source need not make all at once
        self._software = software()

    def run(self, number: int, report: Callable[[ShardProgress], None]) -> CommitRecord:
        """Make and commit shard `number`; `report` is told after each batch.

        The samples are spooled on this machine's own disk (where TMPDIR says), so that a shared folder is written once.

        Raises MachineError where the set's folder is full, OSError for other faults of this machine, and whatever the
        line raised; then nothing is published but garbage that a rerun overwrites.
        """
        started = time.monotonic()
        shard = self._plan.shard(number)
        with faults_name(Path(tempfile.gettempdir())), tempfile.SpooledTemporaryFile(SPOOL_BYTES, mode="w+b") as spool:
            legs, finishing = begin(self._line.stages)
            state = OpenShard(shard, self._line.admission(), spool, legs, finishing)
            attempts = self._fill(state, report)
            spool.flush()  # here, for a full scratch is not a full set
            with full_for_all(self._layout.root), faults_name(self._layout.root):
                return self._publish(state, attempts, started)

    @property
    def device(self) -> str:
        """What the line computes on."""
        return self._line.devices

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _fill(self, state: OpenShard, report: Callable[[ShardProgress], None]) -> int:
        """All rounds; returns the number of attempts made."""
        made = 0
        open_requests = self._requests(state, range(state.shard.slots), 0)
        for attempt in range(state.shard.segment.attempts):
            size = self._plan.batch_size
            in_flight: deque[list[Pending]] = deque()
            for start in range(0, len(open_requests), size):
                batch = open_requests[start : start + size]
                in_flight.append(self._start(state, batch))
                made += len(batch)
                if len(in_flight) >= BATCHES_IN_FLIGHT:
                    self._take_up(state, in_flight.popleft())
                report(state.progress())
            while in_flight:
                self._take_up(state, in_flight.popleft())
            report(state.progress())
            unfilled = [r.slot for r in open_requests if r.slot not in state.filled and r.slot not in state.hopeless]
            indexes = [slot - state.shard.first_slot for slot in unfilled]
            open_requests = self._requests(state, indexes, attempt + 1)
            if not open_requests:
                break
        return made

    def _requests(self, state: OpenShard, indexes: Sequence[int], attempt: int) -> list[Request]:
        """One request per index in the shard, without the holes of the input table. Earlier rounds are taken up.

        attempt: the round's number; where a row lists its own attempts, the one at that place of the list.
        """
        shard = state.shard
        table = self._tables.get(shard.segment.table)
        requests = []
        for index in indexes:
            item = table.row((shard.first + index) % shard.segment.rows) if table is not None else {}
            if item is None:
                continue
            own = item.pop(ATTEMPTS, None)
            for number in [attempt] if own is None else own[attempt : attempt + 1]:
                slot = shard.first_slot + index
                seed = sample_seed(self._plan.seed, slot, number)
                key = make_key(shard.number, index)
                requests.append(
                    Request(key=key, slot=slot, attempt=number, seed=seed, item=item, reasons=state.reasons[slot])
                )
        return requests

    def _start(self, state: OpenShard, batch: Sequence[Request]) -> list[Pending]:
        """Make the raw samples and go their earlier legs here, hand each to the finishing threads.

        Of a source that hands out one after the other few are in memory at a time, unless a stage wants the batch.
        """
        started = time.monotonic()
        samples = self._line.sources[state.shard.segment.source](batch)
        state.seconds["source"] += time.monotonic() - started
        one_by_one = not isinstance(samples, Sequence)
        passing: Iterable[Passing] = map(Passing, self._timed(iter(samples), state))
        if state.legs:
            together = list(passing)
            for leg in state.legs:
                go(leg, together, self._pool)
            passing = together
        pending: list[Pending] = []
        for request, one in zip(batch, passing, strict=True):
            pending.append((request, self._pool.submit(self._finish, state.finishing, one)))
            if one_by_one and len(pending) > self._ahead:
                wait([pending[-self._ahead - 1][1]])
        return pending

    def _timed(self, samples: Iterator[Sample | DataError], state: OpenShard) -> Iterator[Sample | DataError]:
        """The same, their making counted as the source's time."""
        while True:
            started = time.monotonic()
            sample = next(samples, None)
            state.seconds["source"] += time.monotonic() - started
            if sample is None:
                return
            yield sample

    def _finish(self, stages: Singly, passing: Passing) -> Timed:
        """The last stages and the encoding of one sample, in a finishing thread."""
        go_singly(stages, passing)
        outcome, seconds = passing.outcome, passing.seconds
        rejection = outcome if isinstance(outcome, Rejection) else None
        sample = outcome.sample if isinstance(outcome, Rejection) and self._is_kept(outcome) else outcome
        if not isinstance(sample, Sample):
            return sample, seconds
        started = time.monotonic()
        try:
            members, meta = self._line.encode(sample)
        except DataError as error:
            return error, seconds
        seconds["encode"] = time.monotonic() - started
        return Encoded(sample, members, meta, rejection), seconds

    def _is_kept(self, rejection: Rejection) -> bool:
        """Whether the attempt is stored. One that was turned down half made cannot be."""
        return self._plan.keep_rejected and are_there(self._plan.members, rejection.sample)

    def _take_up(self, state: OpenShard, batch: Sequence[Pending]) -> None:
        """Record a batch's outcomes in slot order."""
        split = state.shard.segment.split
        for request, future in batch:
            outcome, seconds = future.result()
            for name, value in seconds.items():
                state.seconds[name] += value
            if isinstance(outcome, Encoded) and outcome.rejection is None:
                outcome = self._admitted(state, outcome)
            place = (request.slot, request.attempt)
            match outcome:
                case Encoded(rejection=None):
                    state.keep(outcome)
                case Encoded(rejection=Rejection() as rejection):
                    state.keep(outcome)
                    self._count(state, rejection)
                case Rejection():
                    state.rows[place] = rejected_row(outcome.sample, split, outcome.reason, outcome.detail)
                    self._count(state, outcome)
                case DataError():
                    state.rows[place] = failed_row(request, split, outcome)
                    state.failed[outcome.kind] += 1
                    state.reasons[request.slot] += (outcome.kind,)
                    if outcome.final:
                        state.hopeless.add(request.slot)

    def _admitted(self, state: OpenShard, encoded: Encoded) -> Encoded | Rejection:
        """The same, unless the shard's own gate turns it down."""
        rejection = state.admit(encoded.sample)
        if rejection is None:
            return encoded
        return replace(encoded, rejection=rejection) if self._is_kept(rejection) else rejection

    def _count(self, state: OpenShard, rejection: Rejection) -> None:
        """Count it for its shard and its slot, and keep the first pictures of each reason."""
        request = rejection.sample.request
        seen = state.rejected[rejection.reason]
        state.rejected[rejection.reason] += 1
        state.reasons[request.slot] += (rejection.reason,)
        if seen < THUMBNAILS_PER_REASON:
            name = f"{attempt_name(request.key, request.attempt)}.{rejection.reason}"
            state.thumbnails[(rejection.reason, seen)] = (name, self._thumbnail(rejection))

    def _publish(self, state: OpenShard, attempts: int, started: float) -> CommitRecord:
        """First the tar, then part, rejected pictures and rejected attempts, last the record: it is the commit point.

        All is written beside the set, on the file system on which it is then renamed.
        """
        shard, split = state.shard, state.shard.segment.split
        name = shard_name(shard.number)
        kinds = ("tar", "parquet", "rejected", "attempts")
        tar, part, rejected, kept = (self._scratch / f"{name}.{kind}" for kind in kinds)
        self._scratch.mkdir(parents=True, exist_ok=True)
        for leftover in (tar, part, rejected, kept):
            leftover.unlink(missing_ok=True)
        writing = time.monotonic()
        with ShardWriter(tar) as writer:
            for slot in sorted(state.filled):
                request, places = state.filled[slot]
                extents = writer.add(request.key, state.members(places))
                state.rows[slot, request.attempt] |= extent_columns(extents)
        attempts_record = self._write_kept(state, kept)
        rows = [state.rows[place] for place in sorted(state.rows)]
        write_table(rows, self._plan.members, part, self._plan.asked_scores)
        with ShardWriter(rejected) as thumbnails:
            for name, picture in sorted(state.thumbnails.values()):
                thumbnails.add(name, {"png": picture})
        part_record = digest_file(part, self._layout.part(shard.number).name)
        tar_name = self._layout.tar(shard.number, split).name if state.filled else ""
        rejected_name = self._layout.rejected_tar(shard.number).name if state.thumbnails else ""
        self._check_ownership(shard.number)
        if tar_name:
            self._store.publish(tar, self._layout.data / tar_name)
        self._store.publish(part, self._layout.part(shard.number))
        if rejected_name:
            self._store.publish(rejected, self._layout.rejected / rejected_name)
        if attempts_record.name:
            self._store.publish(kept, self._layout.rejected / attempts_record.name)
        state.seconds["write"] += time.monotonic() - writing
        state.seconds["total"] = time.monotonic() - started
        record = CommitRecord(
            shard=shard.number,
            split=split,
            fingerprint=self._plan.fingerprint,
            run=self._run,
            slots=shard.slots,
            attempts=attempts,
            accepted=len(state.filled),
            rejected=dict(sorted(state.rejected.items())),
            failed=dict(sorted(state.failed.items())),
            seconds={name: round(value, 4) for name, value in sorted(state.seconds.items())},
            tar=FileRecord(name=tar_name, bytes=writer.size, sha256=writer.sha256) if tar_name else FileRecord(),
            part=part_record,
            rejected_tar=FileRecord(name=rejected_name, bytes=thumbnails.size, sha256=thumbnails.sha256)
            if rejected_name
            else FileRecord(),
            kept=len(state.kept),
            attempts_tar=attempts_record,
            software=dict(self._software),
            device=self._line.devices,
            finished_at=time.time(),
        )
        commit(self._layout, record, self._scratch)
        return record

    def _write_kept(self, state: OpenShard, path: Path) -> FileRecord:
        """The tar of the rejected attempts that are kept, in the order of slot and attempt."""
        if not state.kept:
            return FileRecord()
        with ShardWriter(path) as writer:
            for place, (request, places) in sorted(state.kept.items()):
                extents = writer.add(attempt_name(request.key, request.attempt), state.members(places))
                state.rows[place] |= extent_columns(extents)
        name = self._layout.attempts_tar(state.shard.number).name
        return FileRecord(name=name, bytes=writer.size, sha256=writer.sha256)

    def _check_ownership(self, shard: int) -> None:
        """An actor can outlive its killed driver: it must not publish into a folder that another run holds."""
        if not self._store.is_leased_to(self._layout.lock, self._run):
            raise MachineError(f"shard {shard} was given up: the folder now belongs to another run.")
        plan = self._layout.plan
        if plan.exists() and read_plan(plan).fingerprint != self._plan.fingerprint:
            raise MachineError(f"shard {shard} was given up: {plan} is now another plan.")
