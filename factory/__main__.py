"""The program `factory`, ready for signals and for closed streams before anything slow is imported."""

import signal
import sys
from types import FrameType

from factory.cli import streams


class Stopped(BaseException):
    """A signal came while nothing was under way that ends in its own manner."""


def main() -> None:
    """Run the program with the arguments that it was started with."""
    streams.open_closed()
    streams.tell_of_full_output()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for what a script runs in the background
            signal.signal(number, _stop)
    try:
        from factory.cli.app import main as run  # noqa: PLC0415  (a good part of a second)

        run()
    except Stopped:
        sys.stderr.write("factory: interrupted.\n")
        raise SystemExit(130) from None


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    main()
