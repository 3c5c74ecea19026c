"""A model that was asked for a screen and paints none: seen after a few pictures, and said."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from factory.errors import DataError, UsageError
from factory.sample import Rejection, Sample
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest

NO_SCREEN = "no_screen"  # what the keyer calls a picture in which it finds none
FEW = 48  # pictures of a worker, the first, after which one with a screen would have come
MANY = 0.5  # of all attempts, that it is worth a line
MEND = (
    "ask in other words (`sampler.template`, with {prompt} and {key} in it), with more guidance, or take another model."
)


def watched(stage: Callable[[Sample], Sample | Rejection]) -> Callable[[Sample], Sample | Rejection]:
    """The stage that keys, which ends the run where none of the worker's first pictures shows a screen.

    Raises UsageError then: attempts by the thousand would come to nothing, too.
    """
    seen, lock = {"without": 0, "with": 0}, Lock()

    def keyed(sample: Sample) -> Sample | Rejection:
        try:
            result = stage(sample)
        except DataError as fault:
            with lock:
                seen["without"] += fault.kind == NO_SCREEN
                if seen["without"] >= FEW and not seen["with"]:
                    raise UsageError(f"none of the first {FEW} pictures shows a screen ({fault}): {MEND}") from fault
            raise
        with lock:
            seen["with"] += 1
        return result

    return keyed


def tell(out: Path) -> Sequence[str]:
    """A line where most attempts showed no screen."""
    layout = Layout(out)
    if not layout.manifest.is_file():
        return ()
    reasons = read_manifest(layout, ["reason"])["reason"].to_pylist()
    without = reasons.count(NO_SCREEN)
    if without < MANY * max(1, len(reasons)):
        return ()
    return [f"  {without:,} of {len(reasons):,} attempts show no screen: {MEND}"]
