"""Resume of a large run by the real command: process start → first shard handed out, loading of the model excluded.

The folder is that of `factory generate --n 10000000` in shards of 256, of which 99 % are done. Its plan is the
product's own; each done shard has its commit record, as a run writes it, and files of the recorded sizes (sparse: on
the way to the first shard nobody reads inside). The folder is made once and kept. The command is interrupted as soon as
its model is asked for the first batch.

    python benchmarks/plan_resume.py [--model FOLDER] [--n 10000000] [--folder /tmp/factory-plan-resume]
"""

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from figures import exit_code, within

from factory.cli import app as cli
from factory.diffusion.model_files import EMBEDDED
from factory.engine.events import read_events
from factory.engine.line import Line
from factory.engine.plan import Plan, Shard
from factory.errors import DataError, Interrupted
from factory.jobs import generate
from factory.jobs.registry import JOBS
from factory.sample import Request, Sample
from factory.shards.commit import CommitRecord, FileRecord
from factory.shards.layout import Layout

SECONDS = 10.0
MEGABYTES = 600.0
MISSING = 100  # one shard in so many is still to be made
PROBE = "--probe"  # this script as the command under test


def main() -> int:
    """Plan in an empty folder, then go on in the large one; print."""
    parser = argparse.ArgumentParser(description="how long a large run takes to plan and to go on")
    parser.add_argument("--model", type=Path, default=EMBEDDED, help="model folder")
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "factory-plan-resume")
    arguments = parser.parse_args()
    command = ["generate", "--n", str(arguments.n), "--model", str(arguments.model)]
    command += ["--executor", "local", "--workers", "1"]
    fresh = arguments.folder / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    planned = watched(command, fresh)
    plan = Plan.from_json(json.loads(Layout(fresh).plan.read_bytes()))
    large = arguments.folder / plan.fingerprint
    if not large.exists():
        fill(fresh, plan)
        fresh.rename(large)
    resumed = watched(command, large)
    print(
        f"{plan.shards:,} shards, {resumed['done']:,.0f} done; processor's time {resumed['processor']:.1f} s; "
        f"the model took {resumed['loading']:.1f} s more and made it {resumed['with_model']:.0f} MB"
    )
    return exit_code(
        within("plan", planned["seconds"], SECONDS, "s"),
        within("resume", resumed["seconds"], SECONDS, "s"),
        within("resume, driver", resumed["driver"], MEGABYTES, "MB"),
    )


def watched(command: Sequence[str], out: Path) -> dict[str, float]:
    """What the command's own process told when it was asked for the first batch.

    seconds: since the process was started, without the time it took to load the model.
    """
    started = time.monotonic()
    child = subprocess.run(
        [sys.executable, __file__, PROBE, *command, "--out", str(out)], check=False, capture_output=True, text=True
    )
    if child.returncode != Interrupted.exit_code:
        raise SystemExit(f"the command left with {child.returncode}: {child.stderr}")
    told: dict[str, float] = json.loads(child.stdout)
    return told | {"seconds": told["asked"] - started - told["loading"]}


def probe(arguments: list[str]) -> None:
    """`factory` with these arguments, in this process; it tells of itself when the model shall paint, and stops."""

    def overheard(plan: Plan, root: Path) -> Line:
        driver, began, worked = peak_megabytes(), time.monotonic(), time.process_time()
        line = generate.line(plan, root)
        loading, loading_work = time.monotonic() - began, time.process_time() - worked

        def tell(requests: Sequence[Request]) -> Sequence[Sample | DataError]:
            asked = {"asked": time.monotonic(), "loading": loading, "processor": time.process_time() - loading_work}
            size = {"driver": driver, "with_model": peak_megabytes(), "done": done(Layout(root))}
            print(json.dumps(asked | size))
            raise KeyboardInterrupt

        return replace(line, sources=dict.fromkeys(line.sources, tell))

    JOBS["generate"] = replace(generate.JOB, line=overheard)
    cli.main(arguments)


def peak_megabytes() -> float:
    """The most memory this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def done(layout: Layout) -> int:
    """Shards that this run found done, by its own diary."""
    started = [event for event in read_events(layout.events) if event["event"] == "started"]
    return int(started[-1]["done"])


def fill(out: Path, plan: Plan) -> None:
    """Make 99 % of the shards look as a run leaves them."""
    layout = Layout(out)
    for folder in (layout.commits, layout.data, layout.parts, layout.rejected):
        folder.mkdir(exist_ok=True)
    for shard in plan.all_shards():
        if shard.number % MISSING:
            record = commit_record(layout, plan, shard)
            text = json.dumps(asdict(record), indent=1, sort_keys=True, ensure_ascii=False)
            layout.commit(shard.number).write_text(text + "\n")


def commit_record(layout: Layout, plan: Plan, shard: Shard) -> CommitRecord:
    """The record of a shard made at the first or second attempt, with its files."""
    second = shard.slots // 7
    stages = ("source", "greenpost", "score", "gates", "encode", "write", "total")
    return CommitRecord(
        shard=shard.number,
        split=shard.segment.split,
        fingerprint=plan.fingerprint,
        run="20260101T000000-1",
        slots=shard.slots,
        attempts=shard.slots + second,
        accepted=shard.slots,
        rejected={"cut": second // 2, "gsg": second - second // 2},
        seconds={name: round((shard.number + 17 * i) % 997 / 7, 4) for i, name in enumerate(stages)},
        tar=sparse(layout.tar(shard.number, shard.segment.split), 60_000 * shard.slots),
        part=sparse(layout.part(shard.number), 400 * shard.slots),
        rejected_tar=sparse(layout.rejected_tar(shard.number), 20_480),
        software=dict(plan.software),
        device="cpu",
        finished_at=1.8e9 + shard.number,
    )


def sparse(path: Path, size: int) -> FileRecord:
    """A file of this size that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    return FileRecord(name=path.name, bytes=size, sha256=hashlib.sha256(path.name.encode()).hexdigest())


if __name__ == "__main__":
    if sys.argv[1:2] == [PROBE]:
        probe(sys.argv[2:])
    sys.exit(main())
