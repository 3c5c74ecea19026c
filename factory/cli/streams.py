"""Standard streams that are closed or full: the program goes on, and says what it can. Imports nothing slow."""

import io
import os
import sys

from factory.errors import MachineError


def open_closed() -> None:
    """A closed stream leads to the null device: else the next file to be opened got its number, and what it is told."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  (for the program's life)


class Output(io.TextIOWrapper):
    """Standard output that says by itself what is wrong with it. A pipe whose reader is gone is the caller's matter."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _unwritable(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _unwritable(error) from error


def _unwritable(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error
    return MachineError(
        f"standard output cannot be written ({error.strerror}): what was made is there; send the output elsewhere."
    )


def tell_of_full_output() -> None:
    """Put an `Output` in the place of standard output."""
    plain = sys.stdout
    if isinstance(plain, io.TextIOWrapper):
        encoding, errors, line_buffering = plain.encoding, plain.errors, plain.line_buffering
        sys.stdout = Output(plain.detach(), encoding, errors, line_buffering=line_buffering)
