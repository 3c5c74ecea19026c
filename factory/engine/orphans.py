"""Processes of ours that end with the one that started them, also when that is killed and can tell them nothing."""

import multiprocessing
import os
import threading
from multiprocessing import connection


def end_with_parent() -> None:
    """Of a process that `multiprocessing` started: it ends when its parent is gone, at once, as if it were killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in a child

    def leave() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()
