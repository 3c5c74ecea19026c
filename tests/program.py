"""The program as a user runs it: a process of its own. And what a data set folder holds, as hashes."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import psutil

from factory.shards.layout import Layout

BUILD = (
    "build-green100k",
    *("--set", "sources=[{type: procedural, n: 40, classes: [heart, star]}]"),
    *("--set", "size=32", "--shard-size", "4"),
)  # ten shards, a second of work, no torch
LOCAL = ("--executor", "local")
PATIENCE = 240  # seconds for any single run, on a busy machine
WITHOUT_OVERRIDE = """
import ctypes, os, sys
for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: without them root obeys file modes
    if ctypes.CDLL(None, use_errno=True).prctl(24, right) != 0:  # PR_CAPBSET_DROP
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What `factory: …` said on stderr; fails the test where that is not just one line, or a traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("factory: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("factory: ")


def factory(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> Ended:
    """Run `factory ARGUMENTS` to its end."""
    process = start(*arguments, cwd=cwd, environment=environment)
    try:
        out, err = process.communicate(stdin, timeout=PATIENCE)
    finally:
        process.kill()  # of no effect on one that has ended
    return Ended(process.returncode, out.decode(), err.decode())


def factory_here(*arguments: str | Path) -> Ended:
    """Run `factory ARGUMENTS` in this process: a second sooner, where nothing is to be killed."""
    from factory.cli.app import main

    code, out, err = 0, io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def start(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "factory"),
) -> subprocess.Popen[bytes]:
    """Start `factory ARGUMENTS` in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        preexec_fn=obey_ctrl_c,  # noqa: PLW1509  (no thread of ours is running here)
    )


def obey_ctrl_c() -> None:
    """As in a terminal: a test run that was itself started in the background hands down an ignored SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def factory_obeying_modes(*arguments: str | Path) -> Ended:
    """`factory` as a user for whom file modes count: root is first stripped of its right to pass over them."""
    prefix = (sys.executable, "-c", WITHOUT_OVERRIDE) if os.geteuid() == 0 else ()
    command = [*prefix, sys.executable, "-m", "factory", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """SIGKILL it, and the workers it started, after so long. False where it had already ended by itself."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=PATIENCE)
        return True
    return False


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], patience: float = PATIENCE) -> bool:
    """Wait until something is so; False where the process ended before. Fails the test when patience ends."""
    deadline = time.monotonic() + patience
    while not condition():
        if process.poll() is not None:
            return condition()
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)
    return True


def interrupt(process: subprocess.Popen[bytes], number: signal.Signals, whole_group: bool = False) -> Ended:
    """Send a signal, to the whole group as a terminal's Ctrl-C does if asked, and wait for the end."""
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out.decode(), err.decode())


def working_actors() -> list[psutil.Process]:
    """Ray actors of this test session's own cluster that are making a shard just now."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] == ["ray::_Actor.run"]:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def working_actor(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The first actor that is seen at work for this driver."""
    while not (found := working_actors()):
        assert process.poll() is None, "the driver ended before"
        time.sleep(0.005)
    return found[0]


def hashes(root: Path) -> dict[str, str]:
    """Path → SHA-256 of everything that must be equal bit for bit, whoever made it."""
    layout = Layout(root)
    folders = (layout.data, layout.parts, layout.rejected, layout.index, layout.inputs)
    files = [path for folder in folders for path in folder.glob("*")]
    files += [layout.manifest, root / "shardindex.json"]
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.exists()
    }


def commits(root: Path) -> int:
    """How many shards are committed."""
    return len(list(Layout(root).commits.glob("*.json")))


def mtimes(root: Path) -> dict[str, int]:
    """Path → time of the last change, of all that a finished run must leave alone."""
    own = {".lock", "events.jsonl"}  # every run writes its name in these
    return {
        path.relative_to(root).as_posix(): path.stat().st_mtime_ns
        for path in root.rglob("*")
        if path.is_file() and path.name not in own
    }
