"""An emulated host, for a sandbox without root: a side file keeps the owners of directories.

Promises: the verbs of the real host, on real directories. Owner and mode come from the side file
(as with fakeroot), so a home can be given to anybody and closed. Leaves out: any effect of owner
and mode.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner.contract import DirectoryState, Owner
from provisioner.system.directories import RealHost


def build(argument: str) -> EmulatedHost:
    """Build an emulated host that keeps its side file in a directory."""
    return EmulatedHost(Path(argument))


class EmulatedHost(RealHost):
    """Directories that anybody may own; the side file has one line for each change."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "owners.jsonl"
        self._owners: dict[str, dict[str, int]] = {}
        self._read = 0
        self._reading = threading.Lock()

    def _key(self, opened: int) -> str:
        status = os.fstat(opened)
        return f"{status.st_dev}:{status.st_ino}"

    def _note(self, opened: int, **values: int) -> None:
        # Line ends on both sides: a line that a kill cut off damages no other.
        line = f"\n{json.dumps([self._key(opened), values], separators=(',', ':'))}\n"
        with self._file.open("ab", buffering=0) as file:
            file.write(line.encode())

    def _known(self) -> Mapping[str, dict[str, int]]:
        """Return the owners, updated with the lines written since the last call."""
        with self._reading, suppress(FileNotFoundError):
            if self._file.stat().st_size > self._read:
                self._take()
        return self._owners

    def _take(self) -> None:
        with self._file.open("rb") as file:
            file.seek(self._read)
            fresh, end, _ = file.read().rpartition(b"\n")
        self._read += len(fresh) + len(end)
        for line in filter(None, fresh.splitlines()):
            with suppress(ValueError):
                key, values = json.loads(line)
                self._owners.setdefault(key, {}).update(values)

    def _state(self, opened: int) -> DirectoryState:
        state = super()._state(opened)
        # The side file has only numbers; the rest of a state is real.
        owner: dict[str, Any] = dict(self._known().get(self._key(opened), {}))
        return replace(state, **owner)

    def _own(self, opened: int, owner: Owner) -> None:
        self._note(opened, **owner._asdict())

    def _chmod(self, opened: int, mode: int) -> None:
        # A directory that is closed to its owner must stay open to the sandbox's user.
        os.fchmod(opened, mode | 0o700)
        self._note(opened, mode=mode)
