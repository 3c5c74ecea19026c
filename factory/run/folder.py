"""The folder of a run: may it be used, can it be written, and how an interrupt ends the work in it."""

import errno
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from factory.errors import Interrupted, MachineError, UsageError, what_failed
from factory.shards.durable import make_folder

OURS = {"plan.json", "inputs", ".lock", ".tmp", ".survey", "recipe.yaml", "events.jsonl"}  # of a killed planning
REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}  # of a wrong --out


def check_out(out: Path, marker: str = "plan.json") -> Path:
    """A POSIX folder that is new, empty or a run of ours: one that holds the file `marker`."""
    if address := re.fullmatch(r"(\w{2,}):/+(.+)", str(out)):  # a Path has lost the second slash
        raise UsageError(
            f"--out {address[1]}://{address[2]} is a bucket: write to a local or shared folder, then copy the finished "
            "set, for example with `aws s3 sync OUT s3://BUCKET/SET`."
        )
    try:
        if out.exists() and not out.is_dir():
            raise UsageError(f"--out {out} is a file: give a folder.")
        if out.is_dir() and not (out / marker).exists() and {path.name for path in out.iterdir()} - OURS:
            raise UsageError(f"--out {out} holds other files and no {marker}: give a new or empty folder.")
    except OSError as error:
        raise UsageError(f"--out {out} cannot be read ({error.strerror}): choose a folder you own.") from error
    return out


@contextmanager
def writable(out: Path) -> Iterator[None]:
    """Make the folder; turn the disk's refusals into one sentence."""
    try:
        make_folder(out)
        yield
    except OSError as error:
        raise_if_refused(error, out)
        raise MachineError(
            f"the run in {out} failed ({what_failed(error, out)}): mend that, then run the same command again."
        ) from error


def raise_if_refused(error: OSError, out: Path) -> None:
    """Raises UsageError where the error says that --out is no folder to write to."""
    if error.errno in REFUSALS and _concerns(error, out.absolute()):
        raise UsageError(f"--out {out} cannot be written ({error.strerror}): choose a folder you own.") from error


def _concerns(error: OSError, out: Path) -> bool:
    """Whether the error is about the output folder, or one it lies in, and not about some input."""
    if not isinstance(error.filename, str):
        return True
    path = Path(error.filename).absolute()
    return path.is_relative_to(out) or out.is_relative_to(path)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and Ctrl-C end a run alike: in-flight shards are given up, what is committed stays."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted: what is saved stays; run the same command again to go on.") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
