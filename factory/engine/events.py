"""events.jsonl: the run's diary. Only the driver writes it; a torn last line is skipped by readers."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Diary:
    """Appends one JSON object a line, flushed at once."""

    def __init__(self, path: Path, run: str) -> None:
        self._run = run
        torn = _is_torn(path)
        self._file = path.open("a", encoding="utf-8")
        if torn:  # a killed driver's last line: close it, so that ours stand alone
            self._file.write("\n")

    def write(self, event: str, **details: Any) -> None:
        """Append an event with the time and the run's id."""
        record = {"event": event, "time": round(time.time(), 3), "run": self._run, **details}
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note why a run stopped. On a full disk even that may fail; what stopped it is the news then."""
        if error is None:
            self.close()
            return
        with suppress(OSError):
            self.write("stopped", error=type(error).__name__, message=str(error))
        with suppress(OSError):
            self.close()


def _is_torn(path: Path) -> bool:
    """Whether the file ends within a line. Only its last byte is read: diaries of long runs are large."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """All whole lines of a diary."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event


def quarantined(events: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Shard → how its last worker died, in shard order, of those that a run gave up."""
    given_up = (event for event in events if event.get("event") == "quarantined")
    found = {event["shard"]: str(event.get("reason", "")) for event in given_up if isinstance(event.get("shard"), int)}
    return dict(sorted(found.items()))
