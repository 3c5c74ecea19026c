"""`factory` and `python -m factory`: from the first moment on an interrupt is one sentence, and SIGTERM is one."""

import signal
import sys
from types import FrameType


def main() -> None:
    """Import the program, which takes a while, and run it."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        from factory.cli.app import main as program  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.stderr.write("factory: interrupted.\n")
        raise SystemExit(130) from None
    program()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
