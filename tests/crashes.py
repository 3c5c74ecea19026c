"""What a crash at any moment leaves of a folder, recorded while a run in this process goes on undisturbed.

Nothing of a killed process runs any more: a copy of the folder at that moment is what the kill leaves. A power cut
leaves less: of a file the bytes that were fsynced, of a folder the names that were, by the letter of POSIX. Both are
taken before and after every operation that makes, opens, moves, removes or fsyncs a file.
"""

import builtins
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Tree: TypeAlias = Mapping[str, bytes | None]
"""Path → content; None for a folder."""

CHANGES = ("replace", "rename", "link", "symlink", "unlink", "remove", "rmdir", "mkdir", "truncate", "ftruncate")
WRITES = set("wax+")  # modes of `open`
CREATES = os.O_CREAT | os.O_TRUNC


OPEN = io.open


class Node:
    """A file or a folder: what the kernel has of it, and what of that is on the disk."""

    def __init__(self, is_folder: bool) -> None:
        self.is_folder = is_folder
        self.content = self.content_on_disk = b""
        self.names: Mapping[str, Node] = {}
        self.names_on_disk: Mapping[str, Node] = {}

    def reach_the_disk(self) -> None:
        """As fsync has it."""
        self.content_on_disk, self.names_on_disk = self.content, self.names

    def now(self, inside: str = "") -> Iterator[tuple[str, bytes | None]]:
        """The tree of this folder as a killed process leaves it."""
        for name, node in self.names.items():
            yield f"{inside}{name}", None if node.is_folder else node.content
            yield from node.now(f"{inside}{name}/")

    def on_disk(self, inside: str = "") -> Iterator[tuple[str, bytes | None]]:
        """As a power cut leaves it."""
        for name, node in self.names_on_disk.items():
            yield f"{inside}{name}", None if node.is_folder else node.content_on_disk
            yield from node.on_disk(f"{inside}{name}/")


class Crashes:
    """The crashes of a run that works in `folder`. What lies there when recording begins is on the disk.

    killed, power_cut: the folder as a crash leaves it, in order, without those that equal the one before.
    operations: the fsyncs, and what else changed one of both.
    """

    def __init__(self, folder: Path) -> None:
        self.killed: list[Tree] = []
        self.power_cut: list[Tree] = []
        self.operations = 0
        self._folder = folder
        self._nodes: dict[int, Node] = {}  # by inode number
        self._contents: dict[bytes, bytes] = {}  # each once, however many trees hold it
        self._one_at_a_time = threading.RLock()
        self._seen(folder, {})
        for node in self._nodes.values():
            node.reach_the_disk()

    def states(self, scratch: str) -> list[Tree]:
        """Every folder that a crash may leave, each once. Of those that differ in `scratch` alone, the last.

        scratch: a folder in which runs keep what is unfinished, and which they empty before all else.
        """
        states: dict[frozenset[tuple[str, bytes | None]], Tree] = {}
        for tree in (*self.killed, *self.power_cut):
            states[frozenset(item for item in tree.items() if not item[0].startswith(f"{scratch}/"))] = tree
        return list(states.values())

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """While this lasts, what this process does to files is watched."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CHANGES:
                patch.setattr(os, name, self._watched(getattr(os, name)))
            patch.setattr(os, "open", self._watched(os.open, lambda _path, flags, *_: bool(flags & CREATES)))
            opening = self._watched(io.open, lambda _path, mode="r", *_: bool(set(mode) & WRITES))
            for module in (io, builtins):
                patch.setattr(module, "open", opening)
            patch.setattr(os, "fsync", self._fsyncing(os.fsync))
            yield
        self._look()

    def _watched(self, operation: Callable[..., Any], matters: Callable[..., bool] = lambda *_: True) -> Any:
        def watched(*arguments: Any, **named: Any) -> Any:
            if not matters(*arguments):
                return operation(*arguments, **named)
            with self._one_at_a_time:
                self._look()
                result = operation(*arguments, **named)
                self.operations += self._look()
            return result

        return watched

    def _fsyncing(self, fsync: Callable[[int], None]) -> Callable[[int], None]:
        def fsyncing(descriptor: int) -> None:
            with self._one_at_a_time:
                self._look()
                fsync(descriptor)
                node = self._nodes.get(os.fstat(descriptor).st_ino)
                if node is not None:
                    node.reach_the_disk()
                    self.operations += 1
                self._look()

        return fsyncing

    def _look(self) -> bool:
        """Take both crashes as they would be now; whether one differs from the last."""
        known, self._nodes = self._nodes, {}  # the numbers of removed files are given out again
        root = self._seen(self._folder, known)
        changed = False
        for states, now in ((self.killed, dict(root.now())), (self.power_cut, dict(root.on_disk()))):
            if states[-1:] != [now]:
                states.append(now)
                changed = True
        return changed

    def _seen(self, path: Path | os.DirEntry[str], known: Mapping[int, Node]) -> Node:
        """The node of what lies there, brought up to date."""
        inode = path.stat().st_ino
        node = self._nodes[inode] = known.get(inode) or Node(path.is_dir())
        if node.is_folder:
            with os.scandir(path) as entries:
                node.names = {entry.name: self._seen(entry, known) for entry in sorted(entries, key=lambda e: e.name)}
        else:
            with OPEN(path, "rb", buffering=0) as file:
                content = file.read()
            node.content = self._contents.setdefault(content, content)
        return node


def tree_of(folder: Path) -> Tree:
    """What lies in a folder."""
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes() for path in paths}


def lay_out(tree: Tree, folder: Path) -> None:
    """Make the folder hold just this."""
    shutil.rmtree(folder)
    folder.mkdir()
    for path, content in sorted(tree.items()):
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)
