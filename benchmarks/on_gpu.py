"""All figures that need a GPU, the most telling first, within a few minutes. Nothing is downloaded.

    python benchmarks/on_gpu.py [--minutes 8] [--out on_gpu.jsonl]     # one CUDA device
    python benchmarks/on_gpu.py --tiny                                 # the same rows on a CPU, to see that they run

The networks have Stable Diffusion's sizes and random weights: enough for speed, memory and equality of bytes. Each row
is appended to the file as soon as it is measured. After --minutes no further row is begun. A row that fails is told and
the next one begun; then the exit code is 1. A Markdown table for benchmarks/RESULTS.md comes last.

On a bare machine there are Python, a torch for CUDA (its triton wants a C compiler and Python's headers), accelerate,
transformers 5 and what it needs, OpenCV, Pillow, Jinja2 and PyYAML. Bring wheels, made for its Python, of diffusers,
pyarrow, pydantic, pydantic_core, annotated_types, typing_inspection, threadpoolctl and whatever else of that list is
missing. The embedded model, ray and av are not needed. Then, in the root of the repository:

    pip install --no-index --no-deps --target /tmp/site WHEELS/*.whl
    PYTHONPATH=/tmp/site:$PWD python benchmarks/on_gpu.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from figures import Row

Record = dict[str, Any]


def main() -> int:
    """Measure, and tell what failed and what was left out."""
    arguments = parse()
    if arguments.tiny:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        import torch

        if not arguments.tiny and not torch.cuda.is_available():
            say("torch finds no CUDA device here: run this on a machine that has one, or try the rows with --tiny.")
            return 2
        import gpu_rows
    except ModuleNotFoundError as error:
        say(f"the module {error.name} is missing: --help says which wheels to bring and where to put them.")
        return 2
    facts = {
        "card": gpu_rows.card(),
        "python": sys.version.split()[0],
        **{name: version(name) for name in ("torch", "diffusers", "transformers")},
        "commit": arguments.commit or commit(),
    }
    with tempfile.TemporaryDirectory() as folder:
        bench = gpu_rows.Bench(gpu_rows.TINY if arguments.tiny else gpu_rows.FULL, Path(folder))
        chosen = [row for row in gpu_rows.rows(bench) if arguments.only in row.figure]
        records = measure(chosen, arguments.out, arguments.minutes, facts)
    print(table(records, facts, "on_gpu.py --tiny" if arguments.tiny else "on_gpu.py"))
    return tell(records, arguments.minutes)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small networks and pictures, on the CPU: says no speeds")
    parser.add_argument("--minutes", type=float, default=8, help="no row is begun after so many (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("on_gpu.jsonl"), help="rows are added here (%(default)s)")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument("--commit", default="", help="what is measured, where git cannot tell")
    return parser.parse_args()


def measure(rows: Iterable[Row], out: Path, minutes: float, facts: Mapping[str, str]) -> list[Record]:
    """One row after the other, each written down before the next begins."""
    end = time.monotonic() + 60 * minutes
    records = []
    for row in rows:
        started = time.monotonic()
        record: Record = {"figure": row.figure, "must": row.must, "numbers": {}}
        if started >= end:
            record |= {"status": "skipped", "text": "not measured: no time was left"}
        else:
            print(f"… {row.figure}", flush=True)
            try:
                text, numbers = row.measure()
                record |= {"status": "measured", "text": text, "numbers": numbers}
            except Exception as error:  # noqa: BLE001  (whatever it is, the other rows are still to be measured)
                traceback.print_exc()
                reason = (str(error).splitlines() or [""])[0]
                record |= {"status": "failed", "text": f"failed: {type(error).__name__}: {reason}"}
            print(f"  {record['text']}  ({time.monotonic() - started:.0f} s)", flush=True)
        record |= {"seconds": round(time.monotonic() - started, 1), "at": time.strftime("%Y-%m-%dT%H:%M:%S"), **facts}
        append(record, out)
        records.append(record)
    return records


def append(record: Record, out: Path) -> None:
    """A line more, on the disk when this returns."""
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def table(records: Sequence[Record], facts: Mapping[str, str], command: str) -> str:
    """The rows as RESULTS.md has them."""
    lines = [
        f"\n{', '.join(f'{name} {value}' for name, value in facts.items())}, {time.strftime('%Y-%m-%d')}.\n",
        "| figure | must reach | measured | machine | command |\n|---|---|---|---|---|",
    ]
    for record in records:
        cells = (record["figure"], record["must"], record["text"], facts["card"], f"`{command}`")
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


def tell(records: Sequence[Record], minutes: float) -> int:
    """Name the rows that are not measured; 1 where one failed."""
    by_status = {s: [r["figure"] for r in records if r["status"] == s] for s in ("failed", "skipped")}
    if by_status["skipped"]:
        say(f"\nleft out after {minutes:g} minutes: {'; '.join(by_status['skipped'])}")
    if by_status["failed"]:
        say(f"\nfailed: {'; '.join(by_status['failed'])}")
    return 1 if by_status["failed"] else 0


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def commit() -> str:
    """What git calls this tree, as far as git is there and knows it."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
